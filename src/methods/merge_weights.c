#include "methods/merge_weights.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/transpose.h"
#include "methods/merge_rows.h"

bool merge_is_matrix(const stored_tensor *t) {
    return t->ndim == 2 && t->shape[0] > 0 && t->shape[0] <= INT_MAX && t->shape[1] > 0 && t->shape[1] <= INT_MAX;
}

const char *merge_file_name(const merge *m, size_t file) {
    const char *path = model_files_path(m->set, file), *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* The file that a tensor lies in. */
static const char *source_path(const merge *m, const stored_tensor *t) {
    return model_files_path(m->set, t->file);
}

static clora_status kind_of(merge_kind **out, merge *m, const char *module) {
    const char *dot = strrchr(module, '.'), *name = dot ? dot + 1 : module;

    for (size_t i = 0; i < m->kind_count; i++)
        if (strcmp(m->kinds[i].name, name) == 0) {
            *out = &m->kinds[i];
            return CLORA_OK;
        }
    const clora_status status = alloc_grow((void **)&m->kinds, &m->kind_capacity, m->kind_count + 1, sizeof(*m->kinds));
    if (status != CLORA_OK)
        return status;
    *out = &m->kinds[m->kind_count++];
    **out = (merge_kind){.name = name, .report = CLORA_MERGE_RESULT_INIT};
    return CLORA_OK;
}

/* A part of a module on the host, to be freed. */
static clora_status read_part(float **out, const merge *m, int module, peft_part part) {
    const stored_tensor *t = m->adapter.part[part][module];

    *out = alloc_array(stored_elements(t), sizeof(**out));
    return *out ? peft_read_part(*out, &m->adapter, module, part)
                : clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", m->module[module].name);
}

/* What the adapter does to a weight, on the host; nothing for module -1. */
typedef struct change {
    merge_factors factors;
    float *a, *b, *magnitude; /* owned */
} change;

static void finish_change(change *c) {
    free(c->a);
    free(c->b);
    free(c->magnitude);
}

static clora_status read_change(change *out, const merge *m, int module, int K) {
    clora_status status = CLORA_OK;

    *out = (change){.factors = {.K = K}};
    if (module < 0)
        return CLORA_OK;
    TRY(read_part(&out->a, m, module, PEFT_A));
    TRY(read_part(&out->b, m, module, PEFT_B));
    if (m->adapter.part[PEFT_MAGNITUDE][module])
        TRY(read_part(&out->magnitude, m, module, PEFT_MAGNITUDE));
    const target_choice *choice = &m->adapter.choice[module];
    out->factors = (merge_factors){K, choice->R, choice->scale, out->a, out->b, out->magnitude};
done:
    return status;
}

/* The same of its bias (N, 1): + scale * B's bias. */
static clora_status read_bias_change(change *out, const merge *m, int module) {
    static const float one = 1.0f;

    *out = (change){.factors = {.K = 1}};
    const clora_status status = read_part(&out->b, m, module, PEFT_BIAS);
    out->factors = (merge_factors){1, 1, m->adapter.choice[module].scale, &one, out->b, NULL};
    return status;
}

clora_status merge_advance(merge *m, size_t bytes) {
    m->done += (int64_t)bytes;
    if (m->options->progress && m->options->progress(m->options->user, m->done, m->total))
        return clora_fail(CLORA_CANCELLED, "the merge was stopped");
    return CLORA_OK;
}

/* A tensor to be written: where it comes from, the module that changes it, or -1, and the copy that takes its place, or
 * NULL. */
typedef struct task {
    const stored_tensor *source;
    int module;
    const stored_tensor *copy;
    bool is_bias; /* of the module */
    bool convert;
} task;

/* Rows of the base's tensor, or of the copy in its place. */
static clora_status read_rows(void *out, const merge *m, const task *t, size_t at, size_t size) {
    return t->copy ? safetensors_read(out, m->adapter.file, t->copy, at, size)
                   : model_files_read(out, m->set, t->source, at, size);
}

/* A merge's largest change and rounding, of one more weight or copy. */
static void add_to_report(clora_merge_result *report, const merge_change *change) {
    report->max_change = report->max_change > change->change ? report->max_change : change->change;
    if (change->rounding > report->max_rounding_error)
        report->max_rounding_error = change->rounding;
}

static clora_status report(merge *m, const task *t, const merge_change *change) {
    clora_status status = CLORA_OK;
    merge_kind *group;

    if (t->copy) {
        m->copies.copies++;
        add_to_report(&m->copies, change);
    }
    if (t->copy || t->module < 0)
        return CLORA_OK;
    TRY(kind_of(&group, m, m->module[t->module].name));
    group->report.modules += !t->is_bias;
    add_to_report(&group->report, change);
done:
    return status;
}

/* Is it a weight that the files have as (K, N), to be changed as (N, K)? */
static bool is_turned(const merge *m, const task *t) {
    return m->names->turned && t->module >= 0 && !t->is_bias && m->module[t->module].kind == TARGET_LINEAR;
}

/* values (N, K) become (K, N), by way of a room for as many. */
static void turn(void *values, void *room, size_t N, size_t K, clora_dtype type) {
    memcpy(room, values, N * K * dtype_size(type));
    transpose_elements(values, room, N, K, dtype_size(type));
}

/* A weight (N, K), or a bias (N), as the adapter makes it, in type `to`, some rows at a time; all of one that has to be
 * turned. */
static clora_status write_changed(merge *m, safetensors_writer *writer, const task *t, clora_dtype to) {
    enum { BLOCK = 8 << 20 }; /* bytes in memory */
    const stored_tensor *from = t->copy ? t->copy : t->source;
    const bool turned = is_turned(m, t);
    const size_t N = (size_t)from->shape[turned], K = stored_elements(from) / N;
    const size_t in = K * dtype_size(from->dtype), out = K * dtype_size(to);
    const size_t block = turned || BLOCK / out > N ? N : BLOCK / out < 1 ? 1 : BLOCK / out;
    merge_change seen = {0, 0};
    clora_status status = CLORA_OK;
    change c = {.a = NULL};
    void *rows = alloc_array(block, out), *w = alloc_array(block, in);
    void *room = turned ? alloc_array(N * K, sizeof(float)) : NULL;

    if (!rows || !w || (turned && !room))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to merge %s", from->name));
    TRY(t->is_bias ? read_bias_change(&c, m, t->module) : read_change(&c, m, t->module, (int)K));
    for (size_t n = 0; n < N; n += block) {
        const size_t some = N - n < block ? N - n : block;
        TRY(read_rows(w, m, t, n * in, some * in));
        if (turned)
            turn(w, room, K, N, from->dtype);
        status = merge_rows(rows, &seen, w, from->dtype, to, (int)n, (int)some, &c.factors);
        if (status != CLORA_OK) {
            status = clora_fail_within(status, "%s: tensor %s",
                                       t->copy ? m->adapter.file->path : source_path(m, t->source), from->name);
            goto done;
        }
        if (turned)
            turn(rows, room, N, K, to);
        TRY(safetensors_writer_tensor(writer, rows, some * out));
        TRY(merge_advance(m, t->source->size / N * some));
    }
    TRY(report(m, t, &seen));
done:
    finish_change(&c);
    free(room);
    free(rows);
    free(w);
    return status;
}

/* The tensor as it was. What is not finite is not passed on: it would seem to come from the merge. */
static clora_status write_copy(merge *m, safetensors_writer *writer, const stored_tensor *t) {
    enum { PIECE = 8 << 20 };
    clora_status status = CLORA_OK;
    void *piece = alloc_array(t->size < PIECE ? t->size : PIECE, 1);

    if (!piece)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to copy %s", t->name));
    for (size_t i = 0; i < t->size; i += PIECE) {
        const size_t n = t->size - i < PIECE ? t->size - i : PIECE;
        TRY(model_files_read(piece, m->set, t, i, n));
        if (t->supported && !dtype_all_finite(piece, t->dtype, n / dtype_size(t->dtype)))
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s holds a value that is not finite", source_path(m, t),
                           t->name));
        TRY(safetensors_writer_tensor(writer, piece, n));
        TRY(merge_advance(m, n));
    }
