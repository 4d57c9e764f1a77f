#include "methods/past_files.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/outdir.h"
#include "files/directory.h"
#include "methods/classifier.h"
#include "methods/peft.h"
#include "methods/peft_config.h"

static const char CONFIG_NAME[] = "adapter_config.json";
static const char TENSORS_NAME[] = "adapter_model.safetensors";
static const char TENSOR[] = "prompt_embeddings", SCORE[] = "base_model.score.weight";

past_layout past_layout_of(const base_model *base, bool is_prefix) {
    const int kv = base->kv_heads * base->head_dim;

    if (is_prefix)
        return (past_layout){"PREFIX_TUNING", base->kv_heads, kv, 2 * base->layers * kv, true};
    return (past_layout){"PROMPT_TUNING", base->heads, base->hidden, base->hidden, false};
}

/* ---- settings ---- */

/* Keys whose values are checked, or that say where an adapter comes from and how it began, not what it computes. */
static const char *const KNOWN[] = {
    "auto_mapping",
    "base_model_name_or_path",
    "encoder_hidden_size",
    "id2label",
    "inference_mode",
    "init_weights",
    "label2id",
    "modules_to_save",
    "num_attention_heads",
    "num_layers",
    "num_transformer_submodules",
    "num_virtual_tokens",
    "peft_type",
    "peft_version",
    "prefix_projection",
    "prompt_tuning_init",
    "prompt_tuning_init_text",
    "revision",
    "task_type",
    "token_dim",
    "tokenizer_kwargs",
    "tokenizer_name_or_path",
};

static clora_status check_keys(const json_t *root, const char *path) {
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)root, key, value) {
        size_t i = 0;
        while (i < sizeof(KNOWN) / sizeof(KNOWN[0]) && strcmp(KNOWN[i], key) != 0)
            i++;
        if (i == sizeof(KNOWN) / sizeof(KNOWN[0]) && !json_is_off(value))
            return clora_fail(CLORA_ERROR_UNSUPPORTED,
                              "%s: \"%s\" is set, which clora does not know: the adapter would not do what it was "
                              "trained for",
                              path, key);
    }
    return CLORA_OK;
}

enum { MOST_LABELS = 1 << 20 };

/* Does it tell the labels of texts? */
static bool is_of_labels(const json_t *root) {
    const char *task = json_string_value(json_object_get(root, "task_type"));

    return task && strcmp(task, "SEQ_CLS") == 0;
}

/* Whole modules beside it: the head alone, by the names that PEFT looks for. */
static clora_status check_saved(const json_t *root, const char *path) {
    const json_t *saved = json_object_get(root, "modules_to_save");

    for (size_t i = 0; i < json_array_size(saved); i++) {
        const char *name = json_string_value(json_array_get(saved, i));
        if (!is_of_labels(root) || !name || (strcmp(name, "classifier") != 0 && strcmp(name, "score") != 0))
            return clora_fail(CLORA_ERROR_UNSUPPORTED,
                              "%s: \"modules_to_save\" names \"%s\"; beside a prefix or a prompt clora has the head of "
                              "labels alone",
                              path, name ? name : "");
    }
    return !saved || json_is_array(saved) || json_is_off(saved)
               ? CLORA_OK
               : clora_fail(CLORA_ERROR_FORMAT, "%s: \"modules_to_save\" must be a list of names", path);
}

/* A number that the model settles: the file's is the same, or it belongs to another model. */
static clora_status check_number(const json_t *root, const char *key, int expected, const char *path) {
    clora_status status = CLORA_OK;
    int64_t value;

    TRY(json_get_int(&value, root, key, expected, path));
    if (value != expected)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" is %lld, and for this model it is %d: the adapter is another's",
                       path, key, (long long)value, expected));
done:
    return status;
}

static clora_status check_tokens(int64_t *tokens, const json_t *root, const base_model *base, const char *path) {
    clora_status status = CLORA_OK;

    TRY(json_get_int(tokens, root, "num_virtual_tokens", 0, path));
    if (*tokens < 1)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"num_virtual_tokens\" is %lld; the least is 1", path,
                       (long long)*tokens));
    if (*tokens >= base->max_positions)
        TRY(clora_fail(CLORA_ERROR_FORMAT,
                       "%s: \"num_virtual_tokens\" is %lld, and the model has %d positions: none is left for a text",
                       path, (long long)*tokens, base->max_positions));
done:
    return status;
}

