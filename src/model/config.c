#include "model/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "files/directory.h"
#include "files/quantized.h"
#include "model/config_values.h"
#include "model/family.h"

enum { CONFIG_LIMIT = 1 << 20 };

/* eos_token_id: an id, a list of ids or null. An id that the model cannot give (-1 is a habit) is passed over; a list
 * that is left empty changes nothing. */
static clora_status read_eos(model_config *c, const json_t *root, const char *path) {
    const json_t *value = json_object_get(root, "eos_token_id");
    const size_t n = json_is_array(value) ? json_array_size(value) : json_is_integer(value) ? 1 : 0;
    int32_t found[CONFIG_EOS];
    int count = 0;

    if (value && !json_is_null(value) && !json_is_array(value) && !json_is_integer(value))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"eos_token_id\" is neither an id nor a list of ids", path);
    if (n > CONFIG_EOS)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"eos_token_id\" has %zu ids; at most %d are supported", path,
                          n, CONFIG_EOS);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_integer(id))
            return clora_fail(CLORA_ERROR_FORMAT, "%s: \"eos_token_id\" holds something that is no id", path);
        if (json_integer_value(id) >= 0 && json_integer_value(id) < c->vocab)
            found[count++] = (int32_t)json_integer_value(id);
        else
            c->eos_ignored++;
    }
    if (count > 0) {
        memcpy(c->eos, found, sizeof(found[0]) * (size_t)count);
        c->eos_count = count;
    }
    return CLORA_OK;
}

static int usual_head_dim(const model_config *c) {
    if (c->family->head_dim)
        return c->family->head_dim;
    return c->hidden >= c->heads ? c->hidden / c->heads : 1;
}

static double usual_norm_eps(const model_config *c) {
    return c->family->norm_eps > 0.0f ? (double)c->family->norm_eps : 1e-6;
}

static clora_status read_sizes(model_config *c, const json_t *root, const char *path) {
    clora_status status = CLORA_OK;

    TRY(config_size(&c->layers, root, "num_hidden_layers", 0, path));
    TRY(config_size(&c->hidden, root, "hidden_size", 0, path));
    TRY(config_size(&c->ffn, root, "intermediate_size", 0, path));
    TRY(config_size(&c->heads, root, "num_attention_heads", 0, path));
    TRY(config_size(&c->kv_heads, root, "num_key_value_heads", c->heads, path));
    TRY(config_size(&c->vocab, root, "vocab_size", 0, path));
    TRY(config_size(&c->max_positions, root, "max_position_embeddings", c->family->max_positions, path));
    if (!config_is_set(root, "head_dim") && !c->family->head_dim && c->hidden % c->heads != 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"hidden_size\" %d is no multiple of \"num_attention_heads\" %d", path,
                       c->hidden, c->heads));
    TRY(config_size(&c->head_dim, root, "head_dim", usual_head_dim(c), path));
    if (c->heads % c->kv_heads != 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT,
                       "%s: \"num_attention_heads\" %d is no multiple of \"num_key_value_heads\" %d", path, c->heads,
                       c->kv_heads));
    if (c->head_dim % 2 != 0 || c->head_dim > 256)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: a head size of %d; even sizes up to 256 are supported", path,
                       c->head_dim));
    if ((int64_t)c->heads * c->head_dim > CONFIG_SIZE_LIMIT || (int64_t)c->ffn * 2 > CONFIG_SIZE_LIMIT ||
        c->layers > CONFIG_LAYERS)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: sizes beyond any model", path));
done:
    return status;
}

/* "hidden_activation" where a family has that name for it. Gemma's older files say gelu and mean it by tanh. */
static clora_status read_activation(model_config *c, const json_t *root, const char *path) {
    const char *usual = c->family->activation ? c->family->activation : "silu", *text;
    const bool means_tanh = strcmp(usual, "gelu_pytorch_tanh") == 0;
    clora_status status = CLORA_OK;

    TRY(json_get_text(&text, root, "hidden_act", usual, path));
    if (config_is_set(root, "hidden_activation"))
        TRY(json_get_text(&text, root, "hidden_activation", usual, path));
    c->gelu = strcmp(text, "gelu_pytorch_tanh") == 0 || strcmp(text, "gelu_new") == 0 ||
              (means_tanh && strcmp(text, "gelu") == 0);
    if (!c->gelu && strcmp(text, "silu") != 0 && strcmp(text, "swish") != 0)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s: activation \"%s\" is not supported (silu and gelu_pytorch_tanh are)", path, text));
done:
    return status;
}

static clora_status read_config(model_config *c, json_t *root, const char *path) {
    clora_status status = CLORA_OK;
    double eps;

    TRY(family_find(&c->family, root, path));
    TRY(quantized_refuse_config(root, path));
    if (c->family->translate)
        TRY(c->family->translate(root, path));
    TRY(read_activation(c, root, path));
    TRY(read_sizes(c, root, path));
    TRY(json_get_real(&eps, root, "rms_norm_eps", usual_norm_eps(c), path));
    if (!(eps >= 0.0 && eps < 1.0))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"rms_norm_eps\" is %g", path, eps));
    c->norm_eps = (float)eps;
    c->embedding_scale = c->input_scale = c->branch_scale = c->logit_scale = 1.0f;
    TRY(json_get_bool(&c->tied, root, "tie_word_embeddings", c->family->tied, path));
    TRY(c->family->read_config(c, root, path));
    TRY(config_read_rope(c, root, path));
    TRY(read_eos(c, root, path));
done:
    return status;
}

clora_status config_load(model_config *out, const char *directory) {
    clora_status status = CLORA_OK;
    json_t *root = NULL, *generation = NULL;
    char *path = file_join(directory, "config.json"), *generation_path = file_join(directory, "generation_config.json");

    *out = (model_config){0};
    if (!path || !generation_path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a path"));
    TRY(directory_need_model(directory));
    TRY(json_load_path(&root, path, CONFIG_LIMIT));
    if (!json_is_object(root))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: not a JSON object", path));
    TRY(read_config(out, root, path));
    if (file_exists(generation_path)) {
        TRY(json_load_path(&generation, generation_path, CONFIG_LIMIT));
        TRY(read_eos(out, generation, generation_path));
    }
done:
    json_decref(generation);
    json_decref(root);
    free(generation_path);
    free(path);
    return status;
}
