#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/tune.h>

#include "base/dtype.h"
#include "meter/meter.h"
#include "support/scratch.h"
#include "tuning/tuning.h"

static clora_context *context;

static const clora_dtype dtypes[] = {CLORA_DTYPE_F32, CLORA_DTYPE_F16, CLORA_DTYPE_BF16};
static const gemm_path paths[] = {GEMM_PANEL, GEMM_CLBLAST}; /* layouts panel and plain */

/* n finite values in a type, every sign and many exponents. */
static void *values(clora_dtype dtype, size_t n, unsigned seed) {
    float *wide = malloc(n * sizeof(float));
    void *out = malloc(n * dtype_size(dtype));

    assert_non_null(wide);
    assert_non_null(out);
    case_fill(wide, n, seed);
    for (size_t i = 0; i < n; i++)
        wide[i] = ldexpf(wide[i], (int)(i % 30) - 20);
    dtype_from_f32(out, dtype, wide, n);
    free(wide);
    return out;
}

static void *transposed(const char *in, size_t size, int rows, int cols) {
    char *out = malloc((size_t)rows * (size_t)cols * size);

    assert_non_null(out);
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++)
            memcpy(out + ((size_t)c * (size_t)rows + (size_t)r) * size,
                   in + ((size_t)r * (size_t)cols + (size_t)c) * size, size);
    return out;
}

/* Weights of one pool keep what was packed, each in its place; one that is not like the first has its own buffer; all
 * memory is given back at the end. */
static void test_a_pool_holds_equal_weights_in_one_buffer(void **state) {
    enum { COUNT = 4, K = 19 };
    static const clora_dtype types[COUNT] = {CLORA_DTYPE_BF16, CLORA_DTYPE_F32, CLORA_DTYPE_BF16, CLORA_DTYPE_BF16};
    static const int N = 41;
    weight_pool pool = {.count = COUNT};
    weight *w[COUNT];
    size_t before = 0, now = 0;

    (void)state;
    clora_context_memory(context, &before, NULL);
    for (int i = 0; i < COUNT; i++) {
        void *data = values(types[i], (size_t)N * K, (unsigned)i);
        assert_ok(weight_create_in(&w[i], &pool, context, (clora_storage)types[i], K, 1, &N));
        assert_ok(weight_pack(w[i], 0, data, types[i], false));
        free(data);
    }
    const bool pooled = pool.data != NULL;
    weight_pool_finish(&pool);
    for (int i = 0; i < COUNT; i++) {
        void *data = values(types[i], (size_t)N * K, (unsigned)i), *back = malloc((size_t)N * K * sizeof(float));
        assert_ok(weight_unpack(w[i], 0, back));
        assert_memory_equal(back, data, (size_t)N * K * dtype_size(types[i]));
        free(back);
        free(data);
    }
    assert_int_equal(pooled, kernel_runs_tapes(context) && w[0]->layout == WEIGHT_PANEL);
    assert_int_equal(w[0]->part[0].data->buffer == w[3]->part[0].data->buffer, pooled);
    assert_true(w[0]->part[0].data->buffer != w[1]->part[0].data->buffer);
    for (int i = 0; i < COUNT; i++)
        weight_free(w[i]);
    clora_context_memory(context, &now, NULL);
    assert_int_equal(now, before);
}

static void test_a_pool_that_is_too_large_is_none(void **state) {
    enum { K = 64 };
    static const int N = 64;
    const size_t usual = context->info.max_allocation;
    weight_pool pool = {.count = 3};
    weight *w[2];

    (void)state;
    context->info.max_allocation = (size_t)2 * N * K * sizeof(float);
    for (int i = 0; i < 2; i++)
        assert_ok(weight_create_in(&w[i], &pool, context, CLORA_STORAGE_F32, K, 1, &N));
    context->info.max_allocation = usual;
    assert_null(pool.data);
    assert_true(w[0]->part[0].data->buffer != w[1]->part[0].data->buffer);
    weight_pool_finish(&pool);
    for (int i = 0; i < 2; i++)
        weight_free(w[i]);
}

