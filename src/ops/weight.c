#include "ops/weight.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/ints.h"
#include "device/scratch.h"
#include "ops/weight_pack.h"
#include "tuning/tuning.h"

size_t weight_panel_elements(const weight *w) {
    return storage_panel_elements(w->storage, w->K, w->NR);
}

size_t weight_row_elements(const weight *w) {
    return storage_row_elements(w->storage, w->K);
}

/* Elements of one unit of a part: a panel, or a row of the plain layout. */
static size_t unit_elements(const weight *w) {
    return w->layout == WEIGHT_PANEL ? weight_panel_elements(w) : weight_row_elements(w);
}

static int units(const weight *w) {
    return w->layout == WEIGHT_PANEL ? w->panels : w->N;
}

static kernel_key layout_key(clora_storage type, int N, int K) {
    return (kernel_key){.dtype = type, .N = N, .K = K};
}

/* Is there a choice? Without one the layout is that of the path. */
static bool may_choose(const clora_context *context) {
    return context->gemm != GEMM_CLBLAST && !context->gemm_is_forced;
}

weight_layout weight_layout_of(clora_context *context, clora_storage type, int N, int K) {
    const kernel_key key = layout_key(type, N, K);
    const bool plain = may_choose(context) ? tuning_value(context, "weight_layout", "LAYOUT", &key) == LAYOUT_PLAIN
                                           : context->gemm == GEMM_CLBLAST;

    return plain ? WEIGHT_PLAIN : WEIGHT_PANEL;
}

static int rows_of(int modules, const int *N) {
    int64_t rows = 0;

    for (int i = 0; i < modules && i < WEIGHT_MODULES; i++)
        rows += N[i] > 0 ? N[i] : 0;
    return rows > INT32_MAX ? INT32_MAX : (int)rows;
}

/* Everything that follows from the sizes and the layout. */
static clora_status describe(weight *w, clora_context *context, weight_layout layout, clora_storage type, int K,
                             int modules, const int *N) {
    const storage *s = storage_of(type);
    int64_t rows = 0, panels = 0;

    if (modules < 1 || modules > WEIGHT_MODULES || K < 1 || !s || K % s->block != 0)
        return clora_fail(CLORA_ERROR_SHAPE, "weight: %d modules of K %d, type %s", modules, K,
                          s ? s->name : "unknown");
    *w = (weight){.context = context,
                  .storage = s,
                  .layout = layout,
                  .K = K,
                  .modules = modules,
                  .NR = kernel_panel_width(context)};
    for (int i = 0; i < modules; i++) {
        if (N[i] < 1)
            return clora_fail(CLORA_ERROR_SHAPE, "weight: module %d of N %d, K %d", i, N[i], K);
        w->module[i] = (weight_module){.N = N[i], .col = (int)rows, .panel = (int)panels};
        rows += N[i];
        panels += ((int64_t)N[i] + w->NR - 1) / w->NR;
        if (panels * w->NR > INT32_MAX || unit_elements(w) > INT32_MAX)
            return clora_fail(CLORA_ERROR_SHAPE, "weight: module %d of N %d, K %d is too large", i, N[i], K);
    }
    w->N = (int)rows;
    w->panels = (int)panels;
    return CLORA_OK;
}

clora_status weight_describe(weight *w, clora_context *context, clora_storage type, int K, int modules, const int *N) {
    return describe(w, context, weight_layout_of(context, type, rows_of(modules, N), K), type, K, modules, N);
}

size_t weight_bytes(const clora_context *context, clora_storage type, int K, int modules, const int *N) {
    weight w;

    if (weight_describe(&w, (clora_context *)(uintptr_t)context, type, K, modules, N) != CLORA_OK)
        return 0;
    return (size_t)units(&w) * unit_elements(&w) * dtype_size(w.storage->element) + weight_table_bytes(&w);
}

size_t weight_table_bytes(const weight *w) {
    return (size_t)w->panels * 2 * sizeof(int32_t);
}

/* Elements of the scratch that this weight needs: all of it, or as many whole rows as 64 MB and one buffer hold. */
static size_t scratch_elements(const weight *w) {
    enum { MOST = 64 << 20 };
    const size_t allowed = w->context->info.max_allocation < MOST ? w->context->info.max_allocation : MOST;
    size_t rows = allowed / sizeof(float) / (size_t)w->K;

    if (w->layout != WEIGHT_PLAIN || w->storage->id == CLORA_STORAGE_F32)
        return 0;
    if (rows > (size_t)w->N)
        rows = (size_t)w->N;
    return (rows ? rows : 1) * (size_t)w->K;
}

size_t weight_scratch_bytes(const clora_context *context, clora_storage type, int K, int modules, const int *N) {
    weight w;

    if (weight_describe(&w, (clora_context *)(uintptr_t)context, type, K, modules, N) != CLORA_OK)
        return 0;
    return scratch_elements(&w) * sizeof(float);
}

/* A 16-bit weight that CLBlast multiplies is widened before it. */
static clora_status join_scratch(weight *w) {
    const size_t needed = scratch_elements(w);

    if (needed == 0)
        return CLORA_OK;
    const clora_status status = scratch_join(w->context, needed);
    w->uses_scratch = status == CLORA_OK;
    return status;
}

