#include <stdio.h>
#include <string.h>

#include "files/model_tables.h"
#include "files/quantized.h"
#include "model/family.h"

/* The heads of the files against config.json; nothing is read or allocated yet. */
typedef struct check {
    const model_config *config;
    const model_files *files;
    const char *directory;
    size_t used; /* tensors that have a place in the model */
} check;

/* rows = 0: a vector of cols elements */
static clora_status expect(check *c, const char *name, int rows, int cols) {
    const stored_tensor *t = model_files_find(c->files, name);
    char text[STORED_SHAPE_TEXT], wanted[STORED_SHAPE_TEXT];

    if (!t)
        return clora_fail(CLORA_ERROR_NOT_FOUND, "%s: the tensor %s is missing", c->directory, name);
    if (!t->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: the tensor %s has type %s; F32, F16 and BF16 are supported",
                          c->directory, name, t->dtype_text);
    c->used++;
    if (rows == 0 ? t->ndim == 1 && t->shape[0] == cols : t->ndim == 2 && t->shape[0] == rows && t->shape[1] == cols)
        return CLORA_OK;
    stored_shape_text(wanted, rows ? 2 : 1, rows ? (int64_t[]){rows, cols} : (int64_t[]){cols});
    return clora_fail(CLORA_ERROR_FORMAT, "%s: the tensor %s is %s; config.json makes it %s", c->directory, name,
                      stored_shape_text(text, t->ndim, t->shape), wanted);
}

static clora_status expect_norm(check *c, const char *path, int width) {
    clora_status status = CLORA_OK;
    char name[112];

    snprintf(name, sizeof(name), "%s.weight", path);
    TRY(expect(c, name, 0, width));
    snprintf(name, sizeof(name), "%s.bias", path);
    if (c->config->family->layernorm)
        TRY(expect(c, name, 0, width));
done:
    return status;
}

static clora_status expect_layer(check *c, int l) {
    const model_family *family = c->config->family;
    const model_names *names = family->names;
    clora_status status = CLORA_OK;
    char name[96];

    for (int i = 0; i < family->norms; i++) {
        if (!family->norm[i].path)
            continue;
        snprintf(name, sizeof(name), "%s.%d.%s", names->layers, l, family->norm[i].path);
        TRY(expect_norm(c, name, model_norm_width(c->config, i)));
    }
    for (int k = 0; k < family->projections; k++) {
        int N[WEIGHT_MODULES], K;
        const int modules = model_projection_shape(c->config, k, N, &K);
        for (int i = 0; i < modules; i++) {
            const char *path = family->projection[k].module[i].path;
            snprintf(name, sizeof(name), "%s.%d.%s.weight", names->layers, l, path);
            TRY(expect(c, name, names->turned ? K : N[i], names->turned ? N[i] : K));
            snprintf(name, sizeof(name), "%s.%d.%s.bias", names->layers, l, path);
            if (model_projection_bias(c->config, k))
                TRY(expect(c, name, 0, N[i]));
        }
    }
done:
    return status;
}

/* What follows "model.layers.3." in a name, and the 3; NULL in one of no layer. */
static const char *within_layer(int *layer, const model_config *c, const char *name) {
    const char *layers = c->family->names->layers;
    const size_t n = strlen(layers);
    int end = 0;

    if (strncmp(name, layers, n) != 0 || sscanf(name + n, ".%d.%n", layer, &end) != 1 || !end)
        return NULL;
    return name + n + end;
}

static bool is_of_last_norm(const model_config *c, const char *name) {
    const char *norm = c->family->names->norm, *leaf = name + strlen(norm);

    return strncmp(name, norm, strlen(norm)) == 0 &&
           (strcmp(leaf, ".weight") == 0 || (c->family->layernorm && strcmp(leaf, ".bias") == 0));
}

/* A tensor that no model has, or that lies in a layer beyond the last. */
static bool has_no_place(const model_config *c, const char *name) {
    const model_names *names = c->family->names;
    int layer;

    if (strcmp(name, names->embedding) == 0 || strcmp(name, MODEL_HEAD) == 0 || is_of_last_norm(c, name) ||
        (names->positions && strcmp(name, names->positions) == 0))
        return false;
    return !within_layer(&layer, c, name) || layer < 0 || layer >= c->layers;
}

