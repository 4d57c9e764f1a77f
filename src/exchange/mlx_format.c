#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/file.h"
#include "base/outdir.h"
#include "base/transpose.h"
#include "exchange/adapter_format.h"
#include "exchange/factor_file.h"
#include "files/safetensors.h"
#include "methods/peft.h"
#include "methods/peft_config.h"
#include "methods/target.h"

static const char TENSORS_NAME[] = "adapters.safetensors", CONFIG_NAME[] = "adapter_config.json";

static bool is_mlx(const char *path) {
    char *tensors = file_join(path, TENSORS_NAME);
    const bool is = tensors && file_exists(tensors);

    free(tensors);
    return is;
}

/* ---- reading ---- */

typedef struct mlx_settings {
    int rank;
    float scale;
    double dropout;
    const char *base;
} mlx_settings;

static clora_status read_settings(mlx_settings *out, const json_t *config, const char *path) {
    const json_t *lora = json_object_get(config, "lora_parameters");
    clora_status status = CLORA_OK;
    const char *kind;
    int64_t rank;
    double scale;

    TRY(json_get_text(&kind, config, "fine_tune_type", "lora", path));
    if (strcmp(kind, "lora") != 0)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"fine_tune_type\" is \"%s\"; only \"lora\" can be converted",
                       path, kind));
    if (!json_is_object(lora) || !json_is_number(json_object_get(lora, "scale")))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"lora_parameters\" has no \"scale\", the factor of the product",
                       path));
    TRY(json_get_int(&rank, lora, "rank", 0, path));
    TRY(json_get_real(&scale, lora, "scale", 0, path));
    TRY(json_get_real(&out->dropout, lora, "dropout", 0, path));
    TRY(json_get_text(&out->base, config, "model", NULL, path));
    if (rank < 1 || rank > TARGET_MAX_RANK)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"rank\" is %lld; a rank is an integer from 1 to %d", path,
                       (long long)rank, TARGET_MAX_RANK));
    if (!isfinite((float)scale) || !(out->dropout >= 0 && out->dropout < 1))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"scale\" %g or \"dropout\" %g is out of range", path, scale,
                       out->dropout));
    out->rank = (int)rank;
    out->scale = (float)scale;
done:
    return status;
}

static clora_status check_factor(const stored_tensor *t, const safetensors *file, int rank, bool is_b) {
    char text[STORED_SHAPE_TEXT];

    if (!t->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s has type %s; F32, F16 and BF16 are supported",
                          file->path, t->name, t->dtype_text);
    if (t->ndim != 2 || t->shape[!is_b] != rank || t->shape[is_b] < 1 || t->shape[is_b] > INT_MAX)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is %s; with rank %d it should be (%s)", file->path,
                          t->name, stored_shape_text(text, t->ndim, t->shape), rank,
                          is_b ? "rank, outputs" : "inputs, rank");
    return CLORA_OK;
}

static clora_status read_turned(float *out, const safetensors *file, const stored_tensor *t) {
    float *values = alloc_array(stored_elements(t), sizeof(*values));
    clora_status status = CLORA_OK;

    if (!values)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the tensor %s", t->name));
    TRY(peft_read_tensor(values, file, t));
    transpose_rows(out, values, (int)t->shape[0], (int)t->shape[1]);
done:
    free(values);
    return status;
}

static clora_status read_term(term_list *out, const safetensors *file, const stored_tensor *a, const char *module,
                              const mlx_settings *settings) {
    char *name = alloc_format("%s.lora_b", module);
    const stored_tensor *b = name ? safetensors_find(file, name) : NULL;
    clora_status status = CLORA_OK;
    lowrank_term *term;

    if (!b)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: there is no lora_b to the tensor %s", file->path, a->name));
    TRY(check_factor(a, file, settings->rank, false));
    TRY(check_factor(b, file, settings->rank, true));
    TRY(term_list_add(&term, out, module, (int)b->shape[1], (int)a->shape[0], settings->rank));
    term->scale = settings->scale;
    TRY(read_turned(term->a, file, a));
    TRY(read_turned(term->b, file, b));
done:
    free(name);
    return status;
}

static clora_status read_tensor(term_list *out, const safetensors *file, const stored_tensor *t,
                                const mlx_settings *settings) {
    static const char a[] = ".lora_a", b[] = ".lora_b", embedding[] = "embed_tokens.lora_";
    clora_status status = CLORA_OK;
    char *module = NULL;

    if (strstr(t->name, embedding) || !(c_locale_ends_with(t->name, a) || c_locale_ends_with(t->name, b)))
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s is no factor of a linear layer's low-rank term",
                       file->path, t->name));
    if (c_locale_ends_with(t->name, b))
        goto done;
    module = alloc_string_n(t->name, strlen(t->name) - strlen(a));
    if (!module)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the name of %s", t->name));
    TRY(read_term(out, file, t, module, settings));
