#include "model/kept_files.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/transpose.h"
#include "model/model.h"

/* A module's weight and its tensor. */
typedef struct source {
    const char *directory;
    const own_tensor *own;
    const stored_tensor *stored;
    const weight *weight;
    int module, N;
    size_t row; /* bytes */
} source;

static clora_status fail_changed(const source *s) {
    return clora_fail(CLORA_ERROR_FORMAT,
                      "%s: the tensor %s is not the one that was loaded: the file has changed; load the model again",
                      s->directory, s->own->name);
}

static clora_status find(source *s, const model_files *files, const clora_model *m, int p, int module) {
    const weight *w = m->projection[p].weight;

    *s = (source){.directory = m->directory, .weight = w, .module = module, .N = w->module[module].N};
    for (int i = 0; i < m->tensors; i++)
        if (m->tensor[i].weight == w && m->tensor[i].module == module)
            s->own = &m->tensor[i];
    s->stored = model_files_find(files, s->own->name);
    s->row = (size_t)w->K * dtype_size(s->own->file);
    if (!s->stored || s->stored->dtype != s->own->file || s->stored->size != s->row * (size_t)s->N)
        return fail_changed(s);
    return CLORA_OK;
}

/* What is done with rows [row, row + count). */
typedef clora_status (*rows_step)(void *user, const source *s, const void *rows, int row, int count);

/* A step with all rows of a weight that lies in its file as (K, N). */
static clora_status turned_step(const source *s, const void *file, rows_step step, void *user) {
    const size_t K = (size_t)s->weight->K, N = (size_t)s->N;
    void *rows = alloc_array(N, s->row);
    clora_status status = CLORA_OK;

    if (!rows)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", s->own->name);
    transpose_elements(rows, file, K, N, dtype_size(s->own->file));
    status = step(user, s, rows, 0, s->N);
    free(rows);
    return status;
}

/* All rows, some at a time or all that have to be turned, and their hash. */
static clora_status each_rows(uint64_t *hash, const model_files *files, const source *s, rows_step step, void *user) {
    enum { STAGE = 32 << 20 };
    const int whole = weight_row_step(s->weight), fit = (int)(STAGE / s->row) / whole * whole;
    const int most = fit < whole ? whole : fit, some = most < s->N && !s->own->turned ? most : s->N;
    clora_status status = CLORA_OK;
    void *rows = alloc_array((size_t)some, s->row);
    XXH3_state_t *state = XXH3_createState();

    if (!rows || !state || XXH3_64bits_reset(state) != XXH_OK)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", s->own->name));
    for (int n = 0; n < s->N; n += some) {
        const int count = s->N - n < some ? s->N - n : some;
        TRY(model_files_read(rows, files, s->stored, (size_t)n * s->row, (size_t)count * s->row));
        (void)XXH3_64bits_update(state, rows, (size_t)count * s->row);
        if (step)
            TRY(s->own->turned ? turned_step(s, rows, step, user) : step(user, s, rows, n, count));
    }
    *hash = XXH3_64bits_digest(state);
done:
    XXH3_freeState(state);
    free(rows);
    return status;
}

/* The weight's rows as they are stored, and room for as many of the file's. */
typedef struct comparison {
    char *weight, *file;
} comparison;

static clora_status compare(void *user, const source *s, const void *rows, int row, int count) {
    const storage *type = s->weight->storage;
    const size_t bytes = weight_row_elements(s->weight) * dtype_size(type->element), n = (size_t)count * bytes;
    const comparison *c = user;

    (void)storage_pack(type, c->file, rows, s->own->file, (size_t)count * (size_t)s->weight->K);
    return memcmp(c->file, c->weight + (size_t)row * bytes, n) == 0 ? CLORA_OK : fail_changed(s);
}

clora_status kept_files_note(uint64_t *hash, const model_files *files, const clora_model *m, int p, int module) {
    comparison c = {NULL, NULL};
    clora_status status = CLORA_OK;
    source s;

    TRY(find(&s, files, m, p, module));
    const size_t bytes = weight_row_elements(s.weight) * dtype_size(s.weight->storage->element);
    c = (comparison){alloc_array((size_t)s.N, bytes), alloc_array((size_t)s.N, bytes)};
    if (!c.weight || !c.file)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to compare %s with its file", s.own->name));
    TRY(weight_unpack(s.weight, module, c.weight));
    TRY(each_rows(hash, files, &s, compare, &c));
done:
    free(c.weight);
    free(c.file);
    return status;
}

clora_status kept_files_check(uint64_t hash, const model_files *files, const clora_model *m, int p, int module) {
    clora_status status = CLORA_OK;
    uint64_t now;
    source s;

    TRY(find(&s, files, m, p, module));
    TRY(each_rows(&now, files, &s, NULL, NULL));
    if (now != hash)
        TRY(fail_changed(&s));
done:
    return status;
}

static clora_status pack(void *user, const source *s, const void *rows, int row, int count) {
    (void)user;
    return weight_pack_rows((weight *)(uintptr_t)s->weight, s->module, row, count, rows, s->own->file);
}

clora_status kept_files_restore(uint64_t hash, const model_files *files, const clora_model *m, int p, int module) {
    clora_status status = CLORA_OK;
    uint64_t now;
    source s;

    TRY(find(&s, files, m, p, module));
    TRY(each_rows(&now, files, &s, pack, NULL));
    if (now != hash)
        TRY(fail_changed(&s));
done:
    return status;
}