done:
    free(piece);
    return status;
}

static int compare_base(const void *name, const void *tensor) {
    return strcmp(name, ((const base_tensor *)tensor)->name);
}

const stored_tensor *merge_copy_of(const merge *m, const char *name) {
    const base_tensor *found = bsearch(name, m->base, (size_t)m->bases, sizeof(*m->base), compare_base);

    return found ? m->adapter.saved[found - m->base] : NULL;
}

static void plan_tensor(safetensors_entry *entry, task *out, const merge *m, const char *name,
                        const stored_tensor *source, int module) {
    const bool convert =
        m->dtype >= 0 && source->supported && merge_is_matrix(source) && !model_is_other(m->names, name);

    *out = (task){source, module, merge_copy_of(m, name), false, convert};
    *entry = (safetensors_entry){.name = name,
                                 .dtype = convert ? (clora_dtype)m->dtype : source->dtype,
                                 .dtype_text = convert ? NULL : source->dtype_text,
                                 .ndim = source->ndim};
    memcpy(entry->shape, source->shape, sizeof(entry->shape));
}

static int compare_name(const void *name, const void *tensor) {
    return strcmp(name, (*(const stored_tensor *const *)tensor)->name);
}

static int compare_bias(const void *a, const void *b) {
    const uintptr_t x = (uintptr_t)((const merge_bias *)a)->tensor, y = (uintptr_t)((const merge_bias *)b)->tensor;

    return (x > y) - (x < y);
}