/* Pack three modules and read the very bytes back. */
static void check_round_trip(clora_dtype dtype, int K, const int N[3], bool transpose) {
    void *data[3];
    weight *w;

    assert_ok(weight_create(&w, context, (clora_storage)dtype, K, 3, N));
    for (int i = 0; i < 3; i++) {
        data[i] = values(dtype, (size_t)N[i] * (size_t)K, (unsigned)i);
        void *turned = transposed(data[i], dtype_size(dtype), N[i], K);
        assert_ok(weight_pack(w, i, transpose ? turned : data[i], dtype, transpose));
        free(turned);
    }
    for (int i = 0; i < 3; i++) {
        const size_t bytes = (size_t)N[i] * (size_t)K * dtype_size(dtype);
        void *back = malloc(bytes);
        assert_non_null(back);
        assert_ok(weight_unpack(w, i, back));
        assert_memory_equal(back, data[i], bytes);
        free(back);
        free(data[i]);
    }
    weight_free(w);
}

/* Packed some rows at a time, the last first, it is what it is packed at once; and it is read back so. */
static void check_rows(clora_dtype dtype, int K, const int N[3]) {
    weight *w;

    assert_ok(weight_create(&w, context, (clora_storage)dtype, K, 3, N));
    const int step = weight_row_step(w);
    for (int i = 0; i < 3; i++) {
        const size_t row = (size_t)K * dtype_size(dtype), bytes = (size_t)N[i] * row;
        char *data = values(dtype, (size_t)N[i] * (size_t)K, (unsigned)i), *back = malloc(bytes);
        for (int n = (N[i] - 1) / step * step; n >= 0; n -= step) {
            const int rows = N[i] - n < step ? N[i] - n : step;
            assert_ok(weight_pack_rows(w, i, n, rows, data + (size_t)n * row, dtype));
        }
        assert_ok(weight_unpack(w, i, back));
        assert_memory_equal(back, data, bytes);
        for (int n = 0; n < N[i]; n += step) {
            const int rows = N[i] - n < step ? N[i] - n : step;
            assert_ok(weight_unpack_rows(w, i, n, rows, back));
            assert_memory_equal(back, data + (size_t)n * row, (size_t)rows * row);
        }
        assert_int_equal(weight_unpack_rows(w, i, 0, N[i] + 1, back), CLORA_ERROR_ARGUMENT);
        assert_int_equal(weight_pack_rows(w, i, 0, N[i] + 1, data, dtype), CLORA_ERROR_ARGUMENT);
        if (step > 1)
            assert_int_equal(weight_pack_rows(w, i, 1, N[i] - 1, data, dtype), CLORA_ERROR_ARGUMENT);
        free(data);
        free(back);
    }
    weight_free(w);
}

static void test_unpacks_the_bytes_that_were_packed(void **state) {
    static const struct {
        int K, N[3];
    } shapes[] = {{1, {1, 1, 1}}, {7, {33, 5, 16}}, {130, {64, 31, 70}}, {301, {100, 260, 9}}};

    (void)state;
    for (size_t p = 0; p < 2; p++)
        for (size_t d = 0; d < 3; d++)
            for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
                const gemm_path usual = context->gemm;
                context->gemm = paths[p];
                check_round_trip(dtypes[d], shapes[s].K, shapes[s].N, false);
                check_round_trip(dtypes[d], shapes[s].K, shapes[s].N, true);
                check_rows(dtypes[d], shapes[s].K, shapes[s].N);
                context->gemm = usual;
            }
}

