#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/lowrank.h>
#define CL_TARGET_OPENCL_VERSION 120
#include <clora/opencl.h>

#include "cases/case.h"
#include "support/assert.h"
#include "support/scratch.h"

enum { M = 7, N = 37, K = 45, R = 3 };
static const float scale = 0.75f;

/* The program's own OpenCL objects: a context, an in-order queue, one buffer that holds x, y and dx with gaps. */
static cl_device_id device;
static cl_context cl;
static cl_command_queue queue;
static clora_context *context;

/* out (rows, cols) = p (rows, inner) * q (inner, cols), each through a rule for its strides */
static void product(double *out, const float *p, int p_row, int p_col, const double *q, int q_row, int q_col, int rows,
                    int inner, int cols) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < cols; j++) {
            double sum = 0.0;
            for (int k = 0; k < inner; k++)
                sum += (double)p[i * p_row + k * p_col] * q[k * q_row + j * q_col];
            out[i * cols + j] = sum;
        }
}

typedef struct layer {
    float w[N * K], a[R * K], b[N * R], x[M * K], dy[M * N];
    double effective[N * K]; /* W0 + s B A */
    clora_weight *weight;
    clora_lowrank *lowrank;
} layer;

static layer *make_layer(void) {
    layer *l = calloc(1, sizeof(*l));

    case_fill(l->w, N * K, 1);
    case_fill(l->a, R * K, 2);
    case_fill(l->b, N * R, 3);
    case_fill(l->x, M * K, 4);
    case_fill(l->dy, M * N, 5);
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) {
            double sum = 0.0;
            for (int r = 0; r < R; r++)
                sum += (double)l->b[n * R + r] * (double)l->a[r * K + k];
            l->effective[n * K + k] = (double)l->w[n * K + k] + (double)scale * sum;
        }
    assert_ok(clora_weight_create(&l->weight, context, CLORA_STORAGE_F32, N, K));
    assert_ok(clora_weight_write(l->weight, l->w, CLORA_DTYPE_F32));
    assert_ok(clora_lowrank_create(&l->lowrank, l->weight, R, scale, 9));
    return l;
}

static void free_layer(layer *l) {
    clora_lowrank_free(l->lowrank);
    clora_weight_free(l->weight);
    free(l);
}

static clora_tensor *make(int rows, int cols, const float *values) {
    clora_tensor *t = NULL;

    assert_ok(clora_tensor_create(&t, context, CLORA_DTYPE_F32, 2, (int[]){rows, cols}));
    if (values)
        assert_ok(clora_tensor_write(t, values));
    return t;
}

static void test_a_fresh_term_changes_nothing(void **state) {
    (void)state;
    layer *l = make_layer();
    float with[M * N], without[M * N], a[R * K], b[N * R];
    double sum = 0.0;
    clora_tensor *x = make(M, K, l->x), *y = make(M, N, NULL), *u = make(M, R, NULL);

    assert_ok(clora_lowrank_forward(y, NULL, x, l->weight, NULL));
    assert_ok(clora_tensor_read(y, without));
    assert_ok(clora_lowrank_forward(y, u, x, l->weight, l->lowrank));
    assert_ok(clora_tensor_read(y, with));
    assert_memory_equal(with, without, sizeof(with));
    assert_ok(clora_lowrank_read(l->lowrank, a, b));
    for (int i = 0; i < R * K; i++)
        sum += (double)a[i] * (double)a[i];
    assert_true(sum / (R * K) > 0.5 / K && sum / (R * K) < 2.0 / K);
    for (int i = 0; i < N * R; i++)
        assert_true(b[i] == 0.0f);
    clora_tensor_free(x);
    clora_tensor_free(y);
    clora_tensor_free(u);
    free_layer(l);
}

