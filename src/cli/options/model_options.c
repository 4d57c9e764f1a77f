#include "cli/options/model_options.h"

#include <string.h>

#include "cli/ui/progress.h"

const char *const model_dtypes[] = {"file", MODEL_DTYPES, NULL};

int model_dtype_value(int choice) {
    for (int i = 0; i < CLORA_STORAGE_END; i++) {
        const char *name = clora_storage_name((clora_storage)i);
        if (name && strcmp(name, model_dtypes[choice]) == 0)
            return i;
    }
    return -1;
}

clora_model_options model_args_options(const model_args *args) {
    clora_model_options options = CLORA_MODEL_OPTIONS_INIT;

    options.dtype = model_dtype_value(args->dtype);
    return options;
}

clora_model_plan_options model_args_plan(const model_args *args) {
    return (clora_model_plan_options){.size = sizeof(clora_model_plan_options),
                                      .dtype = model_dtype_value(args->dtype),
                                      .rank = 1,
                                      .batch_size = 1,
                                      .max_length = 1};
}

static int show(void *user, int64_t done, int64_t total) {
    progress *bar = user;

    bar->total = (total >> 20) + 1;
    progress_update(bar, done == total ? bar->total : done >> 20, "MiB of weights");
    return 0;
}

clora_status model_args_load(clora_model **out, const cli_state *cli, clora_context *context, const char *path,
                             const model_args *args) {
    clora_model_options options = model_args_options(args);
    progress bar;

    progress_begin(&bar, 0, 0, cli->quiet);
    options.progress = show;
    options.user = &bar;
    const clora_status status = clora_model_load(out, context, path, &options);
    progress_end(&bar);
    return status;
}

void model_note_head(const cli_state *cli, const char *path, int own_head) {
    if (own_head)
        cli_note(cli,
                 "%s: lm_head.weight differs from the embedding, so it is used, although config.json says "
                 "\"tie_word_embeddings\": true; other programs may drop it: set that to false",
                 path);
}
