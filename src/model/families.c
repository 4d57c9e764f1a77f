#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json_literal.h"
#include "model/config_values.h"
#include "model/decoder.h"
#include "model/family.h"
#include "model/gpt2.h"
#include "model/layer_types.h"

/* ---- decoders with a normalisation before each sublayer, rotary positions and a gated MLP (decoder.c) ---- */

static const family_norm decoder_norms[DECODER_NORMS] = {
    [DECODER_NORM_ATTENTION] = {"input_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_MLP] = {"post_attention_layernorm", WIDTH_HIDDEN},
};

static const family_norm qwen3_norms[DECODER_NORMS] = {
    [DECODER_NORM_ATTENTION] = {"input_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_MLP] = {"post_attention_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_QUERIES] = {"self_attn.q_norm", WIDTH_HEAD},
    [DECODER_NORM_KEYS] = {"self_attn.k_norm", WIDTH_HEAD},
};

static const family_norm gemma2_norms[DECODER_NORMS] = {
    [DECODER_NORM_ATTENTION] = {"input_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_MLP] = {"pre_feedforward_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_AFTER_ATTENTION] = {"post_attention_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_AFTER_MLP] = {"post_feedforward_layernorm", WIDTH_HIDDEN},
};

static const family_norm gemma3_norms[DECODER_NORMS] = {
    [DECODER_NORM_ATTENTION] = {"input_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_MLP] = {"pre_feedforward_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_QUERIES] = {"self_attn.q_norm", WIDTH_HEAD},
    [DECODER_NORM_KEYS] = {"self_attn.k_norm", WIDTH_HEAD},
    [DECODER_NORM_AFTER_ATTENTION] = {"post_attention_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_AFTER_MLP] = {"post_feedforward_layernorm", WIDTH_HIDDEN},
};

/* Nothing before a sublayer, and all heads together. */
static const family_norm olmo_norms[DECODER_NORMS] = {
    [DECODER_NORM_QUERIES] = {"self_attn.q_norm", WIDTH_QUERIES},
    [DECODER_NORM_KEYS] = {"self_attn.k_norm", WIDTH_KEYS},
    [DECODER_NORM_AFTER_ATTENTION] = {"post_attention_layernorm", WIDTH_HIDDEN},
    [DECODER_NORM_AFTER_MLP] = {"post_feedforward_layernorm", WIDTH_HIDDEN},
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

/* Of all of attention's projections. */
static clora_status read_attention_bias(model_config *c, const json_t *root, const char *path) {
    bool is;
    const clora_status status = json_get_bool(&is, root, "attention_bias", false, path);

    if (status == CLORA_OK && is)
        c->biases |= 1u << DECODER_QKV | 1u << DECODER_OUT;
    return status;
}

static clora_status read_llama(model_config *c, const json_t *root, const char *path) {
    bool mlp;
    clora_status status = CLORA_OK;

    TRY(read_attention_bias(c, root, path));
    TRY(json_get_bool(&mlp, root, "mlp_bias", false, path));
    if (mlp)
        c->biases |= 1u << DECODER_GATE_UP | 1u << DECODER_DOWN;
done:
    return status;
}

/* x += m f(rmsnorm(x)) is x += f(rmsnorm(x)) with eps / m^2, where x is kept as x / m: sublayers need no multiplier. */
static clora_status read_granite(model_config *c, const json_t *root, const char *path) {
    clora_status status = CLORA_OK;
    float embedding, residual, logits;

    TRY(read_llama(c, root, path));
    TRY(config_positive(&c->attention_scale, root, "attention_multiplier", 1.0, path));
    TRY(config_positive(&embedding, root, "embedding_multiplier", 1.0, path));
    TRY(config_positive(&residual, root, "residual_multiplier", 1.0, path));
    TRY(config_positive(&logits, root, "logits_scaling", 1.0, path));
    c->input_scale = embedding / residual;
    c->norm_eps /= residual * residual;
    c->branch_scale = residual;
    c->logit_scale = 1.0f / logits;
done:
    return status;
}

/* "layer_types", or else all layers from `first` on have the window. */
static clora_status read_sliding_layers(model_config *c, const json_t *root, int64_t first, const char *path) {
    bool listed;
    const clora_status status = layer_types_read(&listed, c, root, path);

    for (int l = 0; status == CLORA_OK && !listed && l < c->layers; l++)
        c->slides[l] = c->window > 0 && l >= first;
    return status;
}

static clora_status read_phi3(model_config *c, const json_t *root, const char *path) {
    clora_status status = CLORA_OK;

    if (config_is_set(root, "sliding_window"))
        TRY(layer_types_read_window(c, root, 0, path));
    TRY(read_sliding_layers(c, root, 0, path));
done:
    return status;
}

/* Qwen's: of the layers from "max_window_layers" on. */
static clora_status read_last_windows(model_config *c, const json_t *root, const char *path) {
    clora_status status = CLORA_OK;
    int64_t first;
    bool slides;

    TRY(json_get_bool(&slides, root, "use_sliding_window", false, path));
    TRY(json_get_int(&first, root, "max_window_layers", 28, path));
    if (slides)
        TRY(layer_types_read_window(c, root, 4096, path));
    TRY(read_sliding_layers(c, root, first, path));
done:
    return status;
}

static clora_status read_qwen2(model_config *c, const json_t *root, const char *path) {
    c->biases = 1u << DECODER_QKV;
    return read_last_windows(c, root, path);
}

static clora_status read_qwen3(model_config *c, const json_t *root, const char *path) {
    const clora_status status = read_llama(c, root, path);

    return status == CLORA_OK ? read_last_windows(c, root, path) : status;
}

static clora_status read_mistral(model_config *c, const json_t *root, const char *path) {
    const clora_status status = layer_types_read_window(c, root, 4096, path);

    return status == CLORA_OK ? read_sliding_layers(c, root, 0, path) : status;
}

/* Gains beside 1, and rows of the embedding times sqrt(hidden) in the weights' type. */
static clora_status read_gemma(model_config *c, const json_t *root, const char *path) {
    clora_status status = CLORA_OK;
    bool both_ways;

    TRY(json_get_bool(&both_ways, root, "use_bidirectional_attention", false, path));
    if (both_ways)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s: \"use_bidirectional_attention\" is set; only causal attention is "
                       "supported",
                       path));
    TRY(read_attention_bias(c, root, path));
    c->norm_plus_one = true;
    c->embedding_scale = sqrtf((float)c->hidden);
    c->scale_rounded = true;
done:
    return status;
}

/* "no_rope_layers" lists the layers, with 1 those that are rotated; without it each "no_rope_layer_interval"-th is
 * not. */
static clora_status read_rotated_layers(model_config *c, const json_t *root, const char *path) {
    const json_t *list = json_object_get(root, "no_rope_layers");
    const bool listed = list && !json_is_null(list);
    clora_status status = CLORA_OK;
    int interval;

    TRY(config_size(&interval, root, "no_rope_layer_interval", 4, path));
    if (listed && json_array_size(list) != (size_t)c->layers)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"no_rope_layers\" must list \"num_hidden_layers\", %d, numbers", path,
                       c->layers));
    for (int l = 0; l < c->layers; l++) {
        const json_t *item = json_array_get(list, (size_t)l);
        if (listed && !json_is_integer(item))
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"no_rope_layers\" holds something that is no number", path));
        const bool rotated = listed ? json_integer_value(item) != 0 : (l + 1) % interval != 0;
        c->layer_rope[l] = rotated ? ROPE_FIRST : ROPE_NONE;
    }