static void test_forward_and_backward_are_those_of_the_merged_weight(void **state) {
    (void)state;
    layer *l = make_layer();
    float y_host[M * N], dx_host[M * K], da[R * K], db[N * R];
    double expected[M * N > M * K ? M * N : M * K], grad[N * K], chain[N * K];
    clora_tensor *x = make(M, K, l->x), *y = make(M, N, NULL), *u = make(M, R, NULL);
    clora_tensor *dy = make(M, N, l->dy), *dx = make(M, K, NULL);

    assert_ok(clora_lowrank_write(l->lowrank, l->a, l->b));
    assert_ok(clora_lowrank_forward(y, u, x, l->weight, l->lowrank));
    assert_ok(clora_tensor_read(y, y_host));
    product(expected, l->x, K, 1, l->effective, 1, K, M, K, N);
    assert_close_to_doubles(y_host, expected, M * N, 1e-5);

    assert_int_equal(clora_lowrank_backward(x, l->lowrank, dy, x, u, l->weight), CLORA_ERROR_ARGUMENT);
    assert_ok(clora_lowrank_backward(dx, l->lowrank, dy, x, u, l->weight));
    assert_ok(clora_tensor_read(dx, dx_host));
    product(expected, l->dy, N, 1, l->effective, K, 1, M, N, K);
    assert_close_to_doubles(dx_host, expected, M * K, 1e-5);

    /* dW = dy^T x; dA = s B^T dW, dB = s dW A^T */
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) {
            grad[n * K + k] = 0.0;
            for (int m = 0; m < M; m++)
                grad[n * K + k] += (double)scale * (double)l->dy[m * N + n] * (double)l->x[m * K + k];
        }
    assert_ok(clora_lowrank_read_gradients(l->lowrank, da, db));
    product(chain, l->b, 1, R, grad, K, 1, R, N, K);
    assert_close_to_doubles(da, chain, R * K, 1e-5);
    for (int n = 0; n < N; n++)
        for (int r = 0; r < R; r++) {
            chain[n * R + r] = 0.0;
            for (int k = 0; k < K; k++)
                chain[n * R + r] += grad[n * K + k] * (double)l->a[r * K + k];
        }
    assert_close_to_doubles(db, chain, N * R, 1e-5);
    clora_tensor_free(x);
    clora_tensor_free(y);
    clora_tensor_free(u);
    clora_tensor_free(dy);
    clora_tensor_free(dx);
    free_layer(l);
}

static void test_updates_lower_a_loss(void **state) {
    (void)state;
    layer *l = make_layer();
    float y_host[M * N], dy_host[M * N];
    double first = 0.0, loss = 0.0;
    clora_adamw_options options = CLORA_ADAMW_OPTIONS_INIT;
    clora_tensor *x = make(M, K, l->x), *y = make(M, N, NULL), *u = make(M, R, NULL), *dy = make(M, N, NULL);

    options.lr = 0.05f;
    for (int step = 1; step <= 60; step++) { /* fit the outputs to l->dy: loss = sum (y - target)^2 / 2 */
        assert_ok(clora_lowrank_forward(y, u, x, l->weight, l->lowrank));
        assert_ok(clora_tensor_read(y, y_host));
        loss = 0.0;
        for (int i = 0; i < M * N; i++) {
            dy_host[i] = y_host[i] - l->dy[i];
            loss += 0.5 * (double)dy_host[i] * (double)dy_host[i];
        }
        first = step == 1 ? loss : first;
        assert_ok(clora_tensor_write(dy, dy_host));
        assert_ok(clora_lowrank_backward(NULL, l->lowrank, dy, x, u, l->weight));
        assert_ok(clora_lowrank_update(l->lowrank, step, &options));
    }
    assert_true(loss < 0.7 * first);
    clora_tensor_free(x);
    clora_tensor_free(y);
    clora_tensor_free(u);
    clora_tensor_free(dy);
    free_layer(l);
}

static clora_status lay(clora_tensor **out, cl_mem buffer, size_t offset, int rows, int cols, int stride) {
    clora_tensor_layout layout = CLORA_TENSOR_LAYOUT_INIT;

    layout.ndim = 2;
    layout.shape = (const int[]){rows, cols};
    layout.offset = offset;
    layout.stride = stride;
    return clora_tensor_from_opencl(out, context, buffer, &layout);
}

