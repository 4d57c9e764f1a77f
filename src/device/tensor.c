#include "device/tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/options.h"
#include "device/buffer.h"
#include "device/fork.h"
#include "device/opencl.h"
#include "device/pulse.h"
#include "device/withhold.h"

int tensor_cols(const clora_tensor *t) {
    return t->shape[t->ndim - 1];
}

size_t tensor_rows(const clora_tensor *t) {
    size_t rows = 1;

    for (int i = 0; i < t->ndim - 1; i++)
        rows *= (size_t)t->shape[i];
    return rows;
}

bool tensor_is_dense(const clora_tensor *t) {
    return t->stride == tensor_cols(t) || tensor_rows(t) == 1;
}

size_t clora_tensor_count(const clora_tensor *t) {
    return t ? tensor_rows(t) * (size_t)tensor_cols(t) : 0;
}
clora_dtype clora_tensor_dtype(const clora_tensor *t) {
    return t ? t->dtype : CLORA_DTYPE_F32;
}
int clora_tensor_ndim(const clora_tensor *t) {
    return t ? t->ndim : 0;
}
const int *clora_tensor_shape(const clora_tensor *t) {
    return t ? t->shape : NULL;
}
cl_mem clora_tensor_buffer(const clora_tensor *t) {
    return t ? t->buffer : NULL;
}

const char *tensor_shape_text(const clora_tensor *t) {
    static _Thread_local char text[4][64];
    static _Thread_local int next;
    char *out = text[next = (next + 1) % 4];
    size_t used = 0;

    if (!t)
        return "(none)";
    for (int i = 0; i < t->ndim; i++)
        used += (size_t)snprintf(out + used, sizeof(text[0]) - used, "%c%d", i ? ',' : '(', t->shape[i]);
    snprintf(out + used, sizeof(text[0]) - used, ")");
    return out;
}

/* Set dtype, dimensions and stride; *bytes = from element 0 to the end of the last row. */
static clora_status describe(clora_tensor *t, size_t *bytes, clora_dtype dtype, int ndim, const int *shape,
                             int stride) {
    size_t rows = 1, elements;

    if (ndim < 1 || ndim > 4)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a tensor has 1 to 4 dimensions, not %d", ndim);
    if ((int)dtype < CLORA_DTYPE_F32 || dtype > CLORA_DTYPE_I32)
        return clora_fail(CLORA_ERROR_ARGUMENT, "no element type %d", (int)dtype);
    t->dtype = dtype;
    t->ndim = ndim;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 1)
            return clora_fail(CLORA_ERROR_SHAPE, "dimension %d of a tensor is %d; the least is 1", i, shape[i]);
        t->shape[i] = shape[i];
        if (i < ndim - 1 && !size_mul(rows, (size_t)shape[i], &rows))
            return clora_fail(CLORA_ERROR_SHAPE, "a tensor of that shape is too large");
    }
    t->stride = stride ? stride : shape[ndim - 1];
    if (t->stride < shape[ndim - 1])
        return clora_fail(CLORA_ERROR_SHAPE, "the stride %d is less than a row's %d elements", stride, shape[ndim - 1]);
    if (!size_mul(rows - 1, (size_t)t->stride, &elements) || !size_add(elements, (size_t)shape[ndim - 1], &elements) ||
        !size_mul(elements, dtype_size(dtype), bytes))
        return clora_fail(CLORA_ERROR_SHAPE, "a tensor of that shape is too large");
    return CLORA_OK;
}

static clora_status create(clora_tensor **out, clora_context *context, clora_dtype dtype, int ndim, const int *shape) {
    clora_status status = CLORA_OK;
    size_t bytes = 0;
    clora_tensor *t = calloc(1, sizeof(*t));

    *out = NULL;
    if (!t)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a tensor");
    TRY(describe(t, &bytes, dtype, ndim, shape, 0));
    TRY(buffer_create(&t->buffer, context, bytes));
    shared_hold(&context->shared);
    t->context = context;
    t->owned = bytes;
    *out = t;
    t = NULL;
done:
    free(t);
    return status;
}

