/* What is left when OpenCL calls fail, one after the other. Whole commands: test_command_failing.py. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ops/weight.h"
#include "support/failing.h"
#include "support/scratch.h"

static clora_context *context;

static size_t memory(void) {
    size_t now = 0;

    clora_context_memory(context, &now, NULL);
    return now;
}

/* COUNT weights of a pool, the last of another type than the first. */
enum { COUNT = 3 };
static clora_status create_pool(weight *w[COUNT]) {
    static const clora_dtype types[COUNT] = {CLORA_DTYPE_BF16, CLORA_DTYPE_BF16, CLORA_DTYPE_F32};
    static const int N = 41;
    weight_pool pool = {.count = COUNT};
    clora_status status = CLORA_OK;

    for (int i = 0; i < COUNT; i++)
        TRY(weight_create_in(&w[i], &pool, context, (clora_storage)types[i], 19, 1, &N));
done:
    weight_pool_finish(&pool);
    return status;
}

/* Each call of a kind fails in its turn, then all from there on: once the weights are freed, the device's memory is
 * what it was. */
static void check_pool(const char *kind) {
    const size_t before = memory();

    for (int on = 0; on < 2; on++)
        for (long at = 0, count = at + 1; at < count; at++) {
            weight *w[COUNT] = {0};
            failing_from(kind, at, on);
            const clora_status status = create_pool(w);
            count = failing_count();
            failing_from(NULL, 0, false);
            if (at >= count)
                assert_ok(status);
            for (int i = 0; i < COUNT; i++)
                weight_free(w[i]);
            if (memory() != before)
                fail_msg("%s %ld%s: %zu bytes, before %zu", kind, at, on ? "+" : "", memory(), before);
        }
}

static void test_a_pool_whose_weights_fail_leaves_nothing(void **state) {
    (void)state;
    check_pool("clCreateBuffer");
    check_pool("clRetainMemObject");
    check_pool("clEnqueueWriteBuffer");
    check_pool("opencl");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_pool_whose_weights_fail_leaves_nothing)};

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_context_free(context);
    return failed;
}
