#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/dtype.h"
#include "cases/product.h"
#include "support/cases.h"
#include "support/optimise.h"
#include "support/sample.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

static clora_context *context;

/* An interpreter takes minutes for what the device does in a moment. Of high ranks the sums over the rank are most. */
static bool is_too_large(const op_case *op, const op_shape *s) {
    const double work = (double)(s->M ? s->M : 1) * (s->N ? s->N : 1) * (s->K ? s->K : 1);
    return getenv("CLORA_TEST_SMALL") && (work > 20000.0 || (s->R > 0 && op->flops(s) > 320000.0));
}

static void check_shape(const op_case *op, const op_shape *shape, const case_way *way) {
    if (!is_too_large(op, shape))
        check_case(context, op, shape, way);
}

static test_sample sample;

/* Compiling is most of the time, and optimising most of that: the optimiser sees the kernels of a third of the cases,
 * or of none; but all tiles, which run long without it. */
static bool optimises = true;

static void compile_fast(bool yes) {
    optimises = !yes;
    optimise(optimises);
}

static void draw_optimiser(void) {
    if (optimises)
        optimise(context->gemm == GEMM_TILE || sample_takes(&sample, 3));
}

/* Of so many shapes one, where the device would run all of them: an interpreter is content with a sample. */
static int all(void) {
    return getenv("CLORA_TEST_SMALL") ? 3 : 1;
}

/* One of `of` shapes of a case. */
static void check_some(const op_case *op, int of, const case_way *way) {
    draw_optimiser();
    for (size_t i = 0; i < op->shapes_count; i++)
        if (of == 1 || sample_takes(&sample, of))
            check_shape(op, &op->shapes[i], way);
}

static void begin_way(way_before *before, const case_way *way) {
    if (way_begin(before, context, way) != CLORA_OK)
        fail_msg("%s", clora_last_error());
}

static const op_case *const products[] = {cases_matmul, cases_fused, cases_lowrank, cases_bottleneck,
                                          cases_merge,  cases_dora,  cases_grad};
enum { PRODUCTS = sizeof(products) / sizeof(products[0]) };

/* Weights are merged in panels. */
static bool is_plain(void) {
    return weight_layout_of(context, CLORA_STORAGE_F32, 1, 1) == WEIGHT_PLAIN;
}

/* One of `of` shapes of every product. */
static void check_products(const case_way *way, int of) {
    way_before before;

    begin_way(&before, way);
    for (int i = 0; i < PRODUCTS; i++)
        for (const op_case *op = products[i]; op->name && (op != cases_merge || !is_plain()); op++)
            check_some(op, of, way);
    way_end(context, &before);
}

static bool is_product(const op_case *op) {
    for (int i = 0; i < PRODUCTS; i++)
        for (const op_case *product = products[i]; product->name; product++)
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
            check_some(case_at(i), 1, &(case_way){0});
            checked++;
        }
    assert_true(checked > 0);
}

static void test_the_panel_path_matches_the_reference(void **state) {
    (void)state;
    check_products(&(case_way){.path = "panel"}, all());
}

/* Every bf16 shape of the products with W0. */
static void check_pairs(const case_way *way) {
    way_before before;

    begin_way(&before, way);
    for (const op_case *op = cases_matmul; op->name; op++)
        for (size_t i = 0; i < op->shapes_count; i++)
            if (op->shapes[i].dtype == CLORA_STORAGE_BF16)
                check_shape(op, &op->shapes[i], way);
    way_end(context, &before);
}

/* Products of pairs of bf16 in floats, and without pairs where the device would take its instruction. */
static void test_pairs_match_the_reference_with_and_without_the_instruction(void **state) {
    static const char *const widths[] = {"4", "8", "16"};

    (void)state;
    compile_fast(true);
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        check_pairs(&(case_way){.vector_width = widths[i], .dot = "emulated"});
        check_pairs(&(case_way){.vector_width = widths[i], .dot = "none"});
    }
    compile_fast(false);
}

/* As on CPUs with other vectors than this one's: panels of 8 and 32 columns. */
static void test_panels_of_every_width_match_the_reference(void **state) {
    static const char *const widths[] = {"4", "16"};

    (void)state;
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        const case_way way = {.path = "panel", .family = "cpu", .vector_width = widths[i]};
        way_before before;
        begin_way(&before, &way);
        assert_int_equal(kernel_panel_width(context), 2 * atoi(widths[i]));
        way_end(context, &before);
        compile_fast(true);
        check_products(&way, 4);
        compile_fast(false);
    }
}