done:
    return status;
}

static clora_status read_smollm3(model_config *c, const json_t *root, const char *path) {
    bool slides, listed;
    clora_status status = CLORA_OK;

    TRY(read_llama(c, root, path));
    TRY(read_rotated_layers(c, root, path));
    TRY(json_get_bool(&slides, root, "use_sliding_window", false, path));
    if (slides && config_is_set(root, "sliding_window"))
        TRY(layer_types_read_window(c, root, 0, path));
    TRY(layer_types_read(&listed, c, root, path));
    for (int l = 0; !listed && l < c->layers; l++)
        c->slides[l] = c->window > 0 && c->layer_rope[l] == ROPE_NONE;
done:
    return status;
}

/* Of so many layers the last sees all, unless "layer_types" lists which. */
static clora_status read_pattern(model_config *c, const json_t *root, int pattern, const char *path) {
    clora_status status = CLORA_OK;
    bool listed;

    TRY(layer_types_read_window(c, root, 4096, path));
    TRY(layer_types_read(&listed, c, root, path));
    for (int l = 0; l < c->layers && !listed; l++)
        c->slides[l] = c->window > 0 && (l + 1) % pattern != 0;
done:
    return status;
}

/* Layers with a window have a rotation of their own. */
static void rotate_sliding_layers(model_config *c) {
    for (int l = 0; l < c->layers; l++)
        c->layer_rope[l] = c->slides[l] ? ROPE_SECOND : ROPE_FIRST;
}