static void test_the_panel_layout_is_the_one_the_header_tells(void **state) {
    enum { K = 5, N0 = 3, N1 = 40 };
    static const int N[2] = {N0, N1};

    (void)state;
    for (size_t d = 0; d < 3; d++) {
        weight *w;
        assert_ok(weight_create(&w, context, (clora_storage)dtypes[d], K, 2, N));
        const int NR = w->NR, KI = w->storage->unit, steps = (K + KI - 1) / KI;
        const size_t size = dtype_size(dtypes[d]), n = (size_t)w->panels * (size_t)(steps * KI * NR);
        char *image = malloc(n * size), *expected = calloc(n, size);
        char *second = values(dtypes[d], (size_t)N1 * K, 5), *first = values(dtypes[d], (size_t)N0 * K, 6);
        assert_int_equal(w->layout, WEIGHT_PANEL);
        assert_int_equal(KI, dtypes[d] == CLORA_DTYPE_BF16 ? 2 : 1);
        assert_int_equal(w->parts, 1);
        assert_int_equal(w->module[1].panel, 1);
        assert_int_equal(w->module[1].col, N0);
        assert_ok(weight_pack(w, 1, second, dtypes[d], false));
        assert_ok(weight_pack(w, 0, first, dtypes[d], false));
        assert_ok(clora_tensor_read(w->part[0].data, image));
        for (int module = 0; module < 2; module++)
            for (int row = 0; row < N[module]; row++)
                for (int k = 0; k < K; k++) {
                    const int panel = module + row / NR;
                    const size_t at =
                        (((size_t)panel * (size_t)steps + (size_t)(k / KI)) * (size_t)NR + (size_t)(row % NR)) *
                            (size_t)KI +
                        (size_t)(k % KI);
                    memcpy(expected + at * size, (module ? second : first) + (size_t)(row * K + k) * size, size);
                }
        assert_memory_equal(image, expected, n * size); /* the padding is zero */
        free(image);
        free(expected);
        free(first);
        free(second);
        weight_free(w);
    }
}

static void test_converts_other_float_types_with_one_rounding(void **state) {
    enum { N = 21, K = 34 };
    static const int rows = N;

    (void)state;
    for (size_t from = 0; from < 3; from++)
        for (size_t to = 0; to < 3; to++) {
            weight *w;
            void *data = values(dtypes[from], (size_t)N * K, 11);
            float wide[N * K];
            char expected[N * K * 4], back[N * K * 4];
            dtype_to_f32(wide, data, dtypes[from], (size_t)N * K);
            dtype_from_f32(expected, dtypes[to], wide, (size_t)N * K);
            assert_ok(weight_create(&w, context, (clora_storage)dtypes[to], K, 1, &rows));
            assert_ok(weight_pack(w, 0, data, dtypes[from], false));
            assert_ok(weight_unpack(w, 0, back));
            assert_memory_equal(back, expected, (size_t)N * K * dtype_size(dtypes[to]));
            weight_free(w);
            free(data);
        }
}

static void test_refuses_values_that_are_not_finite_and_says_where(void **state) {
    enum { N = 19, K = 70 };
    static const int rows = N;
    static const float bad[] = {NAN, INFINITY, -INFINITY};

    (void)state;
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < 3; i++) {
            const gemm_path usual = context->gemm;
            weight *w;
            float *data = values(CLORA_DTYPE_F32, (size_t)N * K, 12);
            context->gemm = paths[p];
            assert_ok(weight_create(&w, context, CLORA_STORAGE_F32, K, 1, &rows));
            context->gemm = usual;
            data[17 * K + 66] = bad[i];
            assert_int_equal(weight_pack(w, 0, data, CLORA_DTYPE_F32, false), CLORA_ERROR_FORMAT);
            assert_string_equal(clora_last_error(), "the value at row 17, column 66 is not finite");
            weight_free(w);
            free(data);
        }
}

static void test_refuses_values_that_overflow_the_storage_type(void **state) {
    enum { N = 3, K = 4 };
    static const int rows = N;
    float data[N * K] = {0};
    weight *w;

    (void)state;
    data[5] = 1e6f;
    assert_ok(weight_create(&w, context, CLORA_STORAGE_F16, K, 1, &rows));
    assert_int_equal(weight_pack(w, 0, data, CLORA_DTYPE_F32, false), CLORA_ERROR_FORMAT);
    assert_string_equal(clora_last_error(), "the value 1e+06 at row 1, column 1 is too large for f16");
    weight_free(w);
}