static void test_works_on_the_callers_buffer_with_offset_and_stride(void **state) {
    (void)state;
    enum { X0 = 3, X_STRIDE = K + 5, Y0 = X0 + M * X_STRIDE + 1, Y_STRIDE = N + 2, TOTAL = Y0 + M * Y_STRIDE + 4 };
    layer *l = make_layer();
    float host[TOTAL], before[TOTAL];
    double expected[M * N];
    cl_int error;
    clora_tensor *x = NULL, *y = NULL, *u = make(M, R, NULL);

    case_fill(host, TOTAL, 11);
    for (int m = 0; m < M; m++)
        memcpy(host + X0 + m * X_STRIDE, l->x + m * K, K * sizeof(float));
    memcpy(before, host, sizeof(host));
    cl_mem buffer = clCreateBuffer(cl, CL_MEM_COPY_HOST_PTR, sizeof(host), host, &error);
    assert_int_equal(error, CL_SUCCESS);
    assert_ok(lay(&x, buffer, X0 * sizeof(float), M, K, X_STRIDE));
    assert_ok(lay(&y, buffer, Y0 * sizeof(float), M, N, Y_STRIDE));
    assert_ok(clora_lowrank_write(l->lowrank, l->a, l->b));
    assert_ok(clora_lowrank_forward(y, u, x, l->weight, l->lowrank));
    assert_int_equal(clEnqueueReadBuffer(queue, buffer, CL_TRUE, 0, sizeof(host), host, 0, NULL, NULL), CL_SUCCESS);
    product(expected, l->x, K, 1, l->effective, 1, K, M, K, N);
    for (int i = 0; i < TOTAL; i++) {
        const int m = (i - Y0) / Y_STRIDE, n = (i - Y0) % Y_STRIDE;
        if (i >= Y0 && m < M && n < N)
            assert_close_to_doubles(&host[i], &expected[m * N + n], 1, 1e-5);
        else
            assert_true(host[i] == before[i]); /* not a byte beside y was touched */
    }
    float dense[M * N];
    assert_ok(clora_tensor_read(y, dense));
    assert_close_to_doubles(dense, expected, M * N, 1e-5);
    clora_tensor *past = NULL;
    assert_int_equal(lay(&past, buffer, Y0 * sizeof(float), M + 1, N, Y_STRIDE + 8), CLORA_ERROR_SHAPE);
    assert_int_equal(lay(&past, buffer, 2, 1, 1, 0), CLORA_ERROR_ARGUMENT);
    clora_tensor_free(x);
    clora_tensor_free(y);
    clora_tensor_free(u);
    clReleaseMemObject(buffer);
    free_layer(l);
}

static void test_refuses_shapes_that_do_not_fit(void **state) {
    (void)state;
    layer *l = make_layer();
    clora_tensor *x = make(M, K - 1, NULL), *y = make(M, N, NULL), *u = make(M, R, NULL);

    assert_int_equal(clora_lowrank_forward(y, u, x, l->weight, l->lowrank), CLORA_ERROR_SHAPE);
    assert_int_equal(clora_lowrank_forward(y, NULL, x, l->weight, l->lowrank), CLORA_ERROR_ARGUMENT);
    clora_lowrank *none = NULL;
    assert_int_equal(clora_lowrank_create(&none, l->weight, 0, 1.0f, 0), CLORA_ERROR_ARGUMENT);
    assert_null(none);
    clora_tensor_free(x);
    clora_tensor_free(y);
    clora_tensor_free(u);
    free_layer(l);
}

