#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/file.h"
#include "base/json.h"
#include "base/options.h"
#include "base/rng.h"
#include "model/family.h"

/* Streams of the random numbers: one a tensor, apart from those of other users of a seed. */
static const uint32_t STREAM = 0x57000000u;

/* What config.json says of fresh weights, as transformers reads it. */
typedef struct fresh {
    double spread;   /* of weights: their standard deviation */
    int64_t padding; /* the embedding's row of this id is zero; -1: none is */
    clora_dtype file;
} fresh;

static clora_status read_type(clora_dtype *out, const json_t *root, const char *path) {
    static const char *const names[] = {"float32", "float16", "bfloat16"};
    const char *text;
    clora_status status = CLORA_OK;

    TRY(json_get_text(&text, root, "torch_dtype", names[0], path));
    TRY(json_get_text(&text, root, "dtype", text, path));
    for (int i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (clora_dtype)i;
            return CLORA_OK;
        }
    TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: new weights have the type float32, float16 or bfloat16, not \"%s\"",
                   path, text));
done:
    return status;
}

static clora_status read_fresh(fresh *out, const char *directory) {
    enum { LIMIT = 16 << 20 };
    char *path = file_join(directory, "config.json");
    json_t *root = NULL;
    clora_status status = CLORA_OK;

    if (!path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    TRY(json_load_path(&root, path, LIMIT));
    TRY(json_get_real(&out->spread, root, "initializer_range", 0.02, path));
    if (!(out->spread >= 0.0 && out->spread <= 1e3))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"initializer_range\" is %g; it is a standard deviation", path,
                       out->spread));
    TRY(json_get_int(&out->padding, root, "pad_token_id", -1, path));
    TRY(read_type(&out->file, root, path));
done:
    json_decref(root);
    free(path);
    return status;
}

/* A value depends on the seed, the tensor and its place alone. */
static clora_status fill_weight(const own_tensor *t, int nth, const fresh *f, uint64_t seed) {
    weight *w = (weight *)(uintptr_t)t->weight;
    const size_t K = (size_t)w->K, n = (size_t)w->module[t->module].N * K;
    float *values = alloc_array(n, sizeof(*values));
    clora_status status = CLORA_OK;

    if (!values)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", t->name);
    for (size_t i = 0; i < n; i++)
        values[i] = rng_normal(seed, STREAM + (uint32_t)nth, i) * (float)f->spread;
    if (nth == 0 && f->padding >= 0 && f->padding < w->N)
        memset(values + (size_t)f->padding * K, 0, K * sizeof(*values));
    status = weight_pack(w, t->module, values, CLORA_DTYPE_F32, false);
    free(values);
    return status;
}

static clora_status fill_vector(const own_tensor *t, int nth, const fresh *f, uint64_t seed) {
    clora_tensor view = t->vector;
    const size_t n = clora_tensor_count(&view);
    float *values = alloc_array(n, sizeof(*values));
    clora_status status = CLORA_OK;

    if (!values)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", t->name);
    for (size_t i = 0; i < n; i++)
        values[i] = t->kind == OWN_NORM        ? 1.0f
                    : t->kind == OWN_POSITIONS ? rng_normal(seed, STREAM + (uint32_t)nth, i) * (float)f->spread
                                               : 0.0f;
    status = clora_tensor_write(&view, values);
    free(values);
    return status;
}

static clora_status fill(clora_model *m, const fresh *f, uint64_t seed) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < m->tensors; i++) {
        own_tensor *t = &m->tensor[i];
        t->file = f->file;
        TRY(t->weight ? fill_weight(t, i, f, seed) : fill_vector(t, i, f, seed));
        m->info.parameters += t->weight ? (int64_t)t->weight->module[t->module].N * t->weight->K
                                        : (int64_t)clora_tensor_count(&t->vector);
    }
done:
    return status;
}

clora_status clora_model_create(clora_model **out, clora_context *context, const char *directory,
                                const clora_model_options *options, uint64_t seed) {
    clora_model_options all = CLORA_MODEL_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    clora_model *m = NULL;
    size_t before;
    fresh f;

    NEED(out);
    *out = NULL;
    NEED(context);
    NEED(directory);
    TRY(OPTIONS_TAKE(all, options));
    m = model_allocate(context);
    if (!m)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a model"));
    before = model_memory(context);
    if (all.dtype >= 0 && !storage_of((clora_storage)all.dtype))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "weights have no storage type %d", all.dtype));
    TRY(config_load(&m->config, directory));
    if (m->config.family->names->others[0])
        TRY(clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "%s: new weights of a %s model would lack what it sees images with; a gemma3_text model has none",
            directory, m->config.family->model_type));
    TRY(read_fresh(&f, directory));
    m->own_values = true;
    m->directory = alloc_string(directory);
    if (!m->directory)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a model"));
    TRY(model_build(m, (storage_choice){all.dtype, f.file}));
    TRY(fill(m, &f, seed));
    TRY(model_complete(m, before));
    *out = m;
    m = NULL;
done:
    clora_model_free(m);
    return clora_keep_cause(status);
}
