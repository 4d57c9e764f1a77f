#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "case.h"
#include "device/tuning.h"

static clora_context *context;

/* An interpreter takes minutes for what the device does in a moment. */
static bool is_too_large(const op_shape *s) {
    const double work = (double)(s->M ? s->M : 1) * (s->N ? s->N : 1) * (s->K ? s->K : 1);
    return getenv("CLORA_TEST_SMALL") && work > 20000.0;
}

/* Every step-th shape of a case. */
static void check_case(const op_case *op, size_t step) {
    for (size_t i = 0; i < op->shapes_count; i += step) {
        case_run run;
        if (is_too_large(&op->shapes[i]))
            continue;
        if (case_begin(&run, context, op, &op->shapes[i], true) != CLORA_OK || case_check(&run) != CLORA_OK) {
            case_end(&run);
            fail_msg("%s", clora_last_error());
        }
        case_end(&run);
    }
}

static void check_products(gemm_path path, size_t step) {
    const gemm_path usual = context->gemm;

    context->gemm = path;
    tuning_forget(context);
    for (const op_case *op = cases_matmul; op->name; op++)
        check_case(op, step);
    for (const op_case *op = cases_lowrank; op->name; op++)
        check_case(op, step);
    context->gemm = usual;
    tuning_forget(context);
}

static bool is_product(const op_case *op) {
    for (const op_case *product = cases_matmul; product->name; product++)
        if (product == op)
            return true;
    for (const op_case *product = cases_lowrank; product->name; product++)
        if (product == op)
            return true;
    return false;
}

static void test_every_operation_between_the_products_matches_its_reference(void **state) {
    size_t checked = 0;

    (void)state;
    if (getenv("CLORA_TEST_SMALL"))
        skip(); /* test_nn does these there */
    for (size_t i = 0; i < case_count(); i++)
        if (!is_product(case_at(i))) {
            check_case(case_at(i), 1);
            checked++;
        }
    assert_true(checked > 0);
}

static void test_the_panel_path_matches_the_reference(void **state) {
    (void)state;
    check_products(GEMM_PANEL, 1);
}

/* As on devices with other vectors than this one's: panels of 8 and 32 columns. */
static void test_panels_of_every_width_match_the_reference(void **state) {
    static const int widths[] = {4, 16};
    const int usual = context->info.vector_width;

    (void)state;
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        context->info.vector_width = widths[i];
        assert_int_equal(weight_panel_width(context), 2 * widths[i]);
        check_products(GEMM_PANEL, 4);
    }
    context->info.vector_width = usual;
}

/* As on a GPU, whose panels have 32 columns. */
static void test_the_paths_of_gpus_match_the_reference(void **state) {
    const bool usual = context->is_cpu;

    (void)state;
    context->is_cpu = false;
    assert_int_equal(weight_panel_width(context), 32);
    check_products(GEMM_TILE, 4);
    if (!getenv("CLORA_TEST_SMALL"))
        check_products(GEMM_CLBLAST, 9);
    context->is_cpu = usual;
}

static void test_the_tile_path_matches_the_reference(void **state) {
    (void)state;
    check_products(GEMM_TILE, 1);
}

/* Choices between kernels that the tuner makes: every one is right. */
static void test_every_choice_of_a_path_matches_the_reference(void **state) {
    (void)state;
    for (size_t i = 0; i < kernel_rows_count; i++) {
        const kernel_row *row = &kernel_rows[i];
        for (int v = 0; !row->source && row->parameters[0].values[v]; v++) {
            const int values[KERNEL_PARAMETERS] = {row->parameters[0].values[v]};
            assert_int_equal(tuning_force(context, row, values), CLORA_OK);
            check_products(context->is_cpu ? GEMM_PANEL : GEMM_TILE, 3);
            check_products(context->is_cpu ? GEMM_TILE : GEMM_PANEL, 7);
        }
        assert_int_equal(tuning_force(context, row, NULL), CLORA_OK);
    }
}

static void test_the_clblast_path_matches_the_reference(void **state) {
    (void)state;
    if (getenv("CLORA_TEST_SMALL"))
        skip(); /* not our kernels */
    check_products(GEMM_CLBLAST, 1);
    size_t now;
    clora_context_memory(context, &now, NULL);
    assert_int_equal(now, 0); /* the scratch went with the last weight */
}