/* As on a GPU, whose panels have 32 columns. */
static void test_the_paths_of_gpus_match_the_reference(void **state) {
    const case_way way = {.path = "tile", .family = "gpu"};
    way_before before;

    (void)state;
    begin_way(&before, &way);
    assert_int_equal(kernel_panel_width(context), 32);
    way_end(context, &before);
    check_products(&way, 4);
    compile_fast(true);
    if (!getenv("CLORA_TEST_SMALL"))
        check_products(&(case_way){.path = "clblast", .family = "gpu"}, 9);
    compile_fast(false);
}

static void test_the_tile_path_matches_the_reference(void **state) {
    (void)state;
    check_products(&(case_way){.path = "tile"}, 2 * all());
}

static bool is_named_by_a_shape(clora_storage type) {
    for (const op_case *op = cases_matmul; op->name; op++)
        for (size_t i = 0; i < op->shapes_count; i++)
            if (op->shapes[i].dtype == type)
                return true;
    return false;
}

/* Of a storage type one of `of` shapes of every case that has a weight. */
static void check_storage(clora_storage type, const case_way *way, int of) {
    static const op_case *const lists[] = {cases_matmul, cases_fused, cases_merge, cases_layout};
    way_before before;

    begin_way(&before, way);
    for (size_t l = 0; l < sizeof(lists) / sizeof(lists[0]); l++)
        for (const op_case *op = lists[l]; op->name && (op != cases_merge || !is_plain()); op++) {
            draw_optimiser();
            for (size_t i = 0; i < op->shapes_count; i++) {
                op_shape shape = op->shapes[i];
                shape.dtype = type;
                if (sample_takes(&sample, of * all()))
                    check_shape(op, &shape, way);
            }
        }
    way_end(context, &before);
}

/* Every type of which no shape is in the lists above, so that a row of ops/storage.c is all that a new one needs. */
static void test_storage_types_in_blocks_match_the_reference_on_every_path(void **state) {
    (void)state;
    for (int i = 0; i < CLORA_STORAGE_END; i++) {
        const clora_storage type = (clora_storage)i;
        if (!storage_of(type) || is_named_by_a_shape(type))
            continue;
        check_storage(type, &(case_way){.path = "panel"}, 2);
        check_storage(type, &(case_way){.path = "tile"}, 4);
        check_storage(type, &(case_way){.path = "panel", .family = "cpu", .vector_width = "4"}, 8);
        check_storage(type, &(case_way){.path = "panel", .family = "cpu", .vector_width = "8"}, 8);
        check_storage(type, &(case_way){.path = "tile", .family = "gpu"}, 8);
        if (!getenv("CLORA_TEST_SMALL"))
            check_storage(type, &(case_way){.path = "clblast"}, 8);
    }
}

/* Choices between kernels that the tuner makes: every one is right. */
static void test_every_choice_of_a_path_matches_the_reference(void **state) {
    (void)state;
    for (size_t i = 0; i < kernel_rows_count; i++) {
        const kernel_row *row = &kernel_rows[i];
        if (getenv("CLORA_TEST_SMALL") && strcmp(row->name, "weight_layout") == 0)
            continue; /* CLBlast's kernels */
        for (int v = 0; !row->source && row->parameters[0].values[v]; v++) {
            char choice[64];
            snprintf(choice, sizeof(choice), "%s=%d", row->name, row->parameters[0].values[v]);
            check_products(&(case_way){.path = context->is_cpu ? "panel" : "tile", .choose = choice}, 6);
            check_products(&(case_way){.path = context->is_cpu ? "tile" : "panel", .choose = choice}, 14);
        }
    }
}

static const int merged_path[KERNEL_PARAMETERS] = {TERM_MERGED};

static void force_merged(const int *values) {
    assert_int_equal(tuning_force(context, kernel_find("path_term"), values), CLORA_OK);
    assert_int_equal(tuning_force(context, kernel_find("path_dx_term"), values), CLORA_OK);
}