clora_status clora_tensor_create(clora_tensor **out, clora_context *context, clora_dtype dtype, int ndim,
                                 const int *shape) {
    NEED(out);
    *out = NULL;
    NEED(context);
    NEED(shape);
    return clora_keep_cause(create(out, context, dtype, ndim, shape));
}

clora_status tensor_new(clora_tensor **out, clora_context *context, clora_dtype dtype, int rows, int cols) {
    return create(out, context, dtype, 2, (int[]){rows, cols});
}

clora_status clora_tensor_from_opencl(clora_tensor **out, clora_context *context, cl_mem buffer,
                                      const clora_tensor_layout *layout) {
    clora_tensor_layout all = CLORA_TENSOR_LAYOUT_INIT;
    clora_status status = CLORA_OK;
    size_t bytes, end, size = 0;
    cl_context owner = NULL;
    clora_tensor *t = NULL;

    NEED(out);
    *out = NULL;
    NEED(context);
    NEED(buffer);
    NEED(layout);
    TRY(OPTIONS_TAKE(all, layout));
    if (!all.shape)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "clora_tensor_from_opencl: a layout without a shape"));
    t = calloc(1, sizeof(*t));
    if (!t)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a tensor"));
    if (clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof(size), &size, NULL) != CL_SUCCESS ||
        clGetMemObjectInfo(buffer, CL_MEM_CONTEXT, sizeof(owner), &owner, NULL) != CL_SUCCESS || owner != context->cl)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "clora_tensor_from_opencl: not a buffer of this OpenCL context"));
    TRY(describe(t, &bytes, all.dtype, all.ndim, all.shape, all.stride));
    if (all.offset % dtype_size(all.dtype) != 0)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "clora_tensor_from_opencl: offset %zu is not a multiple of %zu",
                       all.offset, dtype_size(all.dtype)));
    if (!size_add(all.offset, bytes, &end) || end > size)
        TRY(clora_fail(CLORA_ERROR_SHAPE,
                       "clora_tensor_from_opencl: %s reaches %zu bytes past offset %zu; the buffer has %zu",
                       tensor_shape_text(t), bytes, all.offset, size));
    t->context = context;
    t->offset = all.offset / dtype_size(all.dtype);
    t->buffer = buffer;
    clRetainMemObject(buffer);
    shared_hold(&context->shared);
    *out = t;
    t = NULL;
done:
    free(t);
    return clora_keep_cause(status);
}

void clora_tensor_free(clora_tensor *t) {
    if (!t)
        return;
    buffer_release(t->context, t->buffer, t->owned);
    shared_let_go(&t->context->shared);
    free(t);
}

clora_tensor tensor_view(const clora_tensor *t, int row0, int rows, int col0, int cols) {
    clora_tensor v = *t;

    v.owned = 0;
    v.offset += (size_t)row0 * (size_t)t->stride + (size_t)col0;
    v.ndim = 2;
    v.shape[0] = rows;
    v.shape[1] = cols;
    return v;
}

clora_tensor tensor_slice(const clora_tensor *t, size_t offset, int rows, int cols) {
    clora_tensor v = *t;

    v.owned = 0;
    v.offset += offset;
    v.ndim = 2;
    v.shape[0] = rows;
    v.shape[1] = cols;
    v.stride = cols;
    return v;
}

clora_status tensor_split(clora_tensor **out, clora_tensor *from, size_t offset, int rows, int cols) {
    clora_tensor *t = calloc(1, sizeof(*t));

    *out = NULL;
    if (!t)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a tensor");
    *t = tensor_slice(from, offset, rows, cols);
    t->owned = clora_tensor_count(t) * dtype_size(t->dtype);
    const clora_status status = buffer_share(&t->buffer, t->context);
    if (status != CLORA_OK) {
        free(t);
        return status;
    }
    shared_hold(&t->context->shared);
    from->owned -= t->owned;
    *out = t;
    return CLORA_OK;
}