static void test_refusals_name_the_argument(void **state) {
    (void)state;
    layer *l = make_layer();
    clora_tensor *x = make(M, K, NULL), *y = make(M, N, NULL), *u = make(M, R, NULL), *dx = make(M + 1, K, NULL);
    clora_tensor *long_y = make(M + 1, N, NULL), *half = NULL;

    assert_ok(clora_tensor_create(&half, context, CLORA_DTYPE_F16, 2, (int[]){M, K}));
    assert_refused(clora_lowrank_forward(y, u, half, l->weight, l->lowrank), CLORA_ERROR_ARGUMENT, "x holds f16");
    assert_refused(clora_lowrank_forward(x, u, x, l->weight, l->lowrank), CLORA_ERROR_SHAPE, "y is (7,45)");
    assert_refused(clora_lowrank_forward(long_y, NULL, x, l->weight, NULL), CLORA_ERROR_SHAPE, "must be (7,37)");
    assert_refused(clora_lowrank_forward(y, x, x, l->weight, l->lowrank), CLORA_ERROR_SHAPE, "u is (7,45)");
    assert_refused(clora_lowrank_backward(dx, l->lowrank, y, x, u, l->weight), CLORA_ERROR_SHAPE, "dx is (8,45)");
    assert_refused(clora_lowrank_backward(NULL, l->lowrank, long_y, x, u, l->weight), CLORA_ERROR_SHAPE,
                   "dy is (8,37)");
    clora_tensor_free(x);
    clora_tensor_free(y);
    clora_tensor_free(u);
    clora_tensor_free(dx);
    clora_tensor_free(long_y);
    clora_tensor_free(half);
    free_layer(l);
}

static void test_a_weight_without_values_is_not_used(void **state) {
    (void)state;
    layer *l = make_layer();
    clora_tensor *x = make(M, K, l->x), *y = make(M, N, NULL), *u = make(M, R, NULL);
    clora_weight *empty = NULL;

    assert_refused(clora_weight_create(&empty, context, CLORA_STORAGE_F32, INT32_MAX, 1), CLORA_ERROR_SHAPE,
                   "too large");
    assert_refused(clora_weight_create(&empty, context, CLORA_STORAGE_F32, 1, INT32_MAX), CLORA_ERROR_SHAPE,
                   "too large");
    assert_ok(clora_weight_create(&empty, context, CLORA_STORAGE_F32, N, K));
    assert_refused(clora_lowrank_forward(y, NULL, x, empty, NULL), CLORA_ERROR_ARGUMENT, "no values yet");
    assert_refused(clora_weight_write(empty, l->w, (clora_dtype)77), CLORA_ERROR_ARGUMENT, "element type 77");
    assert_refused(clora_weight_write(empty, l->w, CLORA_DTYPE_I32), CLORA_ERROR_ARGUMENT, "element type 3");
    assert_refused(clora_lowrank_forward(y, NULL, x, empty, NULL), CLORA_ERROR_ARGUMENT, "no values yet");
    assert_ok(clora_weight_write(empty, l->w, CLORA_DTYPE_F32));
    assert_ok(clora_lowrank_forward(y, NULL, x, empty, NULL));
    l->w[3] = INFINITY;
    assert_refused(clora_weight_write(empty, l->w, CLORA_DTYPE_F32), CLORA_ERROR_FORMAT, "row 0, column 3");
    assert_refused(clora_lowrank_forward(y, NULL, x, empty, NULL), CLORA_ERROR_ARGUMENT, "no values yet");
    assert_refused(clora_weight_write(l->weight, l->w, CLORA_DTYPE_F32), CLORA_ERROR_FORMAT, "not finite");
    assert_refused(clora_lowrank_backward(NULL, l->lowrank, y, x, u, l->weight), CLORA_ERROR_ARGUMENT, "no values yet");
    clora_weight_free(empty);
    clora_tensor_free(x);
    clora_tensor_free(y);
    clora_tensor_free(u);
    free_layer(l);
}

