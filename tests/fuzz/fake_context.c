#include "fuzz/fake_context.h"

#include "fuzz/fuzz.h"
#include "tuning/table.h"

static void ignore(void *user, const char *line) {
    (void)user;
    (void)line;
}

clora_context *fake_context_create(void) {
    clora_context *context = calloc(1, sizeof(*context));

    FUZZ_CHECK(context != NULL);
    setenv("CLORA_CACHE_DIR", fuzz_directory(), 1);
    *context = (clora_context){.is_cpu = true,
                               .address_align = 128,
                               .info = {.name = "pthread-fuzz",
                                        .platform = "Portable Computing Language",
                                        .vendor = "vendor",
                                        .driver = "3.1",
                                        .version = "OpenCL 3.0",
                                        .compute_units = 2,
                                        .clock_mhz = 2000,
                                        .vector_width = 8,
                                        .global_memory = (uint64_t)8 << 30,
                                        .local_memory = 32768}};
    pthread_mutex_init(&context->lock, NULL);
    FUZZ_CHECK(tuning_create(&context->tuning) == CLORA_OK);
    clora_tune_set_log(context, ignore, NULL, 1);
    return context;
}

void fake_context_free(clora_context *context) {
    tuning_free(context->tuning);
    pthread_mutex_destroy(&context->lock);
    free(context);
}
