#include "cases/case.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"

static const op_case *const lists[] = {
    cases_matmul,    cases_fused,     cases_lowrank, cases_bottleneck, cases_merge, cases_dora,
    cases_grad,      cases_layout,    cases_nn,      cases_gate,       cases_gpt2,  cases_rmsnorm,
    cases_attention, cases_optimizer, cases_past,    cases_tape,
};

enum { CODES = 4 /* in an i32 element of codes */ };
enum { GUARD = 37 /* elements: odd, so that a kernel that relies on alignment shows */ };
static const uint16_t POISON = 0x7fff; /* a NaN as f16, bf16 and, twice, as f32; a huge i32 */

size_t case_count(void) {
    size_t n = 0;

    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        for (const op_case *op = lists[i]; op->name; op++)
            n++;
    return n;
}

const op_case *case_at(size_t index) {
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        for (const op_case *op = lists[i]; op->name; op++)
            if (index-- == 0)
                return op;
    return NULL;
}

const op_case *case_find(const char *name) {
    const op_case *op = NULL;

    for (size_t i = 0; (op = case_at(i)) != NULL; i++)
        if (strcmp(op->name, name) == 0)
            return op;
    return NULL;
}

void case_fill(float *out, size_t n, unsigned seed) {
    uint32_t state = seed * 2654435761u + 12345u;

    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        out[i] = (float)(state >> 8) / 8388608.0f - 1.0f;
    }
}

unsigned case_seed(const case_run *run, unsigned number) {
    return number + 10007u * (unsigned)run->shape.seed;
}

void *case_memory(case_run *run, size_t count, size_t size) {
    static max_align_t dummy[4096]; /* what a setup may scribble on after a failure */

    if (run->status == CLORA_OK && run->memories == CASE_MEMORIES)
        run->status = clora_fail(CLORA_ERROR_ARGUMENT, "%s: too many host arrays", run->op->name);
    if (run->status == CLORA_OK && (run->memory[run->memories] = alloc_array(count, size)) == NULL)
        run->status = clora_fail(CLORA_ERROR_MEMORY, "%s: no host memory for the case", run->op->name);
    return run->status == CLORA_OK ? run->memory[run->memories++] : (void *)dummy;
}

/* f16 and bf16 keep only what they can represent, so that host and device hold the same values. */
static void round_to(clora_dtype dtype, float *values, size_t n) {
    for (size_t i = 0; i < n && dtype == CLORA_DTYPE_F16; i++)
        values[i] = dtype_f16_to_f32(dtype_f32_to_f16(values[i]));
    for (size_t i = 0; i < n && dtype == CLORA_DTYPE_BF16; i++)
        values[i] = dtype_bf16_to_f32(dtype_f32_to_bf16(values[i]));
}

static case_buffer *buffer_add(case_run *run, const char *name, case_role role, clora_dtype dtype, int rows, int cols,
                               int stride) {
    static case_buffer spare;
    const size_t n = (size_t)rows * (size_t)cols, guard = run->guards ? GUARD : 0;
    case_buffer *b = &run->buffer[run->buffers];

    if (run->status == CLORA_OK && run->buffers == CASE_BUFFERS)
        run->status = clora_fail(CLORA_ERROR_ARGUMENT, "%s: too many buffers", run->op->name);
    if (run->status != CLORA_OK) {
        spare = (case_buffer){
            .host = case_memory(run, 0, 0), .expected = case_memory(run, 0, 0), .ids = case_memory(run, 0, 0)};
        return &spare;
    }
    *b = (case_buffer){.name = name, .guard = guard, .role = role, .rows = rows, .cols = cols};
    const size_t all = 2 * guard + (size_t)(rows - 1) * (size_t)stride + (size_t)cols;
    run->status = clora_tensor_create(&b->storage, run->context, dtype, 1, (int[]){(int)all});
    run->buffers++;
    if (run->status != CLORA_OK)
        return b;
    b->tensor = tensor_slice(b->storage, guard, rows, cols);
    b->tensor.stride = stride;
    if (dtype == CLORA_DTYPE_I32) {
        b->ids = case_memory(run, n, sizeof(int32_t));
    } else {
        b->host = case_memory(run, n, sizeof(float));
        case_fill(b->host, run->status == CLORA_OK ? n : 0, case_seed(run, (unsigned)run->buffers));
        round_to(dtype, b->host, run->status == CLORA_OK ? n : 0);
    }
    if (role != CASE_IN)
        b->expected = case_memory(run, n, dtype == CLORA_DTYPE_I32 ? sizeof(int32_t[CODES]) : sizeof(float));
    return b;
}