/* 0 for null; usual: without the key. */
static clora_status read_cap(float *out, const json_t *root, const char *key, float usual, const char *path) {
    const json_t *value = json_object_get(root, key);

    *out = value ? 0.0f : usual;
    return value && !json_is_null(value) ? config_positive(out, root, key, 0.0, path) : CLORA_OK;
}

/* What Gemma has since its second version. scores, logits: their caps without a key. */
static clora_status read_later_gemma(model_config *c, const json_t *root, float scores, float logits,
                                     const char *path) {
    clora_status status = CLORA_OK;
    float scale;

    TRY(read_gemma(c, root, path));
    TRY(config_positive(&scale, root, "query_pre_attn_scalar", 256.0, path));
    if (scale != (float)c->head_dim)
        c->attention_scale = (float)(1.0 / sqrt((double)scale));
    TRY(read_cap(&c->attention_cap, root, "attn_logit_softcapping", scores, path));
    TRY(read_cap(&c->logit_cap, root, "final_logit_softcapping", logits, path));
done:
    return status;
}

static clora_status read_gemma2(model_config *c, const json_t *root, const char *path) {
    const clora_status status = read_later_gemma(c, root, 50.0f, 30.0f, path);

    return status == CLORA_OK ? read_pattern(c, root, 2, path) : status;
}

static clora_status read_gemma3(model_config *c, const json_t *root, const char *path) {
    clora_status status = CLORA_OK;
    int pattern;

    TRY(read_later_gemma(c, root, 0.0f, 0.0f, path));
    TRY(config_size(&pattern, root, "sliding_window_pattern", 6, path));
    TRY(read_pattern(c, root, pattern, path));
    rotate_sliding_layers(c);
done:
    return status;
}

static clora_status read_olmo3(model_config *c, const json_t *root, const char *path) {
    clora_status status = CLORA_OK;

    TRY(read_attention_bias(c, root, path));
    TRY(read_pattern(c, root, 4, path));
    rotate_sliding_layers(c);
done:
    return status;
}

static clora_status no_memory(const char *path) {
    return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path);
}

/* The texts' settings, in an object of their own, as if they were the model's, and what transformers takes where files
 * leave it out. */
static clora_status gemma3_translate(json_t *root, const char *path) {
    json_t *usual =
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "hidden_size", 2304, "intermediate_size", 9216, "num_hidden_layers",
                  26, "num_attention_heads", 8, "num_key_value_heads", 4, "vocab_size", 262208);
    json_t *text = json_object_get(root, "text_config");
    clora_status status = CLORA_OK;
    const char *type;

    if (!usual)
        TRY(no_memory(path));
    if (!json_is_object(text) || json_literal(text))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"text_config\" must be an object", path));
    TRY(json_get_text(&type, text, "model_type", "gemma3_text", path));
    if (strcmp(type, "gemma3_text") != 0)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"text_config\" is of model_type \"%s\"; gemma3_text is supported",
                       path, type));
    if (json_object_update_missing(root, text) != 0 || json_object_update_missing(root, usual) != 0)
        TRY(no_memory(path));
done:
    json_decref(usual);
    return status;
}

/* ---- GPT-2 (gpt2.c) ---- */

static const family_norm gpt2_norms[GPT2_NORMS] = {
    [GPT2_NORM_ATTENTION] = {"ln_1", WIDTH_HIDDEN},
    [GPT2_NORM_MLP] = {"ln_2", WIDTH_HIDDEN},
};

static const family_projection gpt2_projections[] = {
    [GPT2_QKV] = {WIDTH_HIDDEN, 1, {{"attn.c_attn", WIDTH_QKV}}},
    [GPT2_OUT] = {WIDTH_QUERIES, 1, {{"attn.c_proj", WIDTH_HIDDEN}}},
    [GPT2_UP] = {WIDTH_HIDDEN, 1, {{"mlp.c_fc", WIDTH_FFN}}},
    [GPT2_DOWN] = {WIDTH_FFN, 1, {{"mlp.c_proj", WIDTH_HIDDEN}}},
};

/* ---- the families ---- */

static const model_names usual_names = {.embedding = MODEL_EMBEDDING,
                                        .embedding_module = "model.embed_tokens",
                                        .layers = "model.layers",
                                        .norm = "model.norm",
                                        .buffers = {"rotary_emb.inv_freq"}};