/* Only once: a first weight that finds no room closes the pool. */
static void open_pool(weight_pool *pool, const weight *w, size_t elements) {
    const size_t most = w->context->info.max_allocation / (size_t)pool->count;

    if (!kernel_runs_tapes(w->context) || w->layout != WEIGHT_PANEL || elements > INT32_MAX ||
        elements * dtype_size(w->storage->element) > most ||
        tensor_new(&pool->data, w->context, w->storage->element, pool->count, (int)elements) != CLORA_OK)
        pool->count = 0;
}

/* The next place of a pool, or none: then there is no part yet. The pool remembers the weight that took a place, so
 * nothing may fail after this. */
static clora_status take_place(weight *w, weight_pool *pool) {
    const size_t elements = (size_t)units(w) * unit_elements(w);
    clora_status status = CLORA_OK;

    if (!pool->data && pool->count > 0)
        open_pool(pool, w, elements);
    if (pool->taken == pool->count || pool->data->dtype != w->storage->element ||
        (size_t)tensor_cols(pool->data) != elements)
        return CLORA_OK;
    w->part = alloc_array(1, sizeof(*w->part));
    if (!w->part)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a weight");
    w->part[0] = (weight_part){.panels = units(w)};
    TRY(tensor_split(&w->part[0].data, pool->data, (size_t)pool->taken * elements, units(w), (int)unit_elements(w)));
    w->parts = 1;
    pool->taken++;
    pool->last = w->part[0].data;
done:
    return status;
}

void weight_pool_finish(weight_pool *pool) {
    if (pool->last) { /* places that nobody took go with it */
        pool->last->owned += pool->data->owned;
        pool->data->owned = 0;
    }
    clora_tensor_free(pool->data);
    *pool = (weight_pool){0};
}

static clora_status create_parts(weight *w) {
    const size_t unit = unit_elements(w) * dtype_size(w->storage->element);
    const size_t most = w->context->info.max_allocation / unit, all = (size_t)units(w);
    clora_status status = CLORA_OK;

    if (most == 0)
        return clora_fail(CLORA_ERROR_MEMORY, "weight: a panel of K %d takes %zu MB; the device allows %zu MB", w->K,
                          unit >> 20, w->context->info.max_allocation >> 20);
    const size_t parts = divide_up_size(all, most), each = divide_up_size(all, parts);
    w->part = alloc_array(parts, sizeof(*w->part));
    if (!w->part)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a weight");
    for (size_t first = 0; first < all; first += each) {
        weight_part *part = &w->part[w->parts++];
        part->panel = (int)first;
        part->panels = (int)(all - first < each ? all - first : each);
        TRY(tensor_new(&part->data, w->context, w->storage->element, part->panels, (int)unit_elements(w)));
    }
done:
    return status;
}

int32_t *weight_list_columns(const weight *w) {
    int32_t *columns = alloc_array((size_t)w->panels, 2 * sizeof(int32_t));

    for (int i = 0; columns && i < w->modules; i++) {
        const weight_module *m = &w->module[i];
        for (int n = 0; n < m->N; n += w->NR) {
            int32_t *entry = &columns[2 * (m->panel + n / w->NR)];
            entry[0] = m->col + n;
            entry[1] = m->N - n < w->NR ? m->N - n : w->NR;
        }
    }
    return columns;
}

static clora_status create_columns(weight *w) {
    clora_status status = CLORA_OK;
    int32_t *columns = weight_list_columns(w);

    if (!columns)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a weight");
    TRY(tensor_new(&w->columns, w->context, CLORA_DTYPE_I32, w->panels, 2));
    TRY(clora_tensor_write(w->columns, columns));
done:
    free(columns);
    return status;
}

/* In a pool, or with pool NULL in buffers of its own. */
static clora_status create(weight **out, weight_pool *pool, clora_context *context, weight_layout layout,
                           clora_storage type, int K, int modules, const int *N) {
    clora_status status = CLORA_OK;
    weight *w = calloc(1, sizeof(*w));

    *out = NULL;
    if (!w)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a weight");
    TRY(describe(w, context, layout, type, K, modules, N));
    TRY(create_columns(w));
    TRY(join_scratch(w));
    if (pool)
        TRY(take_place(w, pool));
    if (w->parts == 0)
        TRY(create_parts(w));
    *out = w;
    w = NULL;
done:
    weight_free(w);
    return status;
}

clora_status weight_create_in(weight **out, weight_pool *pool, clora_context *context, clora_storage type, int K,
                              int modules, const int *N) {
    const int rows = rows_of(modules, N);
    const kernel_key key = layout_key(type, rows, K);

    if (may_choose(context))
        (void)tuning_choose(context, "weight_layout", &key); /* noted, so that it is tuned */
    return create(out, pool, context, weight_layout_of(context, type, rows, K), type, K, modules, N);
}

clora_status weight_create(weight **out, clora_context *context, clora_storage type, int K, int modules, const int *N) {
    return weight_create_in(out, NULL, context, type, K, modules, N);
}

