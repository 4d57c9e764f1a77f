#include <clora/inspect.h>
#include <clora/output.h>

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/plain.h"
#include "files/directory.h"
#include "files/safetensors.h"
#include "methods/bottleneck_config.h"
#include "methods/bottleneck_files.h"
#include "methods/method.h"
#include "methods/past_files.h"
#include "methods/classifier.h"
#include "methods/peft.h"
#include "methods/peft_config.h"

enum { TYPES = 16 }; /* more than files may have */

/* Tensors by type, and what is told of them: one block. */
typedef struct stored_types {
    clora_stored head;
    clora_stored_type type[TYPES];
    const clora_stored_type *list[TYPES];
} stored_types;

static clora_stored_type *find_type(stored_types *out, const char *dtype) {
    for (size_t i = 0; i < out->head.types; i++)
        if (strcmp(out->type[i].dtype, dtype) == 0)
            return &out->type[i];
    if (out->head.types == TYPES || strlen(dtype) >= sizeof(out->type[0].dtype))
        return NULL; /* there are fewer types than that */
    clora_stored_type *type = &out->type[out->head.types++];
    strcpy(type->dtype, dtype);
    return type;
}

static void add_tensor(stored_types *out, const stored_tensor *tensor) {
    clora_stored_type *type = find_type(out, tensor->dtype_text);
    const int64_t elements = (int64_t)stored_elements(tensor);

    out->head.tensors++;
    out->head.elements += elements;
    out->head.bytes += tensor->size;
    if (type) {
        type->tensors++;
        type->elements += elements;
    }
}

static int by_elements(const void *a, const void *b) {
    const clora_stored_type *x = a, *y = b;
    if (x->elements != y->elements)
        return x->elements < y->elements ? 1 : -1;
    return strcmp(x->dtype, y->dtype);
}

/* All tensors are counted. */
static clora_stored *sort_types(stored_types *s) {
    qsort(s->type, s->head.types, sizeof(s->type[0]), by_elements);
    for (size_t i = 0; i < s->head.types; i++)
        s->list[i] = &s->type[i];
    s->head.type = s->list;
    return &s->head;
}

clora_status clora_inspect_model(clora_stored **out, const char *directory) {
    clora_status status = CLORA_OK;
    stored_types *found = NULL;
    model_files *set = NULL;

    NEED(out);
    *out = NULL;
    NEED(directory);
    TRY(directory_need_model(directory));
    TRY(model_files_open(&set, directory));
    found = calloc(1, sizeof(*found));
    if (!found)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    found->head.files = (int)model_files_file_count(set);
    for (size_t i = 0; i < model_files_count(set); i++)
        add_tensor(found, model_files_tensor(set, i));
    *out = sort_types(found);
done:
    model_files_close(set);
    return status;
}

void clora_stored_free(clora_stored *stored) {
    free(stored);
}

static clora_status add_tensors(clora_inspected_adapter *out, const safetensors *file) {
    stored_types *found = calloc(1, sizeof(*found));

    if (!found)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path);
    found->head.files = 1;
    for (size_t i = 0; i < file->count; i++)
        add_tensor(found, &file->tensors[i]);
    out->stored = sort_types(found);
    return CLORA_OK;
}

static clora_status read_tensors(clora_inspected_adapter *out, const char *directory, const json_t *config) {
    clora_status status = CLORA_OK;
    peft_keys keys = {.count = 0};
    const stored_tensor *score;
    safetensors *file = NULL;

    TRY(peft_open_tensors(&file, directory));
    TRY(peft_keys_init(&keys, file));
    TRY(peft_find_score(&score, file, config));
    if (score)
        TRY(label_names_read(&out->labels, config, (int)score->shape[0], file->path));
    out->modules = peft_keys_modules(&keys);
    TRY(add_tensors(out, file));
done:
    peft_keys_finish(&keys);
    safetensors_close(file);
    return status;
}

static clora_status read_settings(clora_inspected_adapter *out, const json_t *config, const char *path) {
    clora_status status = CLORA_OK;
    int64_t rank;
    double alpha, dropout;
    bool rslora;
    const char *base;

    TRY(json_get_int(&rank, config, "r", 8, path));
    TRY(json_get_real(&alpha, config, "lora_alpha", 8, path));
    TRY(json_get_real(&dropout, config, "lora_dropout", 0, path));
    TRY(json_get_bool(&rslora, config, "use_rslora", false, path));
    TRY(json_get_text(&base, config, "base_model_name_or_path", "", path));
    out->rank = (int)rank;
    out->alpha = (float)alpha;
    out->dropout = (float)dropout;
    out->rslora = rslora;
    out->dora = peft_vector(config) == PEFT_MAGNITUDE;
    out->lora_bias = peft_vector(config) == PEFT_BIAS;
    out->base = plain_text(base);
    out->target_modules = target_modules_text(json_object_get(config, "target_modules"));
    out->rank_pattern = target_pattern_text(json_object_get(config, "rank_pattern"));
    out->alpha_pattern = target_pattern_text(json_object_get(config, "alpha_pattern"));
    out->modules_to_save = target_modules_text(json_object_get(config, "modules_to_save"));
    if (!out->base || !out->target_modules || !out->rank_pattern || !out->alpha_pattern || !out->modules_to_save)
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path);
done:
    return status;
}