/* A case at its first shape of at least `least` rows, so that a test can spoil it. */
static void begin(case_run *run, const char *name, int least) {
    const op_case *op = case_find(name);

    assert_non_null(op);
    for (size_t i = 0; i < op->shapes_count; i++)
        if (op->shapes[i].M >= least) {
            assert_int_equal(case_begin(run, context, op, &op->shapes[i], true), CLORA_OK);
            return;
        }
    fail_msg("%s has no shape of %d rows", name, least);
}

static void test_a_wrong_result_fails_the_check(void **state) {
    case_run run;

    (void)state;
    begin(&run, "matmul", 3);
    run.w0[0] += 1.0f; /* the reference now works with another weight */
    assert_int_not_equal(case_check(&run), CLORA_OK);
    assert_non_null(strstr(clora_last_error(), "expected"));
    case_end(&run);
}

static void test_a_written_guard_fails_the_check(void **state) {
    case_run run;

    (void)state;
    begin(&run, "lowrank_dx", 3);
    for (int i = 0; i < run.buffers; i++)
        if (run.buffer[i].role == CASE_OUT)
            run.buffer[i].guard -= 1; /* the view moves on to what was a guard */
    assert_int_not_equal(case_check(&run), CLORA_OK);
    case_end(&run);
}

static void test_refuses_products_of_shapes_that_do_not_fit(void **state) {
    weight *w;
    clora_tensor *x, *y, *narrow;
    const int N = 5;

    (void)state;
    assert_int_equal(weight_create(&w, context, CLORA_DTYPE_F32, 3, 1, &N), CLORA_OK);
    assert_int_equal(tensor_new(&x, context, CLORA_DTYPE_F32, 2, 3), CLORA_OK);
    assert_int_equal(tensor_new(&y, context, CLORA_DTYPE_F32, 2, 5), CLORA_OK);
    assert_int_equal(tensor_new(&narrow, context, CLORA_DTYPE_F32, 2, 4), CLORA_OK);
    assert_int_equal(op_matmul(narrow, x, w, NULL, NULL, NULL), CLORA_ERROR_SHAPE);
    assert_string_equal(clora_last_error(), "matmul: y(2,4) x(2,3) w(5,3) residual(none) u(none)");
    assert_int_equal(op_matmul(y, narrow, w, NULL, NULL, NULL), CLORA_ERROR_SHAPE);
    assert_int_equal(op_matmul(y, x, w, narrow, NULL, NULL), CLORA_ERROR_SHAPE);
    assert_int_equal(op_matmul(y, x, w, NULL, NULL, narrow), CLORA_ERROR_SHAPE);
    assert_int_equal(op_matmul_dx(narrow, y, w, NULL, NULL, false), CLORA_ERROR_SHAPE);
    assert_string_equal(clora_last_error(), "matmul_dx: dx(2,4) dy(2,5) w(5,3) du(none)");
    assert_int_equal(op_embedding(y, x, w), CLORA_ERROR_SHAPE);
    clora_tensor_free(narrow);
    clora_tensor_free(y);
    clora_tensor_free(x);
    weight_free(w);
}

static void test_an_embedding_of_no_row_shows_as_nan(void **state) {
    case_run run;
    float y[512];

    (void)state;
    begin(&run, "embedding", 5);
    case_buffer *ids = &run.buffer[1], *out = &run.buffer[0];
    ids->ids[1] = -1;
    ids->ids[2] = run.shape.N;
    assert_int_equal(case_upload(&run), CLORA_OK);
    assert_int_equal(run.op->launch(&run), CLORA_OK);
    assert_true(out->rows * out->cols <= 512);
    assert_int_equal(clora_tensor_read(&out->tensor, y), CLORA_OK);
    for (int m = 0; m < 3; m++)
        for (int k = 0; k < out->cols; k++)
            assert_int_equal(y[m * out->cols + k] != y[m * out->cols + k], m > 0);
    case_end(&run);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operation_between_the_products_matches_its_reference),
        cmocka_unit_test(test_the_panel_path_matches_the_reference),
        cmocka_unit_test(test_panels_of_every_width_match_the_reference),
        cmocka_unit_test(test_the_tile_path_matches_the_reference),
        cmocka_unit_test(test_the_paths_of_gpus_match_the_reference),
        cmocka_unit_test(test_every_choice_of_a_path_matches_the_reference),
        cmocka_unit_test(test_the_clblast_path_matches_the_reference),
        cmocka_unit_test(test_a_wrong_result_fails_the_check),
        cmocka_unit_test(test_a_written_guard_fails_the_check),
        cmocka_unit_test(test_refuses_products_of_shapes_that_do_not_fit),
        cmocka_unit_test(test_an_embedding_of_no_row_shows_as_nan),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_context_free(context);
    return failed;
}