/* y of a weight whose values lie in a buffer of the program's, with an offset and gaps, or come from the host. */
static void forward_of(float *y_host, int rows, int cols, const float *values, bool by_tensor) {
    enum { OFFSET = 3, GAP = 5 };
    const size_t stride = (size_t)cols + GAP, total = OFFSET + (size_t)rows * stride;
    clora_tensor_layout layout = CLORA_TENSOR_LAYOUT_INIT;
    clora_tensor *x = make(M, cols, values), *y = make(M, rows, NULL), *w0;
    float *host = calloc(total, sizeof(*host));
    clora_weight *weight;
    cl_int error;

    for (int n = 0; n < rows; n++)
        memcpy(host + OFFSET + (size_t)n * stride, values + (size_t)n * (size_t)cols, (size_t)cols * sizeof(*host));
    cl_mem buffer = clCreateBuffer(cl, CL_MEM_COPY_HOST_PTR, total * sizeof(*host), host, &error);
    assert_int_equal(error, CL_SUCCESS);
    layout.ndim = 2;
    layout.shape = (int[]){rows, cols};
    layout.offset = OFFSET * sizeof(float);
    layout.stride = (int)stride;
    assert_ok(clora_tensor_from_opencl(&w0, context, buffer, &layout));
    assert_ok(clora_weight_create(&weight, context, CLORA_STORAGE_F32, rows, cols));
    assert_ok(by_tensor ? clora_weight_write_tensor(weight, w0) : clora_weight_write(weight, values, CLORA_DTYPE_F32));
    assert_ok(clora_lowrank_forward(y, NULL, x, weight, NULL));
    assert_ok(clora_tensor_read(y, y_host));
    clora_weight_free(weight);
    clora_tensor_free(w0);
    clora_tensor_free(x);
    clora_tensor_free(y);
    clReleaseMemObject(buffer);
    free(host);
}

static void test_a_weight_takes_its_values_from_the_callers_buffer(void **state) {
    (void)state;
    static const int shapes[][2] = {{N, K}, {600, 512}}; /* the second in several pieces */

    for (int i = 0; i < 2; i++) {
        const int rows = shapes[i][0], cols = shapes[i][1];
        const size_t n = (size_t)rows * (size_t)cols, bytes = (size_t)(M * rows) * sizeof(float);
        float *values = malloc(n * sizeof(*values)), *y = malloc(bytes), *expected = malloc(bytes);
        case_fill(values, n, 7);
        forward_of(expected, rows, cols, values, false);
        forward_of(y, rows, cols, values, true);
        assert_memory_equal(y, expected, bytes);
        free(values);
        free(y);
        free(expected);
    }
}

static void test_a_weight_refuses_tensors_that_are_not_its_values(void **state) {
    (void)state;
    layer *l = make_layer();
    clora_tensor *across = make(K, N, NULL), *values, *whole;

    l->w[K + 2] = NAN;
    values = make(N, K, l->w);
    assert_ok(clora_tensor_create(&whole, context, CLORA_DTYPE_I32, 2, (int[]){N, K}));
    assert_refused(clora_weight_write_tensor(l->weight, across), CLORA_ERROR_SHAPE, "(45,37); the weight is (37,45)");
    assert_refused(clora_weight_write_tensor(l->weight, whole), CLORA_ERROR_ARGUMENT, "not from i32");
    clora_tensor *x = make(M, K, l->x), *y = make(M, N, NULL);
    assert_ok(clora_lowrank_forward(y, NULL, x, l->weight, NULL)); /* it has its values still */
    assert_refused(clora_weight_write_tensor(l->weight, values), CLORA_ERROR_FORMAT, "row 1, column 2");
    assert_refused(clora_lowrank_forward(y, NULL, x, l->weight, NULL), CLORA_ERROR_ARGUMENT, "no values yet");
    clora_tensor_free(across);
    clora_tensor_free(values);
    clora_tensor_free(whole);
    clora_tensor_free(x);
    clora_tensor_free(y);
    free_layer(l);
}