static clora_status find_bias(const stored_tensor **out, const merge *m, const target_module *module,
                              const char *adapter) {
    char *name = alloc_format("%s.bias", module->name);

    *out = name ? model_files_find(m->set, name) : NULL;
    free(name);
    if (!name)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of biases");
    if (!*out || (*out)->ndim != 1 || (*out)->shape[0] != module->N || !(*out)->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: the adapter has a bias (lora_bias) at %s, where %s has none to merge it into: use it "
                          "unmerged, with --adapter",
                          adapter, module->name, m->model);
    return CLORA_OK;
}

clora_status merge_find_biases(merge *m, const char *adapter) {
    clora_status status = CLORA_OK;

    if (peft_vector(m->adapter.config) != PEFT_BIAS)
        return CLORA_OK;
    m->bias = alloc_array((size_t)m->modules + 1, sizeof(*m->bias));
    if (!m->bias)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of biases");
    for (int i = 0; i < m->modules; i++) {
        if (m->adapter.choice[i].R == 0)
            continue;
        m->bias[m->biases].module = i;
        TRY(find_bias(&m->bias[m->biases++].tensor, m, &m->module[i], adapter));
    }
    qsort(m->bias, m->biases, sizeof(*m->bias), compare_bias);
done:
    return status;
}

/* The module that a tensor is the bias of, if the adapter changes it. */
static int biased_module(const merge *m, const stored_tensor *t) {
    const merge_bias wanted = {.tensor = t};
    const merge_bias *found = m->biases ? bsearch(&wanted, m->bias, m->biases, sizeof(wanted), compare_bias) : NULL;

    return found ? found->module : -1;
}

/* The module that a tensor is the weight of, if the adapter changes it: one of the first, which are in the order of
 * their weights' names, or the embedding. */
static int adapted_module(const merge *m, const stored_tensor *t) {
    if (t == m->tables.embedding && m->embedding >= 0)
        return m->adapter.choice[m->embedding].R > 0 ? m->embedding : -1;
    const stored_tensor **found = bsearch(t->name, m->tensor, (size_t)m->sorted, sizeof(*m->tensor), compare_name);
    const int i = found ? (int)(found - m->tensor) : -1;

    return i >= 0 && m->adapter.choice[i].R > 0 ? i : -1;
}

/* The tensors of a file, and a head that comes off the embedding table, beside it. */
static size_t plan_file(safetensors_entry *entries, task *tasks, const merge *m, size_t file) {
    const model_tables *tables = &m->tables;
    const int head_module = m->splits && m->adapter.choice[m->tied_head].R > 0 ? m->tied_head : -1;
    size_t n = 0, count;
    const stored_tensor *tensors = model_files_file_tensors(&count, m->set, file);

    for (size_t i = 0; i < count; i++) {
        const stored_tensor *t = &tensors[i];
        const bool table = m->splits && t == tables->embedding, head = m->splits && t == tables->copy;
        const char *name = table ? m->names->embedding : t->name;
        plan_tensor(&entries[n], &tasks[n], m, name, head ? tables->embedding : t,
                    head ? head_module : adapted_module(m, t));
        if (strcmp(name, t->name) == 0)
            entries[n].name = t->written;
        if (tasks[n].module < 0 && (tasks[n].module = biased_module(m, t)) >= 0)
            tasks[n].is_bias = true;
        n++;
        if (table && !tables->copy) {
            plan_tensor(&entries[n], &tasks[n], m, MODEL_HEAD, t, head_module);
            n++;
        }
    }
    return n;
}

static clora_status write_tensors(merge *m, safetensors_writer *writer, const safetensors_entry *entries,
                                  const task *tasks) {
    clora_status status = CLORA_OK;

    while (writer->next < writer->count) {
        const size_t i = writer->order[writer->next];
        m->bytes += writer->bytes[writer->next];
        if (tasks[i].module >= 0 || tasks[i].convert || tasks[i].copy)
            TRY(write_changed(m, writer, &tasks[i], entries[i].dtype));
        else
            TRY(write_copy(m, writer, tasks[i].source));
    }
done:
    return status;
}

clora_status merge_write_file(merge *m, size_t file) {
    size_t count;
    (void)model_files_file_tensors(&count, m->set, file);
    safetensors_entry *entries = alloc_array(count + 2, sizeof(*entries));
    task *tasks = alloc_array(count + 2, sizeof(*tasks));
    safetensors_writer writer = {.count = 0};
    clora_status status = CLORA_OK;
    char *path = NULL;

    if (!entries || !tasks)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", merge_file_name(m, file)));
    const size_t n = plan_file(entries, tasks, m, file);
    TRY(outdir_path(&path, &m->output, merge_file_name(m, file)));
    TRY(safetensors_writer_begin(&writer, path, entries, n, model_files_metadata(m->set, file)));
    TRY(write_tensors(m, &writer, entries, tasks));
    TRY(safetensors_writer_finish(&writer));
done:
    safetensors_writer_abandon(&writer);
    free(entries);
    free(tasks);
    free(path);
    return status;
}