/* Every product with W0, by way of the merged weight. */
static void check_merged(const char *path, const char *max_allocation) {
    char choice[64];
    way_before before;

    snprintf(choice, sizeof(choice), "path_term=%d,path_dx_term=%d", TERM_MERGED, TERM_MERGED);
    const case_way way = {.path = path, .choose = choice, .max_allocation = max_allocation};
    begin_way(&before, &way);
    for (const op_case *op = cases_matmul; op->name; op++)
        check_some(op, 2 * all(), &way);
    way_end(context, &before);
}

/* At some shapes of every storage type; the last time in many slices. */
static void test_products_with_the_merged_weight_match_the_reference(void **state) {
    size_t now;

    (void)state;
    check_merged("panel", NULL);
    check_merged("tile", NULL);
    check_merged("panel", "716800"); /* the largest weight has 6 MB */
    clora_context_memory(context, &now, NULL);
    assert_int_equal(now, 0); /* the scratch went with the last term */
}

/* The bytes of W0, which the caller frees. */
static char *bytes_of(const weight *w) {
    const clora_tensor *data = w->part[0].data;
    char *bytes = malloc(clora_tensor_count(data) * dtype_size(data->dtype));

    assert_non_null(bytes);
    assert_int_equal(w->parts, 1);
    assert_int_equal(clora_tensor_read(data, bytes), CLORA_OK);
    return bytes;
}

static void test_merging_leaves_the_weight_alone_and_is_made_anew(void **state) {
    const op_shape shape = {.M = 9, .N = 50, .K = 37, .R = 3};
    case_run run;

    (void)state;
    force_merged(merged_path);
    assert_int_equal(case_begin(&run, context, case_find("matmul"), &shape, true), CLORA_OK);
    char *before = bytes_of(run.w);
    assert_int_equal(case_check(&run), CLORA_OK);
    for (int i = 0; i < run.buffers; i++)
        if (strcmp(run.buffer[i].name, "b") == 0 || strcmp(run.buffer[i].name, "u") == 0)
            memset(run.buffer[i].host, 0, (size_t)(run.buffer[i].rows * run.buffer[i].cols) * sizeof(float));
    product *p = run.data;
    memset(p->b[0], 0, 50 * 3 * sizeof(float));
    assert_int_equal(case_check(&run), CLORA_OK); /* B has changed */
    char *after = bytes_of(run.w);
    assert_memory_equal(before, after, 50 * 37 * sizeof(float));
    free(before);
    free(after);
    case_end(&run);
    force_merged(NULL);
}

/* With dropout u is not of this x: the merged weight gives that of another one. */
static void test_dropout_takes_no_merged_weight(void **state) {
    const op_shape shape = {.M = 9, .N = 50, .K = 37, .R = 3};
    case_run run;
    recorder notes = {0};

    (void)state;
    force_merged(merged_path);
    assert_int_equal(case_begin(&run, context, case_find("matmul"), &shape, true), CLORA_OK);
    const product *p = run.data;
    recorder *usual = recorder_attach(context, &notes);
    assert_int_equal(op_matmul(&p->y->tensor, &p->x->tensor, run.w, NULL, run.lr, &p->u->tensor, true), CLORA_OK);
    recorder_attach(context, usual);
    assert_null(recorder_find(&notes, kernel_find("lowrank_merge"), NULL));
    recorder_finish(&notes);
    case_end(&run);
    force_merged(NULL);
}

/* Memory is planned: where the table has merged weights, the scratch is there with the term. */
static void test_a_table_with_merged_weights_plans_their_scratch(void **state) {
    const int N[2] = {90, 70}, R[2] = {4, 4}, K = 64;
    const float scale[2] = {1.0f, 1.0f};
    size_t without, with, now;
    weight *w;
    lowrank *lr;

    (void)state;
    assert_int_equal(weight_create(&w, context, CLORA_STORAGE_F32, K, 2, N), CLORA_OK);
    assert_int_equal(lowrank_create(&lr, w, R, scale), CLORA_OK);
    clora_context_memory(context, &without, NULL);
    lowrank_free(lr);
    const tuning_entry entry = {
        kernel_find("path_dx_term"), {.M = 64, .N = 160, .K = K, .R = 8}, {TERM_MERGED}, CLORA_TUNE_SOURCE_EXACT};
    assert_int_equal(tuning_add(context, &entry), CLORA_OK);
    assert_int_equal(lowrank_scratch_elements(w, 8), lowrank_merged_elements(w));
    assert_int_equal(lowrank_create(&lr, w, R, scale), CLORA_OK);
    clora_context_memory(context, &with, NULL);
    assert_int_equal(with - without, lowrank_merged_elements(w) * sizeof(float));
    assert_int_equal(lowrank_scratch_elements(w, 5000), 0); /* far from that entry */
    lowrank_free(lr);
    weight_free(w);
    clora_context_memory(context, &now, NULL);
    assert_int_equal(now, 0);
    const tuning_entry little = {
        kernel_find("path_dx_term"), {.M = 16, .N = 160, .K = K, .R = 8}, {TERM_MERGED}, CLORA_TUNE_SOURCE_EXACT};
    assert_int_equal(tuning_add(context, &little), CLORA_ERROR_ARGUMENT); /* it could not win there, */
    assert_int_equal(tuning_value(context, "path_dx_term", "PATH", &little.key), TERM_FUSED); /* near as it is */
}