/* Host transfers move a strided matrix as a rectangle: bytes, rows, slices. */
typedef cl_int (*transfer)(const clora_tensor *t, const size_t origin[3], const size_t region[3], size_t pitch,
                           void *data);

static cl_int read_rect(const clora_tensor *t, const size_t origin[3], const size_t region[3], size_t pitch,
                        void *data) {
    return clEnqueueReadBufferRect(t->context->queue, t->buffer, CL_TRUE, origin, (size_t[3]){0}, region, pitch, 0,
                                   region[0], 0, data, 0, NULL, NULL);
}

static cl_int write_rect(const clora_tensor *t, const size_t origin[3], const size_t region[3], size_t pitch,
                         void *data) {
    return clEnqueueWriteBufferRect(t->context->queue, t->buffer, CL_TRUE, origin, (size_t[3]){0}, region, pitch, 0,
                                    region[0], 0, data, 0, NULL, NULL);
}

/* A rectangle's origin must be a byte, a row and a slice of the pitch: a view's offset is all in the first two. */
static cl_int transfer_rows(const clora_tensor *t, transfer move, void *data) {
    const size_t size = dtype_size(t->dtype), pitch = (size_t)t->stride * size, start = t->offset * size;
    const size_t row = (size_t)tensor_cols(t) * size, rows = tensor_rows(t);

    if (start % pitch + row <= pitch)
        return move(t, (size_t[3]){start % pitch, start / pitch, 0}, (size_t[3]){row, rows, 1}, pitch, data);
    for (size_t i = 0; i < rows; i++) { /* rows that straddle the pitch go one by one */
        const cl_int error =
            move(t, (size_t[3]){start + i * pitch, 0, 0}, (size_t[3]){row, 1, 1}, 0, (char *)data + i * row);
        if (error != CL_SUCCESS)
            return error;
    }
    return CL_SUCCESS;
}

clora_status clora_tensor_read(const clora_tensor *tensor, void *data) {
    clora_status status = CLORA_OK;

    NEED(tensor);
    NEED(data);
    TRY(fork_check());
    (void)withhold_sees();
    const size_t size = dtype_size(tensor->dtype);
    if (tensor->context->outlined) {
        memset(data, 0, clora_tensor_count(tensor) * size);
        return CLORA_OK;
    }
    pulse_enter(tensor->context->pulse, "clEnqueueReadBuffer");
    const cl_int error =
        tensor_is_dense(tensor)
            ? clEnqueueReadBuffer(tensor->context->queue, tensor->buffer, CL_TRUE, tensor->offset * size,
                                  clora_tensor_count(tensor) * size, data, 0, NULL, NULL)
            : transfer_rows(tensor, read_rect, data);
    pulse_leave(tensor->context->pulse);
    if (error != CL_SUCCESS)
        status = opencl_fail(error, "cannot read from the device");
done:
    return status;
}

clora_status clora_tensor_write(clora_tensor *tensor, const void *data) {
    clora_status status = CLORA_OK;

    NEED(tensor);
    NEED(data);
    TRY(fork_check());
    (void)withhold_sees();
    if (tensor_is_dense(tensor) || tensor->context->outlined)
        return tensor_write_part(tensor, 0, clora_tensor_count(tensor), data);
    pulse_enter(tensor->context->pulse, "clEnqueueWriteBufferRect");
    const cl_int error = transfer_rows(tensor, write_rect, (void *)(uintptr_t)data);
    pulse_leave(tensor->context->pulse);
    if (error != CL_SUCCESS)
        status = opencl_fail(error, "cannot write to the device");
done:
    return status;
}

static clora_status write_elements(clora_tensor *t, size_t offset, size_t n, const void *data, bool wait) {
    const size_t size = dtype_size(t->dtype);

    (void)withhold_sees();
    if (t->context->outlined)
        return CLORA_OK;
    pulse_enter(t->context->pulse, "clEnqueueWriteBuffer");
    const cl_int error = clEnqueueWriteBuffer(t->context->queue, t->buffer, wait, (t->offset + offset) * size, n * size,
                                              data, 0, NULL, NULL);
    pulse_leave(t->context->pulse);
    return error == CL_SUCCESS ? CLORA_OK : opencl_fail(error, "cannot write to the device");
}

