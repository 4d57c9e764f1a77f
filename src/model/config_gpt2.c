#include <string.h>

#include "model/config_values.h"
#include "model/gpt2.h"

/* A size under GPT-2's key as one under the key of other families. */
static clora_status translate_size(json_t *root, const char *from, const char *to, int fallback, const char *path) {
    clora_status status = CLORA_OK;
    int value;

    TRY(config_size(&value, root, from, fallback, path));
    if (json_object_set_new(root, to, json_integer(value)) != 0)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
done:
    return status;
}

static clora_status translate_epsilon(json_t *root, const char *path) {
    static const char key[] = "layer_norm_epsilon";
    clora_status status = CLORA_OK;
    double eps;

    TRY(json_get_real(&eps, root, key, 1e-5, path));
    if (!(eps >= 0.0 && eps < 1.0))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" is %g", path, key, eps));
    if (json_object_set_new(root, "rms_norm_eps", json_real(eps)) != 0)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
done:
    return status;
}

clora_status gpt2_translate(json_t *root, const char *path) {
    clora_status status = CLORA_OK;
    int hidden;

    TRY(config_size(&hidden, root, "n_embd", 0, path));
    TRY(translate_size(root, "n_embd", "hidden_size", 0, path));
    TRY(translate_size(root, "n_layer", "num_hidden_layers", 0, path));
    TRY(translate_size(root, "n_head", "num_attention_heads", 0, path));
    TRY(translate_size(root, "n_positions", "max_position_embeddings", 1024, path));
    TRY(translate_size(root, "n_inner", "intermediate_size",
                       hidden > CONFIG_SIZE_LIMIT / 4 ? CONFIG_SIZE_LIMIT : 4 * hidden, path));
    TRY(translate_epsilon(root, path));
    if (!config_is_set(root, "tie_word_embeddings") &&
        json_object_set_new(root, "tie_word_embeddings", json_true()) != 0)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
done:
    return status;
}

/* What transformers can do and clora does not. */
static clora_status refuse_flag(const json_t *root, const char *key, bool usual, const char *path) {
    bool value;
    const clora_status status = json_get_bool(&value, root, key, usual, path);

    if (status != CLORA_OK || value == usual)
        return status;
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"%s\" is %s; only %s is supported", path, key,
                      value ? "true" : "false", usual ? "true" : "false");
}

static clora_status check_activation(const json_t *root, const char *path) {
    static const char *const same[] = {"gelu_new", "gelu_pytorch_tanh", "gelu_fast"};
    const char *name;
    clora_status status = CLORA_OK;

    TRY(json_get_text(&name, root, "activation_function", same[0], path));
    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
        if (strcmp(name, same[i]) == 0)
            return CLORA_OK;
    TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"activation_function\" is \"%s\"; a gpt2 model has gelu_new", path,
                   name));
done:
    return status;
}

clora_status gpt2_read_config(model_config *c, const json_t *root, const char *path) {
    clora_status status = CLORA_OK;

    TRY(check_activation(root, path));
    TRY(refuse_flag(root, "scale_attn_weights", true, path));
    TRY(refuse_flag(root, "scale_attn_by_inverse_layer_idx", false, path));
    TRY(refuse_flag(root, "add_cross_attention", false, path));
    if ((int64_t)c->max_positions * c->hidden > INT32_MAX)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: sizes beyond any model", path));
    c->biases = (1u << GPT2_PROJECTIONS) - 1;
    memset(c->layer_rope, ROPE_NONE, (size_t)c->layers);
done:
    return status;
}