static void test_numbers_that_make_no_sense_change_nothing(void **state) {
    (void)state;
    static const float bad[] = {NAN, -1.0f, INFINITY, -INFINITY};
    layer *l = make_layer();
    float a[R * K], b[N * R];

    assert_ok(clora_lowrank_write(l->lowrank, l->a, l->b));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        clora_adamw_options lr = CLORA_ADAMW_OPTIONS_INIT, decay = CLORA_ADAMW_OPTIONS_INIT;
        lr.lr = decay.weight_decay = bad[i];
        assert_refused(clora_lowrank_update(l->lowrank, 1, &lr), CLORA_ERROR_ARGUMENT, "learning rate");
        assert_refused(clora_lowrank_update(l->lowrank, 1, &decay), CLORA_ERROR_ARGUMENT, "weight decay");
    }
    memcpy(a, l->a, sizeof(a));
    memcpy(b, l->b, sizeof(b));
    a[0] += 1.0f;
    b[R + 2] = NAN;
    assert_refused(clora_lowrank_write(l->lowrank, a, b), CLORA_ERROR_FORMAT, "B: the value at row 1, column 2");
    a[R * K - 1] = -INFINITY;
    assert_refused(clora_lowrank_write(l->lowrank, a, NULL), CLORA_ERROR_FORMAT, "A: the value at row 2, column 44");
    assert_ok(clora_lowrank_read(l->lowrank, a, b));
    assert_memory_equal(a, l->a, sizeof(a));
    assert_memory_equal(b, l->b, sizeof(b));
    free_layer(l);
}

static void test_refuses_weights_that_are_not_finite(void **state) {
    (void)state;
    layer *l = make_layer();

    l->w[5] = NAN;
    assert_int_equal(clora_weight_write(l->weight, l->w, CLORA_DTYPE_F32), CLORA_ERROR_FORMAT);
    free_layer(l);
}

static void test_refuses_a_queue_that_is_out_of_order(void **state) {
    (void)state;
    cl_int error;
    clora_context *other = NULL;
    cl_command_queue wild = clCreateCommandQueue(cl, device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &error);

    if (error != CL_SUCCESS)
        skip(); /* the device has no such queues */
    assert_int_equal(clora_context_from_opencl(&other, cl, wild), CLORA_ERROR_ARGUMENT);
    assert_null(other);
    clReleaseCommandQueue(wild);
}

static int setup(void **state) {
    cl_int error;
    cl_platform_id platform;

    (void)state;
    if (clGetPlatformIDs(1, &platform, NULL) != CL_SUCCESS ||
        clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) != CL_SUCCESS)
        return 1;
    cl = clCreateContext(NULL, 1, &device, NULL, NULL, &error);
    queue = clCreateCommandQueue(cl, device, 0, &error);
    return error != CL_SUCCESS || clora_context_from_opencl(&context, cl, queue) != CLORA_OK;
}

static int teardown(void **state) {
    (void)state;
    clora_context_free(context);
    clReleaseCommandQueue(queue);
    clReleaseContext(cl);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fresh_term_changes_nothing),
        cmocka_unit_test(test_forward_and_backward_are_those_of_the_merged_weight),
        cmocka_unit_test(test_updates_lower_a_loss),
        cmocka_unit_test(test_works_on_the_callers_buffer_with_offset_and_stride),
        cmocka_unit_test(test_refuses_shapes_that_do_not_fit),
        cmocka_unit_test(test_refusals_name_the_argument),
        cmocka_unit_test(test_a_weight_without_values_is_not_used),
        cmocka_unit_test(test_a_weight_takes_its_values_from_the_callers_buffer),
        cmocka_unit_test(test_a_weight_refuses_tensors_that_are_not_its_values),
        cmocka_unit_test(test_numbers_that_make_no_sense_change_nothing),
        cmocka_unit_test(test_refuses_weights_that_are_not_finite),
        cmocka_unit_test(test_refuses_a_queue_that_is_out_of_order),
    };
    cl_uint platforms = 0;
    if (clGetPlatformIDs(0, NULL, &platforms) != CL_SUCCESS || platforms == 0) {
        fprintf(stderr, "skipped: no OpenCL platform\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, setup, teardown);
}