static void test_refuses_a_bias_that_is_not_finite(void **state) {
    static const int N = 4;
    const float bias[4] = {0.0f, 1.0f, NAN, 2.0f};
    weight *w;

    (void)state;
    assert_ok(weight_create(&w, context, CLORA_STORAGE_F32, 3, 1, &N));
    assert_int_equal(weight_set_bias(w, 0, bias), CLORA_ERROR_FORMAT);
    assert_null(w->bias);
    weight_free(w);
}

static void test_says_the_bytes_it_takes(void **state) {
    static const int N[2] = {33, 50};

    (void)state;
    for (size_t p = 0; p < 2; p++)
        for (size_t d = 0; d < 3; d++) {
            const gemm_path usual = context->gemm;
            size_t before, after;
            weight *w;
            context->gemm = paths[p];
            clora_context_memory(context, &before, NULL);
            assert_ok(weight_create(&w, context, (clora_storage)dtypes[d], 77, 2, N));
            clora_context_memory(context, &after, NULL);
            assert_int_equal(after - before, weight_bytes(context, (clora_storage)dtypes[d], 77, 2, N) +
                                                 weight_scratch_bytes(context, (clora_storage)dtypes[d], 77, 2, N));
            weight_free(w);
            clora_context_memory(context, &after, NULL);
            assert_int_equal(after, before);
            context->gemm = usual;
        }
}

static void check_case_in_layout(const char *name, weight_layout layout) {
    const op_shape shape = {.M = 9, .N = 230, .K = 40, .dtype = CLORA_STORAGE_BF16};
    case_run run;

    assert_ok(case_begin(&run, context, case_find(name), &shape, true));
    assert_int_equal(run.w->layout, layout);
    assert_ok(case_check(&run));
    case_end(&run);
}

static void test_the_layout_is_what_the_tuned_parameters_say(void **state) {
    static const int N[2] = {130, 100}, other = 9000;
    static const clora_tune_key key = {"weight_layout", CLORA_DTYPE_BF16, 0, 230, 40, 0};
    clora_tune_entry entry = CLORA_TUNE_ENTRY_INIT;
    clora_context *usual = context;
    weight *w;

    (void)state;
    assert_ok(clora_context_create(&context, NULL)); /* entries stay with their context */
    context->gemm = context->is_cpu ? GEMM_PANEL : GEMM_TILE;
    context->gemm_is_forced = false;
    assert_ok(clora_tune_lookup(&entry, context, &key));
    assert_int_equal(entry.value[0], LAYOUT_PANEL);
    entry.value[0] = LAYOUT_PLAIN;
    assert_ok(clora_tune_set(context, &entry));
    assert_ok(weight_create(&w, context, CLORA_STORAGE_BF16, 40, 2, N));
    assert_int_equal(w->layout, WEIGHT_PLAIN);
    assert_int_equal(weight_row_elements(w), 40);
    weight_free(w);
    assert_ok(weight_create(&w, context, CLORA_STORAGE_BF16, 40, 1, &other)); /* no similar shape */
    assert_int_equal(w->layout, WEIGHT_PANEL);
    weight_free(w);
    assert_ok(weight_create(&w, context, CLORA_STORAGE_F32, 40, 2, N)); /* another storage type */
    assert_int_equal(w->layout, WEIGHT_PANEL);
    weight_free(w);
    if (!getenv("CLORA_TEST_SMALL")) {
        check_case_in_layout("matmul", WEIGHT_PLAIN);
        check_case_in_layout("matmul_dx", WEIGHT_PLAIN);
        check_case_in_layout("embedding", WEIGHT_PLAIN);
    }
    context->gemm_is_forced = true; /* CLORA_GEMM=panel */
    check_case_in_layout("matmul", WEIGHT_PANEL);
    clora_context_free(context);
    context = usual;
}

static bool plans_a_layout(void) {
    bool found = false;
    clora_tune_plan *plan;

    assert_ok(clora_tune_plan_create(&plan, context));
    assert_ok(clora_tune_plan_shape(plan, 72, 40, NULL));
    for (int i = 0; i < clora_tune_plan_count(plan); i++)
        found |= strcmp(clora_tune_plan_task(plan, i)->key.kernel, "weight_layout") == 0;
    clora_tune_plan_free(plan);
    return found;
}

