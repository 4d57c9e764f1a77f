#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "io/safetensors.h"
#include "model/model.h"

/* The directory being read: every tensor must be used once. */
typedef struct reading {
    clora_model *model;
    safetensors_set *files;
    const char *directory;
    int dtype; /* forced storage, or -1 */
    size_t used;
    weight_pool pool[SITES_PER_LAYER]; /* of all layers */
    clora_tensor *norms;               /* (2 layers + 1, C): each layer's two, and the last */
} reading;

static clora_status find(const safetensors_tensor **out, reading *r, const char *name) {
    *out = safetensors_set_find(r->files, name);
    if (!*out)
        return clora_fail(CLORA_ERROR_NOT_FOUND, "%s: the tensor %s is missing", r->directory, name);
    if (!(*out)->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: the tensor %s has type %s; F32, F16 and BF16 are supported",
                          r->directory, name, (*out)->dtype_text);
    r->used++;
    r->model->info.parameters += (int64_t)((*out)->size / dtype_size((*out)->dtype));
    return CLORA_OK;
}

/* rows = 0: a vector of cols elements */
static clora_status find_shaped(const safetensors_tensor **out, reading *r, const char *name, int rows, int cols) {
    clora_status status = find(out, r, name);
    const safetensors_tensor *t = *out;

    if (status != CLORA_OK)
        return status;
    if (rows == 0 ? t->ndim != 1 || t->shape[0] != cols : t->ndim != 2 || t->shape[0] != rows || t->shape[1] != cols) {
        char text[128] = "";
        for (int i = 0; i < t->ndim; i++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%lld", i ? ", " : "", (long long)t->shape[i]);
        return rows ? clora_fail(CLORA_ERROR_FORMAT, "%s: the tensor %s is (%s); config.json makes it (%d, %d)",
                                 r->directory, name, text, rows, cols)
                    : clora_fail(CLORA_ERROR_FORMAT, "%s: the tensor %s is (%s); config.json makes it (%d)",
                                 r->directory, name, text, cols);
    }
    return CLORA_OK;
}

/* A vector as floats that the caller frees. */
static clora_status read_vector(float **out, reading *r, const char *name, int n) {
    const safetensors_tensor *t;
    clora_status status = CLORA_OK;

    *out = NULL;
    TRY(find_shaped(&t, r, name, 0, n));
    *out = alloc_array((size_t)n, sizeof(**out));
    if (!*out)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", name);
    dtype_to_f32(*out, t->data, t->dtype, (size_t)n);
    for (int i = 0; i < n; i++)
        if (!isfinite((*out)[i])) {
            free(*out);
            *out = NULL;
            return clora_fail(CLORA_ERROR_FORMAT, "%s: the tensor %s holds a value that is not finite", r->directory,
                              name);
        }
done:
    return status;
}

/* Row `row` of the layers' norms. */
static clora_status load_norm(clora_tensor **out, reading *r, const char *name, int row) {
    const int C = r->model->config.hidden;
    clora_status status = CLORA_OK;
    float *values = NULL;

    TRY(read_vector(&values, r, name, C));
    TRY(tensor_split(out, r->norms, (size_t)row * (size_t)C, 1, C));
    TRY(clora_tensor_write(*out, values));
done:
    free(values);
    return status;
}

static clora_dtype storage(const reading *r, const safetensors_tensor *t) {
    return r->dtype >= 0 ? (clora_dtype)r->dtype : t->dtype;
}

/* One matrix into one module; its file pages are given back. */
static clora_status pack(reading *r, weight *w, int module, const safetensors_tensor *t, const char *name) {
    const clora_status status = weight_pack(w, module, t->data, t->dtype, false);

    if (status != CLORA_OK)
        return clora_fail_within(status, "%s: the tensor %s", r->directory, name);
    safetensors_set_release(r->files, t);
    return CLORA_OK;
}

/* A weight of one module: the embedding or the head. */
static clora_status load_table(weight **out, reading *r, const char *name) {
    const model_config *c = &r->model->config;
    const safetensors_tensor *t;
    clora_status status = CLORA_OK;

    TRY(find_shaped(&t, r, name, c->vocab, c->hidden));
    TRY(weight_create(out, r->model->context, storage(r, t), c->hidden, 1, &c->vocab));
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

/* A layer's fused weight: its modules' files in order. A mixture of types is stored in the widest. */
static clora_status load_site(reading *r, int l, int kind) {
    const model_config *c = &r->model->config;
    const safetensors_tensor *t[WEIGHT_MODULES];
    char name[WEIGHT_MODULES][96];
    int N[WEIGHT_MODULES], K;
    const int modules = model_site_shape(c, kind, N, &K);
    const bool bias = kind <= SITE_O ? c->attention_bias : c->mlp_bias;
    clora_dtype dtype = CLORA_DTYPE_F32;
    clora_status status = CLORA_OK;
    weight **w = &r->model->layer[l].w[kind];

    for (int i = 0; i < modules; i++) {
        snprintf(name[i], sizeof(name[i]), "model.layers.%d.%s.weight", l, model_module_path(kind, i));
        TRY(find_shaped(&t[i], r, name[i], N[i], K));
        dtype = i == 0 ? storage(r, t[0]) : storage(r, t[i]) == dtype ? dtype : CLORA_DTYPE_F32;
    }
    TRY(weight_create_in(w, &r->pool[kind], r->model->context, dtype, K, modules, N));
    for (int i = 0; i < modules; i++) {
        TRY(pack(r, *w, i, t[i], name[i]));
        snprintf(name[i], sizeof(name[i]), "model.layers.%d.%s.bias", l, model_module_path(kind, i));
        if (bias)
            TRY(load_bias(r, *w, i, name[i]));
    }
done:
    return status;
}

static clora_status load_layer(reading *r, int l) {
    llama_layer *layer = &r->model->layer[l];
    char name[96];
    clora_status status = CLORA_OK;

    snprintf(name, sizeof(name), "model.layers.%d.input_layernorm.weight", l);
    TRY(load_norm(&layer->norm_attention, r, name, 2 * l));
    snprintf(name, sizeof(name), "model.layers.%d.post_attention_layernorm.weight", l);
    TRY(load_norm(&layer->norm_mlp, r, name, 2 * l + 1));
    for (int kind = 0; kind < SITES_PER_LAYER; kind++)
        TRY(load_site(r, l, kind));
done:
    return status;
}

/* A file's tensor that nothing used means that the model is not what its config.json says. Old files carry tensors that
 * are derived from the configuration, and tied models may carry their head twice. */
static clora_status check_all_used(reading *r) {
    const model_config *c = &r->model->config;

    for (size_t i = 0; i < safetensors_set_count(r->files); i++) {
        const char *name = safetensors_set_tensor(r->files, i)->name;
        int layer, end = 0;
        if (strstr(name, "rotary_emb.inv_freq") || (c->tied && strcmp(name, "lm_head.weight") == 0)) {
            r->used++;
            continue;
        }
        if (strcmp(name, "model.embed_tokens.weight") == 0 || strcmp(name, "model.norm.weight") == 0 ||
            strcmp(name, "lm_head.weight") == 0)
            continue;
        if (sscanf(name, "model.layers.%d.%n", &layer, &end) != 1 || !end || layer < 0 || layer >= c->layers)
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: the tensor %s has no place in this model", r->directory,
                              name);
    }
    if (r->used == safetensors_set_count(r->files))
        return CLORA_OK;
    for (size_t i = 0; i < safetensors_set_count(r->files); i++) { /* something inside a layer: a bias, most likely */
        const char *name = safetensors_set_tensor(r->files, i)->name;
        const size_t n = strlen(name);
        const bool attention = strstr(name, ".self_attn.") != NULL;
        if (n > 5 && strcmp(name + n - 5, ".bias") == 0 && !(attention ? c->attention_bias : c->mlp_bias))
            return clora_fail(CLORA_ERROR_UNSUPPORTED,
                              "%s: the tensor %s is a bias, and config.json says that there are none", r->directory,
                              name);
    }
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: %zu tensors in the files, of which the model uses %zu",
                      r->directory, safetensors_set_count(r->files), r->used);
}

