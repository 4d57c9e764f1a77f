#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "files/model_files.h"
#include "model/family.h"

/* The directory being read. */
typedef struct reading {
    clora_model *model;
    const model_files *files;
    const char *directory;
    const clora_model_options *options;
    int64_t read, all;                       /* bytes of the files' tensors */
    weight_pool pool[LAYER_PROJECTIONS];     /* of all layers */
    clora_tensor *norms;                     /* the gains of all layers, and the last */
    size_t norms_read;                       /* values of them */
    clora_tensor *biases[LAYER_PROJECTIONS]; /* (layers, N) */
    void *stage;                             /* bytes of a tensor on their way */
    size_t stage_capacity;
} reading;

/* A tensor that model_files_check has checked. */
static const stored_tensor *take(reading *r, const char *name) {
    const stored_tensor *t = model_files_find(r->files, name);

    r->model->info.parameters += (int64_t)stored_elements(t);
    return t;
}

static int64_t count_bytes(const model_files *files) {
    int64_t bytes = 0;

    for (size_t i = 0; i < model_files_count(files); i++)
        bytes += (int64_t)model_files_tensor(files, i)->size;
    return bytes;
}

/* So much more was read. */
static clora_status tell(reading *r, int64_t bytes) {
    const clora_model_options *o = r->options;

    r->read += bytes;
    if (o->progress && o->progress(o->user, r->read, r->all))
        return clora_fail(CLORA_CANCELLED, "%s: loading was stopped", r->directory);
    return CLORA_OK;
}

/* Bytes of a tensor into r->stage. */
static clora_status stage(reading *r, const stored_tensor *t, size_t at, size_t size) {
    clora_status status = CLORA_OK;

    TRY(alloc_grow(&r->stage, &r->stage_capacity, size, 1));
    TRY(model_files_read(r->stage, r->files, t, at, size));
    TRY(tell(r, (int64_t)size));
done:
    return status;
}

/* A vector as floats that the caller frees. */
static clora_status read_vector(float **out, reading *r, const char *name, int n) {
    const stored_tensor *t = take(r, name);
    clora_status status = CLORA_OK;

    *out = NULL;
    TRY(stage(r, t, 0, t->size));
    *out = alloc_array((size_t)n, sizeof(**out));
    if (!*out)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", name));
    dtype_to_f32(*out, r->stage, t->dtype, (size_t)n);
    for (int i = 0; i < n; i++)
        if (!isfinite((*out)[i]))
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: the tensor %s holds a value that is not finite", r->directory,
                           name));
done:
    return status;
}

/* One buffer for all gains and biases of norms: a launch of many layers holds few. */
static clora_status create_norms(reading *r) {
    const model_config *c = &r->model->config;
    int64_t count = c->hidden;

    for (int i = 0; i < c->family->norms; i++)
        count += (int64_t)c->layers * model_norm_width(c, i);
    if (c->family->layernorm)
        count *= 2;
    if (count > INT32_MAX)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: normalisations of %lld values", r->directory, (long long)count);
    return tensor_new(&r->norms, r->model->context, CLORA_DTYPE_F32, 1, (int)count);
}

static clora_status load_norm_vector(clora_tensor **out, reading *r, const char *path, const char *leaf, int C) {
    clora_status status = CLORA_OK;
    float *values = NULL;
    char name[112];

    snprintf(name, sizeof(name), "%s.%s", path, leaf);

    TRY(read_vector(&values, r, name, C));
    TRY(tensor_split(out, r->norms, r->norms_read, 1, C));
    r->norms_read += (size_t)C;
    TRY(clora_tensor_write(*out, values));
done:
    free(values);
    return status;
}

static clora_status load_norm(clora_tensor **gain, clora_tensor **bias, reading *r, const char *path, int C) {
    clora_status status = CLORA_OK;

    TRY(load_norm_vector(gain, r, path, "weight", C));
    if (r->model->config.family->layernorm)
        TRY(load_norm_vector(bias, r, path, "bias", C));
done:
    return status;
}