case_buffer *case_matrix(case_run *run, const char *name, case_role role, int rows, int cols) {
    return buffer_add(run, name, role, CLORA_DTYPE_F32, rows, cols, cols + run->shape.pad);
}

case_buffer *case_dense(case_run *run, const char *name, case_role role, clora_dtype dtype, int rows, int cols) {
    return buffer_add(run, name, role, dtype, rows, cols, cols);
}

/* The bytes a buffer has before the launch: guards, gaps and overwritten outputs poisoned. The caller frees. */
static uint8_t *image_of(const case_buffer *b) {
    const size_t size = dtype_size(b->tensor.dtype), n = clora_tensor_count(b->storage);
    uint8_t *image = alloc_array(n, size);

    if (!image)
        return NULL;
    for (size_t i = 0; i < n * size; i += 2)
        memcpy(image + i, &POISON, 2);
    for (int row = 0; row < b->rows && (b->role == CASE_IN || b->role == CASE_INOUT); row++) {
        uint8_t *to = image + (b->guard + (size_t)row * (size_t)b->tensor.stride) * size;
        const size_t from = (size_t)row * (size_t)b->cols;
        if (b->ids)
            memcpy(to, b->ids + from, (size_t)b->cols * size);
        else
            dtype_from_f32(to, b->tensor.dtype, b->host + from, (size_t)b->cols);
    }
    return image;
}

clora_status case_upload(case_run *run) {
    clora_status status = run->status;

    for (int i = 0; i < run->buffers && status == CLORA_OK; i++) {
        uint8_t *image = image_of(&run->buffer[i]);
        status = image ? clora_tensor_write(run->buffer[i].storage, image)
                       : clora_fail(CLORA_ERROR_MEMORY, "%s: no host memory for the case", run->op->name);
        free(image);
    }
    return status;
}

clora_status case_begin(case_run *run, clora_context *context, const op_case *op, const op_shape *shape, bool guards) {
    memset(run, 0, sizeof(*run));
    run->context = context;
    run->op = op;
    run->shape = *shape;
    run->guards = guards;
    op->setup(run);
    return case_upload(run);
}

void case_end(case_run *run) {
    for (int i = 0; i < run->buffers; i++)
        clora_tensor_free(run->buffer[i].storage);
    for (int i = 0; i < run->memories; i++)
        free(run->memory[i]);
    lowrank_free(run->lr);
    bottleneck_free(run->bottleneck);
    weight_free(run->w);
    weight_free(run->other);
    memset(run, 0, sizeof(*run));
}

/* Is element i of the storage inside the view? Then *place is its index in host and expected. */
static bool inside(const case_buffer *b, size_t i, size_t *place) {
    if (i < b->guard)
        return false;
    const size_t row = (i - b->guard) / (size_t)b->tensor.stride, col = (i - b->guard) % (size_t)b->tensor.stride;
    *place = row * (size_t)b->cols + col;
    return row < (size_t)b->rows && col < (size_t)b->cols;
}

static size_t values_of(const case_buffer *b) {
    return (size_t)b->rows * (size_t)b->cols * (b->codes ? CODES : 1);
}