clora_status weight_create_as(weight **out, clora_context *context, weight_layout layout, clora_storage type, int K,
                              int modules, const int *N) {
    return create(out, NULL, context, layout, type, K, modules, N);
}

void weight_free(weight *w) {
    if (!w)
        return;
    if (w->uses_scratch)
        scratch_leave(w->context);
    for (int i = 0; i < w->parts; i++)
        clora_tensor_free(w->part[i].data);
    free(w->part);
    clora_tensor_free(w->columns);
    clora_tensor_free(w->bias);
    free(w);
}

int weight_row_step(const weight *w) {
    return w->layout == WEIGHT_PANEL ? w->NR : 1;
}

/* Run pack or unpack on the units of some rows of one module, part by part. */
static clora_status transfer(const weight *w, int module, int row, int rows, weight_image *image) {
    clora_status status = CLORA_OK;
    const weight_module *m = &w->module[module];
    const int step = weight_row_step(w), base = w->layout == WEIGHT_PANEL ? m->panel : m->col;
    const int first = base + row / step, count = divide_up(rows, step);

    for (int i = 0; i < w->parts && status == CLORA_OK; i++) {
        const weight_part *part = &w->part[i];
        const int from = first > part->panel ? first : part->panel;
        const int end = first + count < part->panel + part->panels ? first + count : part->panel + part->panels;
        if (from >= end)
            continue;
        const int width = (int)unit_elements(w);
        const clora_tensor slice =
            tensor_slice(part->data, (size_t)(from - part->panel) * (size_t)width, end - from, width);
        TRY(tensor_map(&image->units, &slice, image->pack));
        image->first = from - base;
        image->count = end - from;
        status = weight_image_run(image);
        const clora_status unmapped = tensor_unmap(&slice, image->units);
        if (status == CLORA_OK)
            status = unmapped;
    }
done:
    return status;
}

/* Whether a module has these rows and they are whole units, and the image's sizes for them. */
static clora_status frame(weight_image *image, const weight *w, int module, int row, int rows) {
    const int step = weight_row_step(w), N = module >= 0 && module < w->modules ? w->module[module].N : -1;

    if (N < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "module %d of %d of a weight", module, w->modules);
    if (row < 0 || rows < 0 || rows > N - row || row % step != 0 || (rows % step != 0 && row + rows != N))
        return clora_fail(CLORA_ERROR_ARGUMENT, "rows %d to %d of a weight of %d, in steps of %d", row, row + rows, N,
                          step);
    image->storage = w->storage;
    image->plain = w->layout == WEIGHT_PLAIN;
    image->first_row = row;
    image->N = N;
    image->K = w->K;
    image->NR = w->NR;
    return CLORA_OK;
}

static clora_status pack(weight *w, int module, int row, int rows, const void *data, clora_dtype dtype,
                         bool transposed) {
    weight_image image = {.pack = true, .source = data, .source_dtype = dtype, .transposed = transposed};
    clora_status status = CLORA_OK;

    if (dtype == CLORA_DTYPE_I32)
        return clora_fail(CLORA_ERROR_ARGUMENT, "weight_pack: type %s", dtype_name(dtype));
    TRY(frame(&image, w, module, row, rows));
    TRY(transfer(w, module, row, rows, &image));
done:
    return status;
}

clora_status weight_pack(weight *w, int module, const void *data, clora_dtype dtype, bool transposed) {
    return pack(w, module, 0, module >= 0 && module < w->modules ? w->module[module].N : 0, data, dtype, transposed);
}

clora_status weight_pack_rows(weight *w, int module, int row, int rows, const void *data, clora_dtype dtype) {
    return pack(w, module, row, rows, data, dtype, false);
}

clora_status weight_unpack_rows(const weight *w, int module, int row, int rows, void *data) {
    weight_image image = {.rows = data};
    clora_status status = CLORA_OK;

    TRY(frame(&image, w, module, row, rows));
    TRY(transfer(w, module, row, rows, &image));
done:
    return status;
}

clora_status weight_unpack(const weight *w, int module, void *data) {
    return weight_unpack_rows(w, module, 0, module >= 0 && module < w->modules ? w->module[module].N : 0, data);
}

clora_status weight_set_bias(weight *w, int module, const float *bias) {
    clora_status status = CLORA_OK;

    if (module < 0 || module >= w->modules)
        return clora_fail(CLORA_ERROR_ARGUMENT, "weight_set_bias: module %d of %d", module, w->modules);
    const weight_module *m = &w->module[module];
    for (int n = 0; n < m->N; n++)
        if (!isfinite(bias[n]))
            return clora_fail(CLORA_ERROR_FORMAT, "the bias of row %d is not finite", n);
    if (!w->bias) {
        TRY(tensor_new(&w->bias, w->context, CLORA_DTYPE_F32, 1, w->N));
        TRY(clora_tensor_zero(w->bias));
    }
    TRY(tensor_write_part(w->bias, (size_t)m->col, (size_t)m->N, bias));
done:
    return status;
}