static clora_status load_positions(reading *r) {
    const model_config *c = &r->model->config;
    clora_status status = CLORA_OK;
    float *values = NULL;

    if (!c->family->names->positions)
        return CLORA_OK;
    TRY(read_vector(&values, r, c->family->names->positions, c->max_positions * c->hidden));
    TRY(tensor_new(&r->model->positions, r->model->context, CLORA_DTYPE_F32, c->max_positions, c->hidden));
    TRY(clora_tensor_write(r->model->positions, values));
done:
    free(values);
    return status;
}

static clora_storage type_of(const reading *r, const stored_tensor *t, int K) {
    return storage_choose((storage_choice){r->options->dtype, t->dtype}, K);
}

/* One matrix that lies as (K, N) into one module. */
static clora_status pack_turned(reading *r, weight *w, int module, const stored_tensor *t, const char *name) {
    clora_status status = CLORA_OK;

    TRY(stage(r, t, 0, t->size));
    status = weight_pack(w, module, r->stage, t->dtype, true);
    if (status != CLORA_OK)
        return clora_fail_within(status, "%s: the tensor %s", r->directory, name);
done:
    return status;
}

/* One matrix into one module, some rows in host memory at a time. */
static clora_status pack(reading *r, weight *w, int module, const stored_tensor *t, const char *name) {
    enum { STAGE = 32 << 20 };
    const size_t row = (size_t)w->K * dtype_size(t->dtype);
    const int N = w->module[module].N, step = weight_row_step(w);
    const int fit = (int)(STAGE / row) / step * step, some = fit < step ? step : fit;
    clora_status status = CLORA_OK;

    for (int n = 0; n < N; n += some) {
        const int rows = N - n < some ? N - n : some;
        TRY(stage(r, t, (size_t)n * row, (size_t)rows * row));
        status = weight_pack_rows(w, module, n, rows, r->stage, t->dtype);
        if (status != CLORA_OK)
            return clora_fail_within(status, "%s: the tensor %s", r->directory, name);
    }
done:
    return status;
}

/* A weight of one module: the embedding or the head. */
static clora_status load_table(weight **out, reading *r, const char *name) {
    const model_config *c = &r->model->config;
    const stored_tensor *t = take(r, name);
    clora_status status = CLORA_OK;

    TRY(weight_create(out, r->model->context, type_of(r, t, c->hidden), c->hidden, 1, &c->vocab));
    TRY(pack(r, *out, 0, t, name));
done:
    return status;
}

static clora_status load_bias(reading *r, weight *w, int module, const char *path) {
    clora_status status = CLORA_OK;
    float *values = NULL;

    TRY(read_vector(&values, r, path, w->module[module].N));
    TRY(weight_set_bias(w, module, values));
done:
    free(values);
    return status;
}

/* Those of a layer's k-th projection, in one buffer with the other layers': a launch of many layers holds few. */
static clora_status load_biases(reading *r, int l, int k) {
    const family_projection *p = &r->model->config.family->projection[k];
    weight *w = r->model->layer[l].w[k];
    clora_status status = CLORA_OK;
    char name[96];

    if (!r->biases[k])
        TRY(tensor_new(&r->biases[k], r->model->context, CLORA_DTYPE_F32, r->model->config.layers, w->N));
    TRY(tensor_split(&w->bias, r->biases[k], (size_t)l * (size_t)w->N, 1, w->N));
    for (int i = 0; i < p->modules; i++) {
        snprintf(name, sizeof(name), "%s.%d.%s.bias", r->model->config.family->names->layers, l, p->module[i].path);
        TRY(load_bias(r, w, i, name));
    }
done:
    return status;
}

