#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/fresh_context.h"
#include "support/scratch.h"

clora_context *context;

int fresh_context_setup(void **state) {
    return scratch_setup(state) != 0 || setenv("CLORA_CACHE_DIR", scratch_path("cache"), 1) != 0 ||
           clora_context_create(&context, NULL) != CLORA_OK;
}

int fresh_context_teardown(void **state) {
    clora_context_free(context);
    return scratch_teardown(state);
}

void fresh_context_again(void) {
    clora_context_free(context);
    assert_ok(clora_context_create(&context, NULL));
}
