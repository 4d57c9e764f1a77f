/*
 * Write what check_peft.py compares with PEFT: peft_exchange FIXTURES OUT
 *
 * For each adapter, OUT/NAME/adapter is the directory that clora writes, OUT/NAME/logits.safetensors what clora makes
 * of the fixtures' batch with it, and OUT/NAME/merged the merged model, where the adapter can be merged. Adapters of
 * the fixtures are PEFT's own, saved again; the others were never near PEFT.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <clora/clora.h>

#include "base/rng.h"
#include "files/safetensors.h"
#include "methods/method.h"

enum { B = 2, T = 11, V = 97 };

/* The batch of make_fixtures.py. */
static const int32_t IDS[B * T] = {5, 17, 42, 88, 3, 61, 29, 96, 11, 54, 7, 71, 2, 33, 90, 14, 14, 58, 26, 0, 0, 0};

typedef struct exchange {
    const char *model, *name;
    bool resaved; /* a fixture; else made from the options */
    clora_adapter_options options;
} exchange;

static const exchange CASES[] = {
    {"tiny-llama", "tiny-llama-lora", true, {.rank = 0}},
    {"tiny-llama", "tiny-llama-rslora", true, {.rank = 0}},
    {"tiny-llama", "tiny-llama-patterns", true, {.rank = 0}},
    {"tiny-llama",
     "all-linear",
     false,
     {.rank = 8, .alpha = 16.0f, .target_modules = "all-linear", .init = CLORA_INIT_GAUSSIAN, .seed = 1}},
    {"tiny-llama",
     "list",
     false,
     {.rank = 3,
      .alpha = 0.7f,
      .dropout = 0.1f,
      .target_modules = "v_proj,layers.1.mlp.up_proj",
      .init = CLORA_INIT_KAIMING,
      .seed = 2}},
    {"tiny-llama",
     "expression",
     false,
     {.rank = 1,
      .alpha = 5.0f,
      .rslora = 1,
      .target_modules = ".*\\.(q|gate)_proj",
      .init = CLORA_INIT_PEFT_GAUSSIAN,
      .seed = 3}},
    {"tiny-llama",
     "head",
     false,
     {.rank = 4, .alpha = 8.0f, .target_modules = "lm_head,o_proj", .init = CLORA_INIT_GAUSSIAN, .seed = 4}},
    /* the second entry would win in alphabetical order; the files must keep the order that was asked for */
    {"tiny-llama",
     "patterns",
     false,
     {.rank = 2,
      .alpha = 4.0f,
      .rslora = 1,
      .target_modules = "q_proj,down_proj",
      .rank_pattern = "layers.1.mlp.down_proj=7,down_proj=5,q_proj=33",
      .alpha_pattern = "q_proj=9.5",
      .init = CLORA_INIT_GAUSSIAN,
      .seed = 5}},
    {"tiny-llama", "tiny-llama-dora", true, {.rank = 0}},
    {"tiny-llama", "dora", false, {.rank = 3, .alpha = 6.0f, .target_modules = "all-linear", .seed = 7, .dora = 1}},
    {"tiny-llama", "dora-head", false, {.rank = 2, .alpha = 6.0f, .target_modules = "lm_head", .seed = 8, .dora = 1}},
    {"tiny-qwen2", "tiny-qwen2-dora", true, {.rank = 0}},
    {"tiny-qwen2", "tiny-qwen2-lora-bias", true, {.rank = 0}},
    {"tiny-llama", "tiny-llama-saved", true, {.rank = 0}},
    {"tiny-llama",
     "saved",
     false,
     {.rank = 2, .alpha = 4.0f, .target_modules = "v_proj", .modules_to_save = "norm,embed_tokens", .seed = 7}},
    {"tiny-qwen2",
     "layers",
     false,
     {.rank = 2,
      .alpha = 4.0f,
      .target_modules = "q_proj,up_proj",
      .exclude_modules = "layers.2.self_attn.q_proj",
      .layers_to_transform = "0,2",
      .layers_pattern = "layers",
      .seed = 8}},
    {"tiny-qwen2", "tiny-qwen2-saved", true, {.rank = 0}},
    {"tiny-llama", "tiny-llama-embedding", true, {.rank = 0}},
    {"tiny-qwen2", "tiny-qwen2-embedding", true, {.rank = 0}},
    {"tiny-qwen2", "tiny-qwen2-lora", true, {.rank = 0}},
    {"tiny-phi3", "tiny-phi3-lora", true, {.rank = 0}},
    {"tiny-phi3",
     "fused",
     false,
     {.rank = 3,
      .alpha = 6.0f,
      .target_modules = "qkv_proj,gate_up_proj",
      .alpha_pattern = "gate_up_proj=2",
      .seed = 9,
      .dora = 1}},
    {"tiny-qwen2",
     "qwen2",
     false,
     {.rank = 5, .alpha = 9.0f, .target_modules = "q_proj,k_proj,o_proj", .init = CLORA_INIT_GAUSSIAN, .seed = 6}},
    {"tiny-mistral", "tiny-mistral-lora", true, {.rank = 0}},
    {"tiny-mistral", "mistral", false, {.rank = 3, .alpha = 6.0f, .target_modules = "all-linear", .seed = 11}},
    {"tiny-qwen3", "tiny-qwen3-lora", true, {.rank = 0}},
    {"tiny-qwen3", "qwen3", false, {.rank = 3, .alpha = 6.0f, .target_modules = "all-linear", .seed = 12, .dora = 1}},
    {"tiny-smollm3", "tiny-smollm3-lora", true, {.rank = 0}},
    {"tiny-smollm3", "smollm3", false, {.rank = 3, .alpha = 6.0f, .target_modules = "all-linear", .seed = 13}},
    {"tiny-gemma", "tiny-gemma-lora", true, {.rank = 0}},
    {"tiny-gemma", "gemma", false, {.rank = 3, .alpha = 6.0f, .target_modules = "all-linear", .seed = 14}},
    {"tiny-gemma2", "tiny-gemma2-lora", true, {.rank = 0}},
    {"tiny-gemma2", "gemma2", false, {.rank = 3, .alpha = 6.0f, .target_modules = "all-linear", .seed = 16}},
    {"tiny-gemma3_text", "tiny-gemma3_text-lora", true, {.rank = 0}},
    {"tiny-gemma3_text",
     "gemma3",
     false,
     {.rank = 3, .alpha = 6.0f, .target_modules = "all-linear", .seed = 15, .dora = 1}},
    {"tiny-granite", "tiny-granite-lora", true, {.rank = 0}},
    {"tiny-granite",
     "granite",
     false,
     {.rank = 3, .alpha = 6.0f, .target_modules = "v_proj,down_proj,embed_tokens", .seed = 16}},
    {"tiny-olmo2", "tiny-olmo2-lora", true, {.rank = 0}},
    {"tiny-olmo2",
     "olmo2",
     false,
     {.rank = 3, .alpha = 6.0f, .target_modules = "all-linear", .modules_to_save = "q_norm", .seed = 17, .dora = 1}},
    {"tiny-olmo3", "tiny-olmo3-lora", true, {.rank = 0}},
    {"tiny-gemma3", "tiny-gemma3-lora", true, {.rank = 0}},
    {"tiny-gemma3", "images", false, {.rank = 3, .alpha = 6.0f, .target_modules = "all-linear", .seed = 17}},
    {"tiny-gpt2", "tiny-gpt2-lora", true, {.rank = 0}},
    {"tiny-gpt2",
     "gpt2",
     false,
     {.rank = 3, .alpha = 9.0f, .target_modules = "all-linear", .modules_to_save = "ln_f", .seed = 9}},
    {"tiny-llama", "tiny-llama-prefix", true, {.rank = 0}},
    {"tiny-llama", "tiny-llama-prefix-projection", true, {.rank = 0}},
    {"tiny-llama", "tiny-llama-prompt", true, {.rank = 0}},
    {"tiny-qwen2", "tiny-qwen2-prefix", true, {.rank = 0}},
    {"tiny-qwen2", "tiny-qwen2-prompt", true, {.rank = 0}},
    {"tiny-gpt2", "tiny-gpt2-prefix", true, {.rank = 0}},
    {"tiny-granite", "tiny-granite-prompt", true, {.rank = 0}},
};

