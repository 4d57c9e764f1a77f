#include "model/kept_base.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "model/kept_files.h"
#include "model/model.h"

static const weight *weight_of(const clora_model *m, int p) {
    return m->projection[p].weight;
}

static bool is_adapted(const clora_adapter *adapter, int p) {
    return adapter_rank(adapter, p) > 0;
}

/* ---- copies on the device ---- */

static size_t part_bytes(const weight *w, int part) {
    return clora_tensor_count(w->part[part].data) * dtype_size(w->storage->element);
}

static clora_status copy_parts(clora_tensor **copy, const weight *w) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < w->parts; i++) {
        const clora_tensor *part = w->part[i].data;
        TRY(tensor_new(&copy[i], w->context, part->dtype, (int)tensor_rows(part), tensor_cols(part)));
        TRY(tensor_copy(copy[i], part));
    }
done:
    return status;
}

static void free_parts(clora_tensor **copy, int parts) {
    for (int i = 0; copy && i < parts; i++)
        clora_tensor_free(copy[i]);
    free(copy);
}

static clora_status restore_copy(clora_tensor *const *copy, const weight *w, int module) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < w->parts; i++) {
        const weight_span span = weight_module_span(w, module, i);
        clora_tensor to = weight_span_view(w, span);
        const clora_tensor from = tensor_slice(copy[i], to.offset - w->part[i].data->offset, 1, tensor_cols(&to));
        if (span.count > 0)
            TRY(tensor_copy(&to, &from));
    }
done:
    return status;
}

/* ---- both ---- */

/* Does a copy of what the adapter changes fit in what is left of the device's memory? */
static bool has_room(const clora_model *m, const clora_adapter *adapter) {
    const size_t all = m->context->info.global_memory, taken = m->context->memory_now;
    size_t bytes = 0;

    for (int p = 0; p < m->projections; p++)
        for (int i = 0; is_adapted(adapter, p) && i < weight_of(m, p)->parts; i++)
            bytes += part_bytes(weight_of(m, p), i);
    return taken <= all && bytes <= all - taken;
}

static clora_keep_base decide(const clora_model *m, clora_keep_base where, const clora_adapter *adapter) {
    if (where != CLORA_KEEP_BASE_AUTO)
        return where;
    return m->own_values || has_room(m, adapter) ? CLORA_KEEP_BASE_DEVICE : CLORA_KEEP_BASE_FILE;
}

clora_status kept_base_begin(kept_base *k, const clora_model *m, clora_keep_base where, const clora_adapter *adapter) {
    const size_t n = (size_t)m->projections;
    clora_status status = CLORA_OK;

    if ((int)where < CLORA_KEEP_BASE_AUTO || where > CLORA_KEEP_BASE_FILE)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no place %d to keep the base's weights", (int)where);
    *k = (kept_base){.where = decide(m, where, adapter), .projections = m->projections};
    if (k->where == CLORA_KEEP_BASE_FILE && m->own_values)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "the model's weights are not those in %s: they can be kept on the device alone",
                          m->directory);
    k->kept = alloc_array(n, sizeof(*k->kept));
    k->copy = alloc_array(n, sizeof(*k->copy));
    k->hash = alloc_array(n, sizeof(*k->hash));
    if (!k->kept || !k->copy || !k->hash)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to keep the base's weights"));
    if (k->where == CLORA_KEEP_BASE_FILE)
        TRY(model_files_open(&k->files, m->directory));
done:
    return status;
}

static clora_status keep(kept_base *k, const clora_model *m, int p) {
    const weight *w = weight_of(m, p);
    clora_status status = CLORA_OK;

    if (k->where == CLORA_KEEP_BASE_DEVICE) {
        k->copy[p] = alloc_array((size_t)w->parts, sizeof(clora_tensor *));
        if (!k->copy[p])
            return clora_fail(CLORA_ERROR_MEMORY, "no memory to keep the base's weights");
        return copy_parts(k->copy[p], w);
    }
    for (int i = 0; i < w->modules; i++)
        TRY(kept_files_note(&k->hash[p][i], k->files, m, p, i));
done:
    return status;
}

clora_status kept_base_add(kept_base *k, const clora_model *m, const clora_adapter *adapter) {
    for (int p = 0; p < k->projections; p++) {
        if (!is_adapted(adapter, p) || k->kept[p])
            continue;
        const clora_status status = keep(k, m, p);
        if (status != CLORA_OK) {
            free_parts(k->copy[p], weight_of(m, p)->parts);
            k->copy[p] = NULL;
            return status;
        }
        k->kept[p] = true;
    }
    return CLORA_OK;
}

clora_status kept_base_verify(const kept_base *k, const clora_model *m) {
    clora_status status = CLORA_OK;

    for (int p = 0; p < k->projections && k->where == CLORA_KEEP_BASE_FILE; p++)
        for (int i = 0; k->kept[p] && i < weight_of(m, p)->modules; i++)
            TRY(kept_files_check(k->hash[p][i], k->files, m, p, i));
done:
    return status;
}

clora_status kept_base_restore(const kept_base *k, const clora_model *m, int p, int module) {
    if (k->where == CLORA_KEEP_BASE_FILE)
        return kept_files_restore(k->hash[p][module], k->files, m, p, module);
    return restore_copy(k->copy[p], weight_of(m, p), module);
}

const clora_tensor *kept_base_part(const kept_base *k, const clora_model *m, int p, int part) {
    return k->where == CLORA_KEEP_BASE_DEVICE ? k->copy[p][part] : weight_of(m, p)->part[part].data;
}

void kept_base_finish(kept_base *k, const clora_model *m) {
    for (int p = 0; k->copy && p < k->projections; p++)
        free_parts(k->copy[p], weight_of(m, p)->parts);
    free(k->kept);
    free(k->copy);
    free(k->hash);
    model_files_close(k->files);
    *k = (kept_base){0};
}