static void test_a_layout_is_measured_where_it_may_win(void **state) {
    const kernel_key at = {.dtype = CLORA_DTYPE_F16, .N = 72, .K = 40};
    clora_context *usual = context;
    measurement m;
    meter timer;

    (void)state;
    if (getenv("CLORA_TEST_SMALL"))
        skip(); /* CLBlast's kernels */
    assert_ok(clora_context_create(&context, NULL));
    context->gemm_is_forced = false;
    if (context->is_cpu)
        assert_false(plans_a_layout());
    context->is_cpu = false; /* as on a GPU */
    context->gemm = GEMM_TILE;
    tuning_forget(context);
    assert_true(plans_a_layout());
    context->gemm_is_forced = true;
    assert_false(plans_a_layout());
    context->gemm_is_forced = false;
    meter_init(&timer, context);
    assert_ok(meter_prepare(&timer, kernel_find("weight_layout"), &at, 0.0));
    for (int layout = LAYOUT_PANEL; layout <= LAYOUT_PLAIN; layout++) {
        assert_ok(meter_measure(&m, &timer, (const int[KERNEL_PARAMETERS]){layout}, true, 0.0));
        if (!m.usable)
            fail_msg("%s", m.why);
    }
    meter_finish(&timer);
    clora_context_free(context);
    context = usual;
}

/* All cases of products and the look-up, with a device that allows only small buffers. */
static void check_split(gemm_path path, clora_dtype dtype) {
    static const char *const names[] = {"matmul", "matmul_dx", "embedding"};
    const size_t allowed = context->info.max_allocation;
    const gemm_path usual = context->gemm;

    context->gemm = path;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const op_shape shape = {
            .M = 9, .N = 230, .K = 40, .R = i < 2 ? 5 : 0, .dtype = (clora_storage)dtype, .modules = i < 2 ? 3 : 1};
        case_run run;
        context->info.max_allocation = 12000;
        const clora_status begun = case_begin(&run, context, case_find(names[i]), &shape, true);
        if (begun == CLORA_OK)
            assert_true(run.w->parts > 1);
        const clora_status checked = begun == CLORA_OK ? case_check(&run) : begun;
        context->info.max_allocation = allowed;
        case_end(&run);
        if (checked != CLORA_OK)
            context->gemm = usual;
        assert_ok(checked);
    }
    context->gemm = usual;
}

static void test_a_weight_larger_than_a_buffer_is_split_and_gives_the_same(void **state) {
    (void)state;
    for (size_t d = 0; d < 3; d++) {
        check_split(GEMM_PANEL, dtypes[d]);
        check_split(GEMM_TILE, dtypes[d]);
        if (!getenv("CLORA_TEST_SMALL"))
            check_split(GEMM_CLBLAST, dtypes[d]);
    }
}

static void test_a_split_weight_unpacks_whole(void **state) {
    const size_t allowed = context->info.max_allocation;
    const int N[3] = {100, 31, 120};

    (void)state;
    context->info.max_allocation = 9000;
    check_round_trip(CLORA_DTYPE_F32, 50, N, false);
    check_round_trip(CLORA_DTYPE_BF16, 51, N, true);
    context->info.max_allocation = allowed;
}

static void test_refuses_sizes_that_do_not_fit(void **state) {
    const int negative = 0, huge = INT32_MAX;
    const size_t allowed = context->info.max_allocation;
    const int N[5] = {8, 8, 8, 8, 8};
    weight *w;

    (void)state;
    assert_int_equal(weight_create(&w, context, CLORA_STORAGE_F32, 4, 1, &negative), CLORA_ERROR_SHAPE);
    assert_int_equal(weight_create(&w, context, CLORA_STORAGE_F32, INT32_MAX, 1, &huge), CLORA_ERROR_SHAPE);
    assert_int_equal(weight_create(&w, context, CLORA_STORAGE_F32, 4, 5, N), CLORA_ERROR_SHAPE);
    context->info.max_allocation = 64;
    assert_int_equal(weight_create(&w, context, CLORA_STORAGE_F32, 4000, 1, N), CLORA_ERROR_MEMORY);
    context->info.max_allocation = allowed;
    assert_null(w);
}