done:
    free(module);
    return status;
}

static clora_status read_terms(term_list *out, const safetensors *file, const mlx_settings *settings) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < file->count; i++)
        TRY(read_tensor(out, file, &file->tensors[i], settings));
    if (2 * out->count != file->count || out->count == 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: factors lora_a and lora_b are not in pairs", file->path));
    TRY(term_list_sort(out, file->path));
done:
    return status;
}

static clora_status read_mlx(term_list *out, const char *path, const base_shape *base) {
    char *tensors = file_join(path, TENSORS_NAME), *settings = file_join(path, CONFIG_NAME);
    clora_status status = CLORA_OK;
    safetensors *file = NULL;
    json_t *config = NULL;
    mlx_settings mlx;

    (void)base;
    *out = (term_list){.count = 0};
    if (!tensors || !settings)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    TRY(json_load_path(&config, settings, PEFT_CONFIG_BYTES));
    TRY(read_settings(&mlx, config, settings));
    TRY(safetensors_open(&file, tensors));
    TRY(read_terms(out, file, &mlx));
    out->settings = json_pack("{s:s, s:s?, s:f}", "task_type", "CAUSAL_LM", "base_model_name_or_path", mlx.base,
                              "lora_dropout", mlx.dropout);
    if (!out->settings)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
done:
    safetensors_close(file);
    json_decref(config);
    free(tensors);
    free(settings);
    if (status != CLORA_OK)
        term_list_finish(out);
    return status;
}

/* ---- writing ---- */

/* One rank and one scale for all modules is what the format has room for: the others are widened with zeros, and
 * differing scales go into B. */
static clora_status make_alike(bool *folded, term_list *list) {
    clora_status status = CLORA_OK;

    *folded = false;
    for (size_t i = 1; i < list->count; i++)
        *folded |= list->term[i].scale != list->term[0].scale;
    for (size_t i = 0; i < list->count && *folded; i++)
        TRY(term_fold(&list->term[i]));
    TRY(term_list_widen(list, term_list_rank(list)));
done:
    return status;
}

/* Within its layer; a module outside of all layers by its whole name. */
static json_t *list_keys(const term_list *list) {
    json_t *names = json_array(), *sorted = NULL;

    for (size_t i = 0; i < list->count; i++) {
        const char *rest;
        (void)term_layer(&rest, list->term[i].module);
        json_push(&names, json_string(rest));
    }
    if (!names || target_sort(&sorted, names) != CLORA_OK)
        sorted = NULL;
    json_decref(names);
    return sorted;
}

static clora_status write_settings(const char *path, const term_list *list) {
    const json_t *base = json_object_get(list->settings, "base_model_name_or_path");
    const double dropout = json_number_value(json_object_get(list->settings, "lora_dropout"));
    clora_status status = CLORA_OK;
    json_t *config = json_pack("{s:s, s:i, s:{s:i, s:f, s:f, s:o}}", "fine_tune_type", "lora", "num_layers", -1,
                               "lora_parameters", "rank", term_list_rank(list), "scale", (double)list->term[0].scale,
                               "dropout", dropout, "keys", list_keys(list));

    if (json_is_string(base))
        json_put(&config, "model", json_copy((json_t *)(uintptr_t)base));
    if (!config)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path));
    TRY(json_save_path(config, path));
done:
    json_decref(config);
    return status;
}

static clora_status write_mlx(bool *folded, term_list *list, const char *path, const base_shape *base,
                              clora_dtype dtype) {
    char *tensors = NULL, *settings = NULL;
    clora_status status = CLORA_OK;
    outdir out = {.claim = NULL};

    (void)base;
    TRY(make_alike(folded, list));
    TRY(outdir_open(&out, path, CONFIG_NAME));
    TRY(peft_check_place(path, false));
    TRY(outdir_path(&tensors, &out, TENSORS_NAME));
    TRY(factor_file_write(tensors, list, &mlx_factors, dtype));
    TRY(outdir_path(&settings, &out, CONFIG_NAME));
    TRY(write_settings(settings, list));
done:
    outdir_close(&out, status == CLORA_OK);
    free(tensors);
    free(settings);
    return status;
}

const adapter_format mlx_format = {is_mlx, read_mlx, write_mlx};