/* One that old files carry. */
static bool is_buffer(const model_config *c, const char *name) {
    const model_names *names = c->family->names;

    for (size_t i = 0; i < sizeof(names->buffers) / sizeof(names->buffers[0]); i++) {
        const char *ending = names->buffers[i];
        if (ending && strlen(name) >= strlen(ending) && strcmp(name + strlen(name) - strlen(ending), ending) == 0)
            return true;
    }
    return false;
}

static bool is_bias(const char *name) {
    const size_t n = strlen(name);

    return n > 5 && strcmp(name + n - 5, ".bias") == 0;
}

/* A bias that is not one of those that the layers' projections have. */
static bool is_unexpected_bias(const model_config *c, const char *name) {
    int layer;
    const char *path = within_layer(&layer, c, name);

    for (int k = 0; k < c->family->projections; k++)
        for (int i = 0; model_projection_bias(c, k) && i < c->family->projection[k].modules; i++) {
            const char *module = c->family->projection[k].module[i].path;
            const size_t n = strlen(module);
            if (path && strncmp(path, module, n) == 0 && strcmp(path + n, ".bias") == 0)
                return false;
        }
    return is_bias(name) && !c->family->layernorm; /* where more than projections have them */
}

/* A file's tensor that nothing uses means that the model is not what its config.json says. Old files carry tensors that
 * are derived from the configuration, and tied models may carry their head twice. */
static clora_status refuse_left_over(check *c) {
    const size_t count = model_files_count(c->files);

    for (size_t i = 0; i < count; i++) {
        const char *name = model_files_tensor(c->files, i)->name;
        if (is_buffer(c->config, name) || model_is_other(c->config->family->names, name))
            c->used++;
        else if (has_no_place(c->config, name))
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: the tensor %s has no place in this model", c->directory,
                              name);
    }
    for (size_t i = 0; i < count && c->used < count; i++) {
        const char *name = model_files_tensor(c->files, i)->name;
        if (is_unexpected_bias(c->config, name))
            return clora_fail(CLORA_ERROR_UNSUPPORTED,
                              "%s: the tensor %s is a bias, and config.json says that there are none", c->directory,
                              name);
    }
    if (c->used < count)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: %zu tensors in the files, of which the model uses %zu",
                          c->directory, count, c->used);
    return CLORA_OK;
}

static clora_status check_tensors(const model_files *files, const model_tables *tables, const model_config *config,
                                  const char *directory) {
    const model_names *names = config->family->names;
    check c = {.config = config, .files = files, .directory = directory};
    clora_status status = CLORA_OK;

    TRY(expect(&c, tables->embedding ? tables->embedding->name : names->embedding, config->vocab, config->hidden));
    for (int l = 0; l < config->layers; l++)
        TRY(expect_layer(&c, l));
    TRY(expect_norm(&c, names->norm, config->hidden));
    if (names->positions)
        TRY(expect(&c, names->positions, config->max_positions, config->hidden));
    if (!config->tied)
        TRY(expect(&c, MODEL_HEAD, config->vocab, config->hidden));
    else if (tables->copy)
        c.used++;
    TRY(refuse_left_over(&c));
done:
    return status;
}

clora_status model_files_check(model_files **out, model_tables *tables, model_config *config, const char *directory) {
    clora_status status = CLORA_OK;
    model_files *files = NULL;

    *out = NULL;
    TRY(model_files_open(&files, directory));
    TRY(quantized_refuse_tensors(files, directory));
    TRY(model_tables_find(tables, files, config->family->names, config->tied));
    config->own_head = config->tied && tables->head != tables->embedding;
    config->tied = config->tied && !config->own_head;
    TRY(check_tensors(files, tables, config, directory));
    *out = files;
    files = NULL;
done:
    model_files_close(files);
    return status;
}

clora_status model_describe(model_config *config, storage_choice *type, const char *directory, int dtype) {
    clora_status status = CLORA_OK;
    model_files *files = NULL;
    model_tables tables;

    if (dtype >= 0 && !storage_of((clora_storage)dtype))
        return clora_fail(CLORA_ERROR_ARGUMENT, "weights have no storage type %d", dtype);
    TRY(config_load(config, directory));
    TRY(model_files_check(&files, &tables, config, directory));
    *type = (storage_choice){dtype, tables.embedding->dtype};
done:
    model_files_close(files);
    return status;
}