/* A layer's k-th projection: its modules' files in order. A mixture of types is stored in the widest. */
static clora_status load_projection(reading *r, int l, int k) {
    const model_config *c = &r->model->config;
    const stored_tensor *t[WEIGHT_MODULES];
    char name[WEIGHT_MODULES][96];
    int N[WEIGHT_MODULES], K;
    const int modules = model_projection_shape(c, k, N, &K);
    const family_projection *p = &c->family->projection[k];
    clora_storage type = CLORA_STORAGE_F32;
    clora_status status = CLORA_OK;
    weight **w = &r->model->layer[l].w[k];

    for (int i = 0; i < modules; i++) {
        snprintf(name[i], sizeof(name[i]), "%s.%d.%s.weight", c->family->names->layers, l, p->module[i].path);
        t[i] = take(r, name[i]);
        type = i == 0 ? type_of(r, t[0], K) : type_of(r, t[i], K) == type ? type : CLORA_STORAGE_F32;
    }
    TRY(weight_create_in(w, &r->pool[k], r->model->context, type, K, modules, N));
    for (int i = 0; i < modules; i++)
        TRY((c->family->names->turned ? pack_turned : pack)(r, *w, i, t[i], name[i]));
    if (model_projection_bias(c, k))
        TRY(load_biases(r, l, k));
done:
    return status;
}

static clora_status load_layer(reading *r, int l) {
    const model_family *family = r->model->config.family;
    model_layer *layer = &r->model->layer[l];
    char name[96];
    clora_status status = CLORA_OK;

    for (int i = 0; i < family->norms; i++) {
        if (!family->norm[i].path)
            continue;
        snprintf(name, sizeof(name), "%s.%d.%s", family->names->layers, l, family->norm[i].path);
        TRY(load_norm(&layer->norm[i], &layer->norm_bias[i], r, name, model_norm_width(&r->model->config, i)));
    }
    for (int k = 0; k < family->projections; k++)
        TRY(load_projection(r, l, k));
done:
    return status;
}

/* In which type the files have each of the model's tensors; of a tied pair they may hold either. */
static clora_status note_types(const reading *r, const stored_tensor *embedding) {
    clora_model *m = r->model;
    clora_status status = CLORA_OK;

    m->directory = alloc_string(r->directory);
    if (!m->directory)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a model");
    TRY(model_list_tensors(m));
    for (int i = 0; i < m->tensors; i++) {
        const stored_tensor *t = model_files_find(r->files, m->tensor[i].name);
        m->tensor[i].file = (t ? t : embedding)->dtype;
    }
done:
    return status;
}

clora_status model_load_weights(clora_model *m, const model_files *files, const model_tables *tables,
                                const char *directory, const clora_model_options *options) {
    const int layers = m->config.layers;
    reading r = {.model = m, .files = files, .directory = directory, .options = options, .all = count_bytes(files)};
    clora_status status = CLORA_OK;

    if (options->dtype >= 0 && !storage_of((clora_storage)options->dtype))
        return clora_fail(CLORA_ERROR_ARGUMENT, "weights have no storage type %d", options->dtype);
    TRY(tell(&r, 0));
    m->layer = alloc_array((size_t)layers, sizeof(*m->layer));
    if (!m->layer)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a model"));
    TRY(load_table(&m->embedding, &r, tables->embedding->name));
    TRY(load_positions(&r));
    model_round_scale(m, tables->embedding->dtype);
    TRY(create_norms(&r));
    for (int k = 0; k < LAYER_PROJECTIONS; k++)
        r.pool[k].count = layers;
    for (int l = 0; l < layers; l++)
        TRY(load_layer(&r, l));
    TRY(load_norm(&m->norm, &m->norm_bias, &r, m->config.family->names->norm, m->config.hidden));
    m->head = m->embedding;
    if (!m->config.tied) {
        m->head = NULL;
        TRY(load_table(&m->head, &r, tables->head->name));
    }
    TRY(note_types(&r, tables->embedding));
    TRY(tell(&r, r.all - r.read)); /* some are in the files, but not in the model */
done:
    for (int k = 0; k < LAYER_PROJECTIONS; k++) {
        weight_pool_finish(&r.pool[k]);
        clora_tensor_free(r.biases[k]);
    }
    clora_tensor_free(r.norms);
    free(r.stage);
    return status;
}
