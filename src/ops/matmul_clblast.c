#include "device/opencl.h"
#include "ops/matmul.h"

#include <clblast_c.h>

#include "device/pulse.h"
#include "device/scratch.h"
#include "tuning/recorder.h"

/*
 * CLBlast 1.5 builds its programs on the first call of a routine and is not safe there from several threads: one lock
 * for the process.
 */
static pthread_mutex_t clblast_lock = PTHREAD_MUTEX_INITIALIZER;

static void begin(const clora_context *context) {
    pthread_mutex_lock(&clblast_lock);
    pulse_enter(context->pulse, "CLBlastSgemm");
}

static void end(const clora_context *context) {
    pulse_leave(context->pulse);
    pthread_mutex_unlock(&clblast_lock);
}

/* Rows first .. first + rows of W0, plain f32. */
typedef struct slice {
    cl_mem buffer;
    size_t offset;
    int first, rows;
} slice;

/* y[:, first..] = x * slice^T (+ y), or dx = dy[:, first..] * slice (+ dx). */
typedef cl_int (*slice_product)(clora_tensor *out, const clora_tensor *in, const weight *w, const slice *s,
                                bool accumulate);

static cl_int forward_slice(clora_tensor *y, const clora_tensor *x, const weight *w, const slice *s, bool accumulate) {
    return (cl_int)CLBlastSgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, tensor_rows(x),
                                (size_t)s->rows, (size_t)w->K, 1.0f, x->buffer, x->offset, (size_t)x->stride, s->buffer,
                                s->offset, (size_t)w->K, accumulate ? 1.0f : 0.0f, y->buffer,
                                y->offset + (size_t)s->first, (size_t)y->stride, &w->context->queue, NULL);
}

static cl_int dx_slice(clora_tensor *dx, const clora_tensor *dy, const weight *w, const slice *s, bool accumulate) {
    return (cl_int)CLBlastSgemm(
        CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeNo, tensor_rows(dy), (size_t)w->K, (size_t)s->rows,
        1.0f, dy->buffer, dy->offset + (size_t)s->first, (size_t)dy->stride, s->buffer, s->offset, (size_t)w->K,
        accumulate || s->first > 0 ? 1.0f : 0.0f, dx->buffer, dx->offset, (size_t)dx->stride, &w->context->queue, NULL);
}

/* One part: as it lies when it is f32, else widened into the scratch as many rows at a time as that holds. */
static clora_status part_product(slice_product product, clora_tensor *out, const clora_tensor *in, const weight *w,
                                 const weight_part *part, clora_tensor *scratch, bool accumulate) {
    const size_t K = (size_t)w->K;
    const int step = scratch ? (int)(clora_tensor_count(scratch) / K) : part->panels;
    clora_status status = CLORA_OK;

    for (int row = 0; row < part->panels; row += step) {
        slice s = {.buffer = part->data->buffer,
                   .offset = part->data->offset + (size_t)row * K,
                   .first = part->panel + row,
                   .rows = part->panels - row < step ? part->panels - row : step};
        if (scratch) {
            const clora_tensor from = tensor_view(part->data, row, s.rows, 0, tensor_cols(part->data));
            clora_tensor to = tensor_slice(scratch, 0, s.rows, w->K);
            TRY(op_widen(&to, &from, w->storage));
            s.buffer = scratch->buffer;
            s.offset = scratch->offset;
        }
        const cl_int error = product(out, in, w, &s, accumulate);
        if (error != CL_SUCCESS)
            TRY(clora_fail(CLORA_ERROR_OPENCL, "CLBlastSgemm of %s by w(%d,%d) failed: %s (%d)", tensor_shape_text(in),
                           w->N, w->K, opencl_error_name(error), error));
    }
done:
    return status;
}

static clora_status whole_product(slice_product product, clora_tensor *out, const clora_tensor *in, const weight *w,
                                  bool accumulate) {
    clora_tensor *scratch = NULL;
    clora_status status = CLORA_OK;

    if (launch_is_withheld(w->context))
        return CLORA_OK;
    if (w->uses_scratch)
        TRY(scratch_take(&scratch, w->context, (size_t)w->K));
    begin(w->context);
    for (int i = 0; i < w->parts && status == CLORA_OK; i++)
        status = part_product(product, out, in, w, &w->part[i], scratch, accumulate);
    end(w->context);
    if (scratch)
        scratch_give(w->context);
done:
    return status;
}

clora_status matmul_clblast_forward(clora_tensor *y, const clora_tensor *x, const weight *w, bool accumulate) {
    return whole_product(forward_slice, y, x, w, accumulate);
}

clora_status matmul_clblast_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, bool accumulate) {
    return whole_product(dx_slice, dx, dy, w, accumulate);
}

clora_status matmul_clblast_dw(clora_tensor *dw, const clora_tensor *dy, const clora_tensor *x, const weight *w,
                               weight_span span) {
    const size_t K = (size_t)w->K;

    if (launch_is_withheld(w->context))
        return CLORA_OK;
    begin(w->context);
    const cl_int error = (cl_int)CLBlastSgemm(
        CLBlastLayoutRowMajor, CLBlastTransposeYes, CLBlastTransposeNo, (size_t)span.count, K, tensor_rows(x), 1.0f,
        dy->buffer, dy->offset + (size_t)span.first, (size_t)dy->stride, x->buffer, x->offset, (size_t)x->stride, 1.0f,
        dw->buffer, dw->offset, K, &w->context->queue, NULL);
    end(w->context);
    if (error == CL_SUCCESS)
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_OPENCL, "CLBlastSgemm of %s by %s failed: %s (%d)", tensor_shape_text(dy),
                      tensor_shape_text(x), opencl_error_name(error), error);
}