static clora_status fill_b(clora_adapter *adapter, uint64_t seed) {
    clora_status status = CLORA_OK;

    for (int s = 0; s < adapter->base.projections; s++) {
        lowrank *term = adapter->term[s];
        if (!term)
            continue;
        float *panels = calloc(term->b_count, sizeof(*panels)), *b = NULL;
        for (int m = 0; m < term->modules; m++) {
            const size_t n = (size_t)term->base->module[m].N * (size_t)term->module[m].R;
            b = realloc(b, (n + 1) * sizeof(*b));
            for (size_t i = 0; i < n; i++)
                b[i] = 0.2f * rng_normal(seed, (uint32_t)(4 * s + m), i);
            lowrank_pack_b(term, m, panels, b);
        }
        status = clora_tensor_write(&term->b, panels);
        free(panels);
        free(b);
        if (status != CLORA_OK)
            break;
    }
    return status == CLORA_OK ? method_derive(adapter) : status;
}

static clora_status write_logits(const char *path, const float *logits) {
    const safetensors_entry entry = {.name = "logits", .dtype = CLORA_DTYPE_F32, .ndim = 3, .shape = {B, T, V}};
    safetensors_writer writer;
    clora_status status = safetensors_writer_begin(&writer, path, &entry, 1, NULL);

    if (status == CLORA_OK)
        status = safetensors_writer_tensor(&writer, logits, sizeof(float) * B * T * V);
    return status == CLORA_OK ? safetensors_writer_finish(&writer) : status;
}

