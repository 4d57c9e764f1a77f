#include "ops/bottleneck.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "device/kernel_family.h"

/* A factor of `rows` rows over `cols` columns, in panels. */
static size_t factor_count(const clora_context *context, int rows, int cols) {
    const size_t NR = (size_t)kernel_panel_width(context);
    return divide_up_size((size_t)cols, NR) * NR * (size_t)rows;
}

static clora_status make_ones(bottleneck *b) {
    float *ones = alloc_array((size_t)b->R + 1, sizeof(*ones));
    clora_status status = CLORA_OK;

    if (!ones)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a bottleneck");
    for (int r = 0; r <= b->R; r++)
        ones[r] = 1.0f;
    TRY(tensor_new(&b->ones, b->context, CLORA_DTYPE_F32, 1, b->R + 1));
    TRY(clora_tensor_write(b->ones, ones));
done:
    free(ones);
    return status;
}

clora_status bottleneck_describe(bottleneck *b, clora_context *context, int C, int R) {
    *b = (bottleneck){.context = context,
                      .C = C,
                      .R = R,
                      .down_count = factor_count(context, R, C),
                      .bias_count = factor_count(context, 1, R),
                      .up_count = factor_count(context, R + 1, C)};
    return bottleneck_count(b) <= INT32_MAX
               ? CLORA_OK
               : clora_fail(CLORA_ERROR_SHAPE, "a bottleneck of %d columns for %d is too large", R, C);
}

clora_status bottleneck_create(bottleneck **out, clora_context *context, int C, int R) {
    clora_status status = CLORA_OK;
    bottleneck *b = calloc(1, sizeof(*b));

    *out = NULL;
    if (!b)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a bottleneck");
    TRY(bottleneck_describe(b, context, C, R));
    TRY(make_ones(b));
    *out = b;
    b = NULL;
done:
    bottleneck_free(b);
    return status;
}

void bottleneck_free(bottleneck *b) {
    if (!b)
        return;
    clora_tensor_free(b->ones);
    free(b);
}

size_t bottleneck_count(const bottleneck *b) {
    return b->down_count + b->bias_count + b->up_count;
}

bottleneck_values bottleneck_slice(const bottleneck *b, const clora_tensor *flat, size_t offset) {
    const size_t bias = offset + b->down_count, up = bias + b->bias_count;

    return (bottleneck_values){.down = tensor_slice(flat, offset, 1, (int)b->down_count),
                               .bias = tensor_slice(flat, bias, 1, (int)b->bias_count),
                               .up = tensor_slice(flat, up, 1, (int)b->up_count)};
}

/* Where element (r, c) of a factor of so many rows lies. */
static size_t place(const bottleneck *b, int rows, int r, int c) {
    const size_t NR = (size_t)kernel_panel_width(b->context);
    return ((size_t)c / NR * (size_t)rows + (size_t)r) * NR + (size_t)c % NR;
}

clora_status bottleneck_rows_create(bottleneck_rows *out, const bottleneck *b) {
    const size_t C = (size_t)b->C, R = (size_t)b->R;
    float *all = alloc_array(2 * C * R + C + R, sizeof(*all));

    *out = (bottleneck_rows){0};
    if (!all)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a bottleneck's weights");
    *out = (bottleneck_rows){all, all + C * R, all + C * R + R, all + 2 * C * R + R};
    return CLORA_OK;
}

void bottleneck_rows_free(bottleneck_rows *rows) {
    free(rows->down);
}

void bottleneck_pack(const bottleneck *b, float *image, const bottleneck_rows *rows) {
    const int C = b->C, R = b->R;
    float *down = image, *bias = down + b->down_count, *up = bias + b->bias_count;

    memset(image, 0, bottleneck_count(b) * sizeof(*image));
    memcpy(bias, rows->down_bias, (size_t)R * sizeof(*bias));
    for (int c = 0; c < C; c++) {
        for (int r = 0; r < R; r++) {
            down[place(b, R, r, c)] = rows->down[(size_t)r * (size_t)C + (size_t)c];
            up[place(b, R + 1, r, c)] = rows->up[(size_t)c * (size_t)R + (size_t)r];
        }
        up[place(b, R + 1, R, c)] = rows->up_bias[c];
    }
}

void bottleneck_unpack(const bottleneck *b, const bottleneck_rows *rows, const float *image) {
    const int C = b->C, R = b->R;
    const float *down = image, *bias = down + b->down_count, *up = bias + b->bias_count;

    memcpy(rows->down_bias, bias, (size_t)R * sizeof(*bias));
    for (int c = 0; c < C; c++) {
        for (int r = 0; r < R; r++) {
            rows->down[(size_t)r * (size_t)C + (size_t)c] = down[place(b, R, r, c)];
            rows->up[(size_t)c * (size_t)R + (size_t)r] = up[place(b, R + 1, r, c)];
        }
        rows->up_bias[c] = up[place(b, R + 1, R, c)];
    }
}