/* Of texts and images, of which only texts are taken. */
static const model_names text_names = {
    .embedding = MODEL_TEXT_EMBEDDING,
    .embedding_module = "model.language_model.embed_tokens",
    .layers = "model.language_model.layers",
    .norm = "model.language_model.norm",
    .buffers = {"rotary_emb.inv_freq"},
    .others = {"vision_tower.", "multi_modal_projector.", "model.vision_tower.", "model.multi_modal_projector."},
    .excluded = ".*(vision_tower|multi_modal_projector).*"};

static const model_names gpt2_names = {.embedding = MODEL_WTE,
                                       .embedding_module = "transformer.wte",
                                       .layers = "transformer.h",
                                       .norm = "transformer.ln_f",
                                       .positions = "transformer.wpe.weight",
                                       .buffers = {".attn.bias", ".attn.masked_bias"},
                                       .turned = true};

#define GPT2                                                                                                         \
    .names = &gpt2_names, .norms = GPT2_NORMS, .norm = gpt2_norms, .projections = GPT2_PROJECTIONS,                  \
    .projection = gpt2_projections, .layernorm = true, .tied = true, .plain_mlp = true, .translate = gpt2_translate, \
    .read_config = gpt2_read_config, .forward = gpt2_forward, .backward = gpt2_backward

#define DECODER_OF(NAMES, NORMS, PROJECTIONS)                                                     \
    .names = &(NAMES), .norms = DECODER_NORMS, .norm = NORMS, .projections = DECODER_PROJECTIONS, \
    .projection = PROJECTIONS, .forward = decoder_forward, .backward = decoder_backward

#define DECODER(NORMS, PROJECTIONS) DECODER_OF(usual_names, NORMS, PROJECTIONS)

#define GEMMA .head_dim = 256, .activation = "gelu_pytorch_tanh", .tied = true

static const model_family families[] = {
    {.model_type = "llama",
     .max_positions = 2048,
     .read_config = read_llama,
     DECODER(decoder_norms, decoder_projections)},
    {.model_type = "mistral",
     .max_positions = 131072,
     .read_config = read_mistral,
     DECODER(decoder_norms, decoder_projections)},
    {.model_type = "qwen2",
     .max_positions = 32768,
     .read_config = read_qwen2,
     DECODER(decoder_norms, decoder_projections)},
    {.model_type = "qwen3",
     .max_positions = 32768,
     .head_dim = 128,
     .read_config = read_qwen3,
     DECODER(qwen3_norms, decoder_projections)},
    {.model_type = "smollm3",
     .max_positions = 32768,
     .rope_theta = 2e6f,
     .tied = true,
     .read_config = read_smollm3,
     DECODER(decoder_norms, decoder_projections)},
    {.model_type = "phi3",
     .max_positions = 4096,
     .norm_eps = 1e-5f,
     .partial_rope = true,
     .read_config = read_phi3,
     DECODER(decoder_norms, fused_projections)},
    {.model_type = "granite",
     .max_positions = 2048,
     .read_config = read_granite,
     DECODER(decoder_norms, decoder_projections)},
    {.model_type = "gemma",
     .max_positions = 8192,
     .read_config = read_gemma,
     GEMMA,
     DECODER(decoder_norms, decoder_projections)},
    {.model_type = "gemma2",
     .max_positions = 8192,
     .read_config = read_gemma2,
     GEMMA,
     DECODER(gemma2_norms, decoder_projections)},
    {.model_type = "gemma3_text",
     .max_positions = 131072,
     .rope_theta = 1000000.0f,
     .local_theta = true,
     .read_config = read_gemma3,
     GEMMA,
     DECODER(gemma3_norms, decoder_projections)},
    {.model_type = "olmo2",
     .max_positions = 2048,
     .norm_eps = 1e-5f,
     .read_config = read_attention_bias,
     DECODER(olmo_norms, decoder_projections)},
    {.model_type = "olmo3",
     .max_positions = 2048,
     .norm_eps = 1e-5f,
     .rope_theta = 500000.0f,
     .read_config = read_olmo3,
     DECODER(olmo_norms, decoder_projections)},
    {.model_type = "gemma3",
     .max_positions = 131072,
     .rope_theta = 1000000.0f,
     .translate = gemma3_translate,
     .read_config = read_gemma3,
     GEMMA,
     DECODER_OF(text_names, gemma3_norms, decoder_projections)},
    {.model_type = "gpt2", .max_positions = 1024, GPT2},
};

const model_family *family_at(size_t i) {
    return i < sizeof(families) / sizeof(families[0]) ? &families[i] : NULL;
}

static clora_status refuse(const char *type, const char *path) {
    char known[192] = "";
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