static clora_status run_case(clora_context *context, const exchange *c, const char *fixtures, const char *out) {
    static float logits[B * T * V];
    char base[1024], from[1024], folder[1024], adapter_path[1100], merged[1100], logits_path[1100];
    clora_model *model = NULL;
    clora_session *session = NULL;
    clora_adapter *adapter = NULL;
    clora_status status;

    snprintf(base, sizeof(base), "%s/%s", fixtures, c->model);
    snprintf(from, sizeof(from), "%s/%s", fixtures, c->name);
    snprintf(folder, sizeof(folder), "%s/%s", out, c->name);
    snprintf(adapter_path, sizeof(adapter_path), "%s/adapter", folder);
    snprintf(merged, sizeof(merged), "%s/merged", folder);
    snprintf(logits_path, sizeof(logits_path), "%s/logits.safetensors", folder);
    mkdir(folder, 0777);
    TRY(clora_model_load(&model, context, base, NULL));
    if (c->resaved) {
        TRY(clora_adapter_load(&adapter, model, from));
    } else {
        clora_adapter_options options = c->options;
        options.size = sizeof(options);
        TRY(clora_adapter_create(&adapter, model, &options));
        TRY(fill_b(adapter, c->options.seed));
    }
    TRY(clora_adapter_save(
        adapter, adapter_path,
        &(clora_adapter_save_options){.size = sizeof(clora_adapter_save_options), .base_name = base}));
    if (clora_adapter_past(adapter) == 0)
        TRY(clora_merge(base, adapter_path, merged, NULL, NULL));
    TRY(clora_session_create(&session, model, B, clora_adapter_past(adapter) + T));
    TRY(clora_session_set_adapter(session, adapter));
    TRY(clora_session_forward(session, logits, IDS, T, 1));
    TRY(write_logits(logits_path, logits));
    printf("%s\n", c->name);
done:
    clora_session_free(session);
    clora_adapter_free(adapter);
    clora_model_free(model);
    return status;
}

/* One that tells labels goes on no text: saved again, OUT/tiny-llama-classify/adapter. */
static clora_status save_classifier(clora_context *context, const char *fixtures, const char *out) {
    char base[1024], from[1024], folder[1024], adapter_path[1100];
    clora_model *model = NULL;
    clora_adapter *adapter = NULL;
    clora_status status;

    snprintf(base, sizeof(base), "%s/tiny-llama", fixtures);
    snprintf(from, sizeof(from), "%s/tiny-llama-classify", fixtures);
    snprintf(folder, sizeof(folder), "%s/tiny-llama-classify", out);
    snprintf(adapter_path, sizeof(adapter_path), "%s/adapter", folder);
    mkdir(folder, 0777);
    TRY(clora_model_load(&model, context, base, NULL));
    TRY(clora_adapter_load(&adapter, model, from));
    TRY(clora_adapter_save(
        adapter, adapter_path,
        &(clora_adapter_save_options){.size = sizeof(clora_adapter_save_options), .base_name = base}));
done:
    clora_adapter_free(adapter);
    clora_model_free(model);
    return status;
}

int main(int argc, char **argv) {
    clora_context *context = NULL;
    clora_status status;

    if (argc != 3) {
        fprintf(stderr, "usage: peft_exchange FIXTURES OUT\n");
        return 2;
    }
    TRY(clora_context_create(&context, NULL));
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        TRY(run_case(context, &CASES[i], argv[1], argv[2]));
    TRY(save_classifier(context, argv[1], argv[2]));
done:
    if (status != CLORA_OK)
        fprintf(stderr, "peft_exchange: %s\n", clora_last_error());
    clora_context_free(context);
    return status == CLORA_OK ? 0 : 1;
}
