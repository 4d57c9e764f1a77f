#include "exchange/gguf_names.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "exchange/term_list.h"

static const gguf_family families[] = {
    {"llama", "llama", true, false},         {"mistral", "llama", true, false}, {"qwen2", "qwen2", false, false},
    {"qwen3", "qwen3", false, false},        {"phi3", "phi3", false, true},     {"smollm3", "smollm3", true, false},
    {"granite", "granite", true, false},     {"gemma", "gemma", false, false},  {"gemma2", "gemma2", false, false},
    {"gemma3_text", "gemma3", false, false}, {"olmo2", "olmo2", false, false},
};

/* A tensor's name is another module's in a family with fused ones. */
static const struct {
    const char *module, *name, *fused;
} parts[] = {
    {"self_attn.q_proj", "attn_q", NULL},          {"self_attn.k_proj", "attn_k", NULL},
    {"self_attn.v_proj", "attn_v", NULL},          {"self_attn.qkv_proj", "attn_qkv", NULL},
    {"self_attn.o_proj", "attn_output", NULL},     {"mlp.gate_proj", "ffn_gate", NULL},
    {"mlp.up_proj", "ffn_up", "mlp.gate_up_proj"}, {"mlp.down_proj", "ffn_down", NULL},
};

enum { FAMILIES = sizeof(families) / sizeof(families[0]), PARTS = sizeof(parts) / sizeof(parts[0]) };

const gguf_family *gguf_family_find(const char *model_type) {
    for (size_t i = 0; i < FAMILIES; i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

const gguf_family *gguf_family_of(const char *architecture) {
    for (size_t i = 0; i < FAMILIES; i++)
        if (strcmp(families[i].architecture, architecture) == 0)
            return &families[i];
    return NULL;
}

static bool is_part(size_t i, const char *module) {
    return strcmp(module, parts[i].module) == 0 || (parts[i].fused && strcmp(module, parts[i].fused) == 0);
}

static clora_status no_memory(const char *name) {
    return clora_fail(CLORA_ERROR_MEMORY, "no memory for the name of %s", name);
}

clora_status gguf_name_of(char **out, const char *module) {
    static const char head[] = "model.layers.";
    const char *rest;
    const int layer = term_layer(&rest, module);

    *out = NULL;
    if (strcmp(module, "lm_head") == 0)
        return (*out = alloc_string("output")) ? CLORA_OK : no_memory(module);
    for (size_t i = 0; i < PARTS; i++)
        if (strncmp(module, head, strlen(head)) == 0 && layer >= 0 && is_part(i, rest))
            return (*out = alloc_format("blk.%d.%s", layer, parts[i].name)) ? CLORA_OK : no_memory(module);
    return CLORA_OK;
}

clora_status gguf_module_of(char **out, const char *name, const gguf_family *family) {
    const char *rest;
    const int layer = term_layer(&rest, name);

    *out = NULL;
    if (strcmp(name, "output") == 0)
        return (*out = alloc_string("lm_head")) ? CLORA_OK : no_memory(name);
    for (size_t i = 0; i < PARTS; i++) {
        const char *module = family && family->fused && parts[i].fused ? parts[i].fused : parts[i].module;
        if (strncmp(name, "blk.", 4) == 0 && layer >= 0 && strcmp(rest, parts[i].name) == 0)
            return (*out = alloc_format("model.layers.%d.%s", layer, module)) ? CLORA_OK : no_memory(name);
    }
    return CLORA_OK;
}

int gguf_rotated_heads(const char *module, int heads, int kv_heads) {
    const char *rest;

    (void)term_layer(&rest, module);
    if (strcmp(rest, "self_attn.q_proj") == 0)
        return heads;
    return strcmp(rest, "self_attn.k_proj") == 0 ? kv_heads : 0;
}