static clora_status read_bottleneck_tensors(clora_inspected_adapter *out, const char *directory) {
    enum { TENSORS_OF_ONE = 4 };
    clora_status status = CLORA_OK;
    safetensors *file = NULL;

    TRY(bottleneck_files_open(&file, directory));
    out->modules = (int)file->count / TENSORS_OF_ONE;
    TRY(add_tensors(out, file));
done:
    safetensors_close(file);
    return status;
}

static clora_status read_bottleneck(clora_inspected_adapter *out, const char *directory, const char *path) {
    enum { LOOKED_AT = 1000 }; /* layers; how many the base has is not said */
    clora_status status = CLORA_OK;
    json_t *config = NULL;
    int64_t hidden;
    const char *base;

    TRY(bottleneck_config_load(&config, path));
    TRY(json_get_int(&hidden, config, "hidden_size", 0, path));
    TRY(json_get_text(&base, config, "model_name", "", path));
    if (hidden < 1 || hidden > INT32_MAX)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"hidden_size\" is %lld; it is the width of the base", path,
                       (long long)hidden));
    for (int i = 0; i < LOOKED_AT * SUBLAYERS && out->columns == 0; i++)
        out->columns = bottleneck_config_columns(config, (int)hidden, i / SUBLAYERS, i % SUBLAYERS);
    out->method = method_bottleneck.name;
    out->swish = bottleneck_config_swish(config);
    out->reads_stream = bottleneck_config_reads_stream(config);
    out->base = plain_text(base);
    out->target_modules = alloc_string("");
    out->rank_pattern = alloc_string("");
    out->alpha_pattern = alloc_string("");
    if (!out->base || !out->target_modules || !out->rank_pattern || !out->alpha_pattern)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    TRY(read_bottleneck_tensors(out, directory));
done:
    json_decref(config);
    return status;
}

/* PEFT's settings and one tensor of what stands before a sequence; NULL: they are not of such an adapter. */
static const method *past_method(const json_t *config) {
    const char *type = json_string_value(json_object_get(config, "peft_type"));

    if (type && strcmp(type, method_prefix.peft_type) == 0)
        return &method_prefix;
    return type && strcmp(type, method_prompt.peft_type) == 0 ? &method_prompt : NULL;
}

static clora_status read_past(clora_inspected_adapter *out, const char *directory, const json_t *config,
                              const char *path) {
    clora_status status = CLORA_OK;
    safetensors *file = NULL;
    const char *base;
    int64_t tokens;

    TRY(json_get_int(&tokens, config, "num_virtual_tokens", 0, path));
    TRY(json_get_text(&base, config, "base_model_name_or_path", "", path));
    if (tokens < 1 || tokens > INT32_MAX)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"num_virtual_tokens\" is %lld; the least is 1", path,
                       (long long)tokens));
    out->method = past_method(config)->name;
    out->positions = (int)tokens;
    out->base = plain_text(base);
    out->target_modules = alloc_string("");
    out->rank_pattern = alloc_string("");
    out->alpha_pattern = alloc_string("");
    if (!out->base || !out->target_modules || !out->rank_pattern || !out->alpha_pattern)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    TRY(peft_open_tensors(&file, directory));
    TRY(past_files_labels(&out->labels, file, config));
    TRY(add_tensors(out, file));
done:
    safetensors_close(file);
    return status;
}

static clora_status read_lora(clora_inspected_adapter *out, const char *directory, const char *path) {
    clora_status status = CLORA_OK;
    json_t *config = NULL;

    out->method = method_lora.name;
    TRY(peft_config_load(&config, path, NULL, 0));
    TRY(read_settings(out, config, path));
    TRY(read_tensors(out, directory, config));
done:
    json_decref(config);
    return status;
}

static clora_status read_adapter(clora_inspected_adapter *out, const char *directory) {
    clora_status status = CLORA_OK;
    char *settings = file_join(directory, "adapter_config.json");
    json_t *config = NULL;

    if (!settings)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    TRY(directory_need_adapter(directory));
    TRY(json_load_path(&config, settings, PEFT_CONFIG_BYTES));
    if (past_method(config))
        TRY(read_past(out, directory, config, settings));
    else
        TRY(bottleneck_config_is(config) ? read_bottleneck(out, directory, settings)
                                         : read_lora(out, directory, settings));
done:
    json_decref(config);
    free(settings);
    return status;
}

clora_status clora_inspect_adapter(clora_inspected_adapter **out, const char *directory) {
    clora_status status = CLORA_OK;
    clora_inspected_adapter *found = NULL;

    NEED(out);
    *out = NULL;
    NEED(directory);
    found = calloc(1, sizeof(*found));
    if (!found)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    TRY(read_adapter(found, directory));
    *out = found;
    found = NULL;
done:
    clora_inspected_adapter_free(found);
    return status;
}

void clora_inspected_adapter_free(clora_inspected_adapter *adapter) {
    if (!adapter)
        return;
    free(adapter->base);
    free(adapter->target_modules);
    free(adapter->rank_pattern);
    free(adapter->alpha_pattern);
    free(adapter->modules_to_save);
    label_names_free(adapter->labels);
    clora_stored_free(adapter->stored);
    free(adapter);
}

clora_status clora_inspect_output(const char *directory) {
    clora_output *output;

    NEED(directory);
    const clora_status status = clora_output_open(&output, directory);
    clora_output_close(output, false);
    return status;
}