static clora_status check_config(const json_t *root, const base_model *base, const past_layout *layout,
                                 const char *path) {
    clora_status status = CLORA_OK;
    const char *task;
    int64_t tokens;

    TRY(check_keys(root, path));
    TRY(check_tokens(&tokens, root, base, path));
    TRY(check_number(root, "num_layers", base->layers, path));
    TRY(check_number(root, "token_dim", layout->token_dim, path));
    TRY(check_number(root, "num_attention_heads", layout->heads, path));
    TRY(check_number(root, "num_transformer_submodules", 1, path));
    TRY(json_get_text(&task, root, "task_type", "CAUSAL_LM", path));
    if (strcmp(task, "CAUSAL_LM") != 0 && !is_of_labels(root))
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s: \"task_type\" is \"%s\"; clora applies \"CAUSAL_LM\" and \"SEQ_CLS\"", path, task));
    TRY(check_saved(root, path));
done:
    return status;
}

clora_status past_config_create(json_t **out, const base_model *base, const past_layout *layout, int tokens,
                                int projection) {
    json_t *config =
        json_pack("{s:n, s:n, s:b, s:i, s:i, s:i, s:i, s:s, s:n, s:s, s:i}", "auto_mapping", "base_model_name_or_path",
                  "inference_mode", 1, "num_attention_heads", layout->heads, "num_layers", base->layers,
                  "num_transformer_submodules", 1, "num_virtual_tokens", tokens, "peft_type", layout->peft_type,
                  "revision", "task_type", "CAUSAL_LM", "token_dim", layout->token_dim);

    if (layout->is_prefix) {
        json_put(&config, "encoder_hidden_size", projection > 0 ? json_integer(projection) : json_null());
        json_put(&config, "prefix_projection", json_boolean(projection > 0));
    } else { /* how it began says nothing any more, and "TEXT" would need a tokenizer */
        json_put(&config, "prompt_tuning_init", json_string("RANDOM"));
        json_put(&config, "prompt_tuning_init_text", json_null());
        json_put(&config, "tokenizer_name_or_path", json_null());
    }
    *out = config;
    return config ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings");
}

int past_config_tokens(const json_t *config) {
    return (int)json_integer_value(json_object_get(config, "num_virtual_tokens"));
}

int past_config_projection(const json_t *config) {
    return (int)json_integer_value(json_object_get(config, "encoder_hidden_size"));
}

/* Those of a file as clora would write them, but for labels. */
static clora_status as_own(json_t **out, const json_t *root, const base_model *base, const past_layout *layout,
                           const char *path) {
    clora_status status = CLORA_OK;
    const char *name;
    bool projected;
    int64_t tokens, hidden;

    *out = NULL;
    TRY(check_config(root, base, layout, path));
    TRY(check_tokens(&tokens, root, base, path));
    TRY(json_get_bool(&projected, root, "prefix_projection", false, path));
    TRY(json_get_int(&hidden, root, "encoder_hidden_size", layout->token_dim, path));
    TRY(json_get_text(&name, root, "base_model_name_or_path", NULL, path));
    if (projected && (hidden < 1 || hidden > INT32_MAX))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"encoder_hidden_size\" is %lld; the least is 1", path,
                       (long long)hidden));
    TRY(past_config_create(out, base, layout, (int)tokens, projected ? (int)hidden : 0));
    if (name)
        json_put(out, "base_model_name_or_path", json_string(name));
    if (!*out)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
done:
    return status;
}

/* ---- values ---- */

static clora_status check_tensor(const safetensors *file, const stored_tensor *t, const char *name, int64_t rows,
                                 int width) {
    char text[STORED_SHAPE_TEXT];

    if (!t)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is missing", file->path, name);
    if (!t->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s has type %s; F32, F16 and BF16 are supported",
                          file->path, name, t->dtype_text);
    if (t->ndim != 2 || t->shape[0] != rows || t->shape[1] != width)
        return clora_fail(CLORA_ERROR_FORMAT,
                          "%s: tensor %s is %s; adapter_config.json and the model make it (%lld, %d)", file->path, name,
                          stored_shape_text(text, t->ndim, t->shape), (long long)rows, width);
    return CLORA_OK;
}

static clora_status check_others(const safetensors *file, bool labels) {
    for (size_t i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name;
        if (strcmp(name, TENSOR) != 0 && !(labels && strcmp(name, SCORE) == 0))
            return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is no part of the adapter, which is %s%s%s",
                              file->path, name, TENSOR, labels ? " and " : " alone", labels ? SCORE : "");
    }
    return CLORA_OK;
}

