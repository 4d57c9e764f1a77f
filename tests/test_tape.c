#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "ops/ops.h"
#include "ops/tape.h"
#include "support/scratch.h"
#include "tuning/table.h"

/* What a tape takes on; test_decode.c has what it gives. */

static clora_context *context;

enum { C = 97 };

/* What a recording would not repeat. */
static void move_data(clora_tensor *x, int way) {
    clora_tensor *other = NULL;
    float values[C] = {0.0f};
    void *mapped;

    switch (way) {
    case 1: assert_ok(clora_tensor_read(x, values)); break;
    case 2: assert_ok(clora_tensor_write(x, values)); break;
    case 3: assert_ok(clora_tensor_zero(x)); break;
    case 4:
        assert_ok(tensor_map(&mapped, x, false));
        assert_ok(tensor_unmap(x, mapped));
        break;
    case 5:
        assert_ok(tensor_new(&other, context, CLORA_DTYPE_F32, 1, C));
        clora_tensor_free(other);
        break;
    default: break;
    }
}

static void test_a_step_that_does_more_than_calls_is_not_held(void **state) {
    enum { WAYS = 6 };
    const tape_key key = {.B = 1, .T = 1};
    const int together[KERNEL_PARAMETERS] = {TAPE_TOGETHER};
    clora_tensor *x = NULL, *y = NULL, *gain = NULL;

    (void)state;
    assert_ok(tensor_new(&x, context, CLORA_DTYPE_F32, 1, C));
    assert_ok(tensor_new(&y, context, CLORA_DTYPE_F32, 1, C));
    assert_ok(tensor_new(&gain, context, CLORA_DTYPE_F32, 1, C));
    assert_ok(tuning_force(context, kernel_find("path_tape"), together));
    for (int way = 0; way < WAYS; way++) {
        tape *t = NULL;
        assert_ok(tape_create(&t, context));
        assert_true(tape_begin(t, key));
        const clora_status made = op_rmsnorm(y, NULL, x, gain, 1e-5f, false);
        move_data(x, way);
        tape_end(t, made);
        if (tape_holds(t, key) != (way == 0))
            fail_msg("way %d", way);
        tape_free(t);
    }
    assert_ok(tuning_force(context, kernel_find("path_tape"), NULL));
    clora_tensor_free(gain);
    clora_tensor_free(y);
    clora_tensor_free(x);
}

static int setup(void **state) {
    (void)state;
    return clora_context_create(&context, NULL) == CLORA_OK ? 0 : -1;
}

static int teardown(void **state) {
    (void)state;
    clora_context_free(context);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step_that_does_more_than_calls_is_not_held),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const bool suits = kernel_runs_tapes(context);
    clora_context_free(context);
    if (!suits) {
        print_message("skipped: steps in one launch are for PoCL on a CPU\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