static clora_status check_values(const case_run *run, const case_buffer *b, const float *actual) {
    const size_t n = values_of(b), cols = n / (size_t)b->rows;
    double largest = 0.0, worst = -1.0;
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)b->expected[i]));
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)actual[i] - (double)b->expected[i]);
        if (!(difference <= worst)) { /* NaN is the worst of all */
            worst = difference;
            at = i;
        }
        if (isnan(difference))
            break;
    }
    const double allowed = b->codes ? 1.0 : (double)run->op->tolerance * largest;
    if (worst <= allowed)
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_OPENCL, "%s: %s[%zu,%zu] is %.9g, expected %.9g (largest %.3g, allowed %.1e)",
                      case_text(run->op, &run->shape), b->name, at / cols, at % cols, (double)actual[at],
                      (double)b->expected[at], largest, allowed);
}

/* Compare what the device holds with the image before the launch (all that must not change) and with the reference. */
static clora_status check_buffer(const case_run *run, const case_buffer *b, const uint8_t *before,
                                 const uint8_t *after) {
    const size_t size = dtype_size(b->tensor.dtype), all = clora_tensor_count(b->storage);
    clora_status status = CLORA_OK;
    size_t place = 0;
    float *actual = alloc_array(values_of(b), sizeof(float));

    if (!actual)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "%s: no host memory for the check", run->op->name));
    for (size_t i = 0; i < all; i++) {
        const bool value = inside(b, i, &place);
        if (value && b->role != CASE_IN) {
            if (b->codes)
                for (size_t k = 0; k < CODES; k++)
                    actual[CODES * place + k] = after[CODES * i + k];
            else if (b->ids)
                actual[place] = (float)((const int32_t *)(const void *)after)[i];
            else
                dtype_to_f32(&actual[place], after + i * size, b->tensor.dtype, 1);
        } else if (memcmp(before + i * size, after + i * size, size) != 0) {
            TRY(clora_fail(CLORA_ERROR_OPENCL, "%s: %s: %s at element %zu of %zu was written",
                           case_text(run->op, &run->shape), b->name, value ? "an input" : "a guard", i, all));
        }
    }
    if (b->role == CASE_OUT || b->role == CASE_INOUT)
        status = check_values(run, b, actual);
done:
    free(actual);
    return status;
}

/* Upload, launch and read everything back into after[]. */
static clora_status run_once(case_run *run, uint8_t **after) {
    clora_status status = case_upload(run);

    if (status == CLORA_OK)
        status = run->op->launch(run);
    for (int i = 0; i < run->buffers && status == CLORA_OK; i++) {
        const clora_tensor *storage = run->buffer[i].storage;
        after[i] = alloc_array(clora_tensor_count(storage), dtype_size(storage->dtype));
        status = after[i] ? clora_tensor_read(storage, after[i])
                          : clora_fail(CLORA_ERROR_MEMORY, "%s: no host memory for the check", run->op->name);
    }
    return status;
}

clora_status case_check(case_run *run) {
    clora_status status = CLORA_OK;
    uint8_t *first[CASE_BUFFERS] = {0}, *second[CASE_BUFFERS] = {0};

    for (int i = 0; i < run->buffers; i++)
        if (run->buffer[i].role == CASE_INOUT && run->buffer[i].host)
            memcpy(run->buffer[i].expected, run->buffer[i].host,
                   (size_t)run->buffer[i].rows * (size_t)run->buffer[i].cols * sizeof(float));
    TRY(run_once(run, first));
    run->op->reference(run);
    for (int i = 0; i < run->buffers; i++) {
        uint8_t *before = image_of(&run->buffer[i]);
        status = before ? check_buffer(run, &run->buffer[i], before, first[i])
                        : clora_fail(CLORA_ERROR_MEMORY, "%s: no host memory for the check", run->op->name);
        free(before);
        TRY(status);
    }
    TRY(run_once(run, second));
    for (int i = 0; i < run->buffers; i++)
        if (memcmp(first[i], second[i],
                   clora_tensor_count(run->buffer[i].storage) * dtype_size(run->buffer[i].tensor.dtype)) != 0)
            TRY(clora_fail(CLORA_ERROR_OPENCL, "%s: %s has other bits when run again", case_text(run->op, &run->shape),
                           run->buffer[i].name));
done:
    for (int i = 0; i < CASE_BUFFERS; i++) {
        free(first[i]);
        free(second[i]);
    }
    return status;
}