clora_status tensor_write_part(clora_tensor *t, size_t offset, size_t n, const void *data) {
    return write_elements(t, offset, n, data, true);
}

clora_status tensor_send(clora_tensor *t, size_t n, const void *data) {
    return write_elements(t, 0, n, data, false);
}

clora_status tensor_copy(clora_tensor *to, const clora_tensor *from) {
    const size_t size = dtype_size(from->dtype), bytes = clora_tensor_count(from) * size;
    const cl_int error = clEnqueueCopyBuffer(from->context->queue, from->buffer, to->buffer, from->offset * size,
                                             to->offset * size, bytes, 0, NULL, NULL);
    return error == CL_SUCCESS ? CLORA_OK : opencl_fail(error, "cannot copy on the device");
}

clora_status clora_tensor_copy(clora_tensor *to, const clora_tensor *from) {
    NEED(to);
    NEED(from);
    if (to->dtype != from->dtype || clora_tensor_count(to) != clora_tensor_count(from) || !tensor_is_dense(to) ||
        !tensor_is_dense(from))
        return clora_fail(CLORA_ERROR_SHAPE, "tensor_copy: to%s from%s", tensor_shape_text(to),
                          tensor_shape_text(from));
    (void)withhold_sees();
    return to->context->outlined ? CLORA_OK : tensor_copy(to, from);
}

clora_status clora_tensor_zero(clora_tensor *tensor) {
    NEED(tensor);
    const size_t size = dtype_size(tensor->dtype), row = (size_t)tensor_cols(tensor) * size;
    const size_t rows = tensor_is_dense(tensor) ? 1 : tensor_rows(tensor);
    const size_t bytes = tensor_is_dense(tensor) ? clora_tensor_count(tensor) * size : row;
    const cl_uchar zero[4] = {0};

    (void)withhold_sees();
    if (tensor->context->outlined)
        return CLORA_OK;
    for (size_t i = 0; i < rows; i++) {
        const size_t offset = (tensor->offset + i * (size_t)tensor->stride) * size;
        const cl_int error =
            clEnqueueFillBuffer(tensor->context->queue, tensor->buffer, zero, size, offset, bytes, 0, NULL, NULL);
        if (error != CL_SUCCESS)
            return opencl_fail(error, "cannot fill a device buffer");
    }
    return CLORA_OK;
}

clora_status tensor_map(void **out, const clora_tensor *t, bool write) {
    const size_t size = dtype_size(t->dtype);
    const clora_status status = fork_check();
    cl_int error;

    *out = NULL;
    (void)withhold_sees();
    if (status != CLORA_OK)
        return status;
    if (t->context->outlined) {
        *out = calloc(clora_tensor_count(t), size);
        return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for an outline");
    }
    pulse_enter(t->context->pulse, "clEnqueueMapBuffer");
    *out =
        clEnqueueMapBuffer(t->context->queue, t->buffer, CL_TRUE, write ? CL_MAP_WRITE_INVALIDATE_REGION : CL_MAP_READ,
                           t->offset * size, clora_tensor_count(t) * size, 0, NULL, NULL, &error);
    pulse_leave(t->context->pulse);
    return error == CL_SUCCESS ? CLORA_OK : opencl_fail(error, "cannot map a device buffer");
}

clora_status tensor_unmap(const clora_tensor *t, void *mapped) {
    if (t->context->outlined) {
        free(mapped);
        return CLORA_OK;
    }
    const cl_int error = clEnqueueUnmapMemObject(t->context->queue, t->buffer, mapped, 0, NULL, NULL);
    return error == CL_SUCCESS ? CLORA_OK : opencl_fail(error, "cannot unmap a device buffer");
}
