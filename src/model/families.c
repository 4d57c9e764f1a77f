#include <stdio.h>
#include <string.h>

#include "model/config_values.h"
#include "model/decoder.h"
#include "model/family.h"

/* ---- decoders with a normalisation before each sublayer, rotary positions and a gated MLP (decoder.c) ---- */

static const char *const decoder_norms[] = {
    [DECODER_NORM_ATTENTION] = "input_layernorm",
    [DECODER_NORM_MLP] = "post_attention_layernorm",
};

static const family_projection decoder_projections[] = {
    [DECODER_QKV] = {WIDTH_HIDDEN,
                     3,
                     {{"self_attn.q_proj", WIDTH_QUERIES},
                      {"self_attn.k_proj", WIDTH_KEYS},
                      {"self_attn.v_proj", WIDTH_KEYS}}},
    [DECODER_OUT] = {WIDTH_QUERIES, 1, {{"self_attn.o_proj", WIDTH_HIDDEN}}},
    [DECODER_GATE_UP] = {WIDTH_HIDDEN, 2, {{"mlp.gate_proj", WIDTH_FFN}, {"mlp.up_proj", WIDTH_FFN}}},
    [DECODER_DOWN] = {WIDTH_FFN, 1, {{"mlp.down_proj", WIDTH_HIDDEN}}},
};

/* The same with q, k and v, and gate and up, as one module each. */
static const family_projection fused_projections[] = {
    [DECODER_QKV] = {WIDTH_HIDDEN, 1, {{"self_attn.qkv_proj", WIDTH_QKV}}},
    [DECODER_OUT] = {WIDTH_QUERIES, 1, {{"self_attn.o_proj", WIDTH_HIDDEN}}},
    [DECODER_GATE_UP] = {WIDTH_HIDDEN, 1, {{"mlp.gate_up_proj", WIDTH_GATE_UP}}},
    [DECODER_DOWN] = {WIDTH_FFN, 1, {{"mlp.down_proj", WIDTH_HIDDEN}}},
};

static clora_status read_llama(model_config *c, const json_t *root, const char *path) {
    bool attention, mlp;
    clora_status status = CLORA_OK;

    TRY(json_get_bool(&attention, root, "attention_bias", false, path));
    TRY(json_get_bool(&mlp, root, "mlp_bias", false, path));
    if (attention)
        c->biases |= 1u << DECODER_QKV | 1u << DECODER_OUT;
    if (mlp)
        c->biases |= 1u << DECODER_GATE_UP | 1u << DECODER_DOWN;
done:
    return status;
}

static clora_status refuse_layer_types(const json_t *types, const char *path) {
    if (!json_is_array(types))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"layer_types\" must be a list", path);
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (!type || strcmp(type, "full_attention") != 0)
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"layer_types\" has another type than \"full_attention\"",
                              path);
    }
    return CLORA_OK;
}

/* No layer may have a sliding window. transformers derives "layer_types" from the other keys where it is not set. */
static clora_status refuse_windows(const model_config *c, const json_t *root, const char *path) {
    const json_t *types = json_object_get(root, "layer_types");
    const bool unlimited = json_is_null(json_object_get(root, "sliding_window"));
    clora_status status = CLORA_OK;
    int64_t first;
    bool slides;

    TRY(json_get_bool(&slides, root, "use_sliding_window", false, path));
    TRY(json_get_int(&first, root, "max_window_layers", 28, path));
    if (types && !json_is_null(types))
        return refuse_layer_types(types, path);
    if (slides && !unlimited && first < c->layers)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"use_sliding_window\" is set; only full attention is supported",
                       path));
done:
    return status;
}

/* transformers knows other defaults of it. */
static clora_status read_phi3(model_config *c, const json_t *root, const char *path) {
    int window = c->max_positions;
    clora_status status = CLORA_OK;

    if (!config_is_set(root, "rms_norm_eps"))
        c->norm_eps = 1e-5f;
    if (config_is_set(root, "sliding_window"))
        TRY(config_size(&window, root, "sliding_window", 0, path));
    if (window < c->max_positions)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"sliding_window\" is %d; only full attention is supported", path,
                       window));
done:
    return status;
}

static clora_status read_qwen2(model_config *c, const json_t *root, const char *path) {
    c->biases = 1u << DECODER_QKV;
    return refuse_windows(c, root, path);
}

/* ---- the families ---- */

#define DECODER(PROJECTIONS)                                                                                      \
    .norms = DECODER_NORMS, .norm = decoder_norms, .projections = DECODER_PROJECTIONS, .projection = PROJECTIONS, \
    .forward = decoder_forward, .backward = decoder_backward

static const model_family families[] = {
    {.model_type = "llama", .max_positions = 2048, .read_config = read_llama, DECODER(decoder_projections)},
    {.model_type = "qwen2", .max_positions = 32768, .read_config = read_qwen2, DECODER(decoder_projections)},
    {.model_type = "phi3",
     .max_positions = 4096,
     .partial_rope = true,
     .read_config = read_phi3,
     DECODER(fused_projections)},
};

const model_family *family_at(size_t i) {
    return i < sizeof(families) / sizeof(families[0]) ? &families[i] : NULL;
}

static clora_status refuse(const char *type, const char *path) {
    char known[160] = "";
    int n = 0;

    for (size_t i = 0; family_at(i) && n < (int)sizeof(known); i++)
        n += snprintf(known + n, sizeof(known) - (size_t)n, "%s%s", i > 0 ? ", " : "", family_at(i)->model_type);
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: model_type \"%s\" is not supported; these are: %s", path, type,
                      known);
}

clora_status family_find(const model_family **out, const json_t *root, const char *path) {
    clora_status status = CLORA_OK;
    const char *type;

    *out = NULL;
    TRY(json_get_text(&type, root, "model_type", NULL, path));
    if (!type)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: the key \"model_type\" is missing", path));
    for (size_t i = 0; family_at(i) && !*out; i++)
        if (strcmp(type, family_at(i)->model_type) == 0)
            *out = family_at(i);
    if (!*out)
        TRY(refuse(type, path));
done:
    return status;
}