clora_status model_load_weights(clora_model *m, const char *directory, int dtype) {
    const int layers = m->config.layers;
    reading r = {.model = m, .directory = directory, .dtype = dtype};
    clora_status status = CLORA_OK;

    if (dtype > CLORA_DTYPE_BF16)
        return clora_fail(CLORA_ERROR_ARGUMENT, "weights are stored as f32, f16 or bf16");
    TRY(safetensors_set_open(&r.files, directory));
    TRY(load_table(&m->embedding, &r, "model.embed_tokens.weight"));
    TRY(tensor_new(&r.norms, m->context, CLORA_DTYPE_F32, 2 * layers + 1, m->config.hidden));
    for (int kind = 0; kind < SITES_PER_LAYER; kind++)
        r.pool[kind].count = layers;
    for (int l = 0; l < layers; l++)
        TRY(load_layer(&r, l));
    TRY(load_norm(&m->norm, &r, "model.norm.weight", 2 * layers));
    m->head = m->embedding;
    if (!m->config.tied) {
        m->head = NULL;
        TRY(load_table(&m->head, &r, "lm_head.weight"));
    }
    TRY(check_all_used(&r));
done:
    for (int kind = 0; kind < SITES_PER_LAYER; kind++)
        weight_pool_finish(&r.pool[kind]);
    clora_tensor_free(r.norms);
    safetensors_set_close(r.files);
    return status;
}