static void test_factors_unpack_to_what_was_packed_and_padding_is_zero(void **state) {
    static const int N[3] = {33, 7, 50}, R[3] = {3, 0, 5};
    static const float scale[3] = {2.0f, 1.0f, 0.5f};
    enum { K = 45 };
    weight *w;
    lowrank *lr;

    (void)state;
    assert_ok(weight_create(&w, context, CLORA_STORAGE_F32, K, 3, N));
    assert_ok(lowrank_create(&lr, w, R, scale));
    assert_int_equal(lr->R, 8);
    float *a = malloc(lr->a_count * sizeof(float)), *b = malloc(lr->b_count * sizeof(float));
    memset(a, 0xff, lr->a_count * sizeof(float));
    memset(b, 0xff, lr->b_count * sizeof(float));
    size_t values_count = 0, zeros = 0;
    for (int i = 0; i < 3; i++) {
        float in[5 * 50], out[5 * 50];
        const size_t na = (size_t)(R[i] * K), nb = (size_t)(R[i] * N[i]);
        case_fill(in, 5 * 50, 3);
        lowrank_pack_a(lr, i, a, in);
        lowrank_unpack_a(lr, i, out, a);
        assert_memory_equal(in, out, na * sizeof(float));
        lowrank_pack_b(lr, i, b, in);
        lowrank_unpack_b(lr, i, out, b);
        assert_memory_equal(in, out, nb * sizeof(float));
        values_count += na + nb;
    }
    for (size_t i = 0; i < lr->a_count; i++)
        zeros += a[i] == 0.0f;
    for (size_t i = 0; i < lr->b_count; i++)
        zeros += b[i] == 0.0f;
    assert_int_equal(zeros, lr->a_count + lr->b_count - values_count);
    free(a);
    free(b);
    lowrank_free(lr);
    weight_free(w);
}

static void test_refuses_a_term_without_any_rank(void **state) {
    static const int N = 4, R = 0, negative = -1;
    static const float scale = 1.0f;
    weight *w;
    lowrank *lr;

    (void)state;
    assert_ok(weight_create(&w, context, CLORA_STORAGE_F32, 3, 1, &N));
    assert_int_equal(lowrank_create(&lr, w, &R, &scale), CLORA_ERROR_ARGUMENT);
    assert_null(lr);
    assert_int_equal(lowrank_create(&lr, w, &negative, &scale), CLORA_ERROR_ARGUMENT);
    weight_free(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpacks_the_bytes_that_were_packed),
        cmocka_unit_test(test_the_panel_layout_is_the_one_the_header_tells),
        cmocka_unit_test(test_converts_other_float_types_with_one_rounding),
        cmocka_unit_test(test_refuses_values_that_are_not_finite_and_says_where),
        cmocka_unit_test(test_refuses_values_that_overflow_the_storage_type),
        cmocka_unit_test(test_refuses_a_bias_that_is_not_finite),
        cmocka_unit_test(test_says_the_bytes_it_takes),
        cmocka_unit_test(test_the_layout_is_what_the_tuned_parameters_say),
        cmocka_unit_test(test_a_layout_is_measured_where_it_may_win),
        cmocka_unit_test(test_a_weight_larger_than_a_buffer_is_split_and_gives_the_same),
        cmocka_unit_test(test_a_split_weight_unpacks_whole),
        cmocka_unit_test(test_refuses_sizes_that_do_not_fit),
        cmocka_unit_test(test_factors_unpack_to_what_was_packed_and_padding_is_zero),
        cmocka_unit_test(test_a_pool_holds_equal_weights_in_one_buffer),
        cmocka_unit_test(test_a_pool_that_is_too_large_is_none),
        cmocka_unit_test(test_refuses_a_term_without_any_rank),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    context->gemm = GEMM_PANEL; /* each test names another path itself */
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clora_context_free(context);
    return failed;
}