static void test_the_clblast_path_matches_the_reference(void **state) {
    (void)state;
    if (getenv("CLORA_TEST_SMALL"))
        skip(); /* not our kernels */
    compile_fast(true);
    check_products(&(case_way){.path = "clblast"}, 1);
    compile_fast(false);
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
    assert_int_equal(weight_create(&w, context, CLORA_STORAGE_F32, 3, 1, &N), CLORA_OK);
    assert_int_equal(tensor_new(&x, context, CLORA_DTYPE_F32, 2, 3), CLORA_OK);
    assert_int_equal(tensor_new(&y, context, CLORA_DTYPE_F32, 2, 5), CLORA_OK);
    assert_int_equal(tensor_new(&narrow, context, CLORA_DTYPE_F32, 2, 4), CLORA_OK);
    assert_int_equal(op_matmul(narrow, x, w, NULL, NULL, NULL, false), CLORA_ERROR_SHAPE);
    assert_string_equal(clora_last_error(), "matmul: y(2,4) x(2,3) w(5,3) residual(none) u(none)");
    assert_int_equal(op_matmul(y, narrow, w, NULL, NULL, NULL, false), CLORA_ERROR_SHAPE);
    assert_int_equal(op_matmul(y, x, w, narrow, NULL, NULL, false), CLORA_ERROR_SHAPE);
    assert_int_equal(op_matmul(y, x, w, NULL, NULL, narrow, false), CLORA_ERROR_SHAPE);
    assert_int_equal(op_matmul_dx(narrow, y, w, NULL, NULL, false), CLORA_ERROR_SHAPE);
    assert_string_equal(clora_last_error(), "matmul_dx: dx(2,4) dy(2,5) w(5,3) du(none)");
    assert_int_equal(op_embedding(y, x, w, 1.0f), CLORA_ERROR_SHAPE);
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

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_operation_between_the_products_matches_its_reference),
        cmocka_unit_test(test_the_panel_path_matches_the_reference),
        cmocka_unit_test(test_pairs_match_the_reference_with_and_without_the_instruction),
        cmocka_unit_test(test_panels_of_every_width_match_the_reference),
        cmocka_unit_test(test_the_tile_path_matches_the_reference),
        cmocka_unit_test(test_the_paths_of_gpus_match_the_reference),
        cmocka_unit_test(test_storage_types_in_blocks_match_the_reference_on_every_path),
        cmocka_unit_test(test_every_choice_of_a_path_matches_the_reference),
        cmocka_unit_test(test_products_with_the_merged_weight_match_the_reference),
        cmocka_unit_test(test_merging_leaves_the_weight_alone_and_is_made_anew),
        cmocka_unit_test(test_dropout_takes_no_merged_weight),
        cmocka_unit_test(test_the_clblast_path_matches_the_reference),
        cmocka_unit_test(test_a_wrong_result_fails_the_check),
        cmocka_unit_test(test_a_written_guard_fails_the_check),
        cmocka_unit_test(test_refuses_products_of_shapes_that_do_not_fit),
        cmocka_unit_test(test_an_embedding_of_no_row_shows_as_nan),
        cmocka_unit_test(test_a_table_with_merged_weights_plans_their_scratch), /* last: its entry stays */
    };
    if (argc > 1)
        return cases_main(argc, argv);
    sample_begin(&sample);
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_context_free(context);
    return failed;
}