static clora_status read_matrix(float **out, const safetensors *file, const char *name, int64_t rows, int width) {
    const stored_tensor *t = safetensors_find(file, name);
    clora_status status = CLORA_OK;

    TRY(check_tensor(file, t, name, rows, width));
    *out = alloc_array((size_t)rows, (size_t)width * sizeof(**out));
    if (!*out)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path));
    TRY(peft_read_tensor(*out, file, t));
done:
    return status;
}

clora_status past_files_labels(char ***out, const safetensors *file, const json_t *config) {
    const stored_tensor *t = safetensors_find(file, SCORE);
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!is_of_labels(config))
        return CLORA_OK;
    if (!t || t->ndim != 2 || t->shape[0] < 2 || t->shape[0] > MOST_LABELS)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s, with a row for each of two labels or more, is missing",
                       file->path, SCORE));
    TRY(label_names_read(out, config, (int)t->shape[0], file->path));
done:
    return status;
}

static int count_labels(char *const *labels) {
    int count = 0;

    while (labels && labels[count])
        count++;
    return count;
}

static clora_status read_head(past_contents *out, const safetensors *file, const json_t *root, int hidden) {
    clora_status status = CLORA_OK;

    TRY(past_files_labels(&out->labels, file, root));
    TRY(check_others(file, out->labels != NULL));
    if (!out->labels)
        return CLORA_OK;
    TRY(read_matrix(&out->score, file, SCORE, count_labels(out->labels), hidden));
    TRY(label_names_put(out->config, (const char *const *)out->labels));
done:
    return status;
}

clora_status past_files_read(past_contents *out, const base_model *base, const past_layout *layout,
                             const char *directory) {
    char *path = file_join(directory, CONFIG_NAME);
    clora_status status = CLORA_OK;
    safetensors *file = NULL;
    json_t *root = NULL;

    *out = (past_contents){.config = NULL};
    if (!path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    TRY(json_load_path(&root, path, PEFT_CONFIG_BYTES));
    TRY(as_own(&out->config, root, base, layout, path));
    TRY(peft_open_tensors(&file, directory));
    TRY(read_head(out, file, root, base->hidden));
    TRY(read_matrix(&out->values, file, TENSOR, past_config_tokens(out->config), layout->width));
done:
    safetensors_close(file);
    json_decref(root);
    free(path);
    return status;
}

void past_contents_finish(past_contents *contents) {
    json_decref(contents->config);
    free(contents->values);
    label_names_free(contents->labels);
    free(contents->score);
    *contents = (past_contents){.config = NULL};
}

static clora_status write_values(const char *path, const past_contents *contents, int width, int hidden) {
    const int tokens = past_config_tokens(contents->config), labels = count_labels(contents->labels);
    const safetensors_entry entry[] = {{.name = TENSOR, .dtype = CLORA_DTYPE_F32, .ndim = 2, .shape = {tokens, width}},
                                       {.name = SCORE, .dtype = CLORA_DTYPE_F32, .ndim = 2, .shape = {labels, hidden}}};
    clora_status status = CLORA_OK;
    safetensors_writer writer = {.count = 0};

    TRY(safetensors_writer_begin(&writer, path, entry, labels > 0 ? 2 : 1, NULL));
    while (writer.next < writer.count) {
        const safetensors_entry *e = &entry[writer.order[writer.next]];
        const float *values = e->name == TENSOR ? contents->values : contents->score;
        TRY(safetensors_writer_tensor(&writer, values, (size_t)e->shape[0] * (size_t)e->shape[1] * sizeof(*values)));
    }
    TRY(safetensors_writer_finish(&writer));
done:
    safetensors_writer_abandon(&writer);
    return status;
}

clora_status past_files_write(const char *directory, const clora_adapter_save_options *options,
                              const past_contents *contents, const past_layout *layout, int hidden) {
    char *tensors = NULL, *settings = NULL;
    clora_status status = CLORA_OK;
    outdir out = {.claim = NULL};

    TRY(outdir_open(&out, directory, CONFIG_NAME));
    TRY(peft_check_place(directory, options->overwrite != 0));
    TRY(outdir_path(&tensors, &out, TENSORS_NAME));
    TRY(write_values(tensors, contents, layout->width, hidden));
    TRY(outdir_path(&settings, &out, CONFIG_NAME));
    TRY(peft_config_save(contents->config, settings, options->base_name));
done:
    outdir_close(&out, status == CLORA_OK);
    free(tensors);
    free(settings);
    return status;
}
