#include "exchange/gguf_names.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "exchange/term_list.h"

struct gguf_part {
    const char *module, *name; /* within a layer; NULL ends a list */
};

static const gguf_part apart[] = {
    {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"}, {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_proj", "ffn_gate"},  {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},  {NULL, NULL},
};

/* q, k and v in one tensor, and gate and up in one, which has the name of up. */
static const gguf_part fused[] = {
    {"self_attn.qkv_proj", "attn_qkv"},
    {"self_attn.o_proj", "attn_output"},
    {"mlp.gate_up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {NULL, NULL},
};

static const gguf_part gpt2[] = {
    {"attn.c_attn", "attn_qkv"},
    {"attn.c_proj", "attn_output"},
    {"mlp.c_fc", "ffn_up"},
    {"mlp.c_proj", "ffn_down"},
    {NULL, NULL},
};

static const char usual[] = "model.layers";

static const gguf_family families[] = {
    {"llama", "llama", usual, apart, true},         {"mistral", "llama", usual, apart, true},
    {"qwen2", "qwen2", usual, apart, false},        {"qwen3", "qwen3", usual, apart, false},
    {"phi3", "phi3", usual, fused, false},          {"smollm3", "smollm3", usual, apart, true},
    {"granite", "granite", usual, apart, true},     {"gemma", "gemma", usual, apart, false},
    {"gemma2", "gemma2", usual, apart, false},      {"gemma3_text", "gemma3", usual, apart, false},
    {"olmo2", "olmo2", usual, apart, false},        {"olmo3", "olmo2", usual, apart, false},
    {"gpt2", "gpt2", "transformer.h", gpt2, false}, {"gemma3", "gemma3", "model.language_model.layers", apart, false},
};
static const gguf_family unknown = {NULL, NULL, usual, apart, false};

enum { FAMILIES = sizeof(families) / sizeof(families[0]) };

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
    return &unknown;
}

static clora_status no_memory(const char *name) {
    return clora_fail(CLORA_ERROR_MEMORY, "no memory for the name of %s", name);
}

clora_status gguf_name_of(char **out, const char *module, const gguf_family *family) {
    const size_t head = strlen(family->layers);
    const char *rest;
    const int layer = term_layer(&rest, module);
    const bool in_layer = layer >= 0 && strncmp(module, family->layers, head) == 0 && module[head] == '.';

    *out = NULL;
    if (strcmp(module, "lm_head") == 0)
        return (*out = alloc_string("output")) ? CLORA_OK : no_memory(module);
    for (const gguf_part *p = family->parts; in_layer && p->name; p++)
        if (strcmp(rest, p->module) == 0)
            return (*out = alloc_format("blk.%d.%s", layer, p->name)) ? CLORA_OK : no_memory(module);
    return CLORA_OK;
}

clora_status gguf_module_of(char **out, const char *name, const gguf_family *family) {
    const char *rest;
    const int layer = term_layer(&rest, name);
    const bool in_layer = layer >= 0 && strncmp(name, "blk.", 4) == 0;

    *out = NULL;
    if (strcmp(name, "output") == 0)
        return (*out = alloc_string("lm_head")) ? CLORA_OK : no_memory(name);
    for (const gguf_part *p = family->parts; in_layer && p->name; p++)
        if (strcmp(rest, p->name) == 0)
            return (*out = alloc_format("%s.%d.%s", family->layers, layer, p->module)) ? CLORA_OK : no_memory(name);
    return CLORA_OK;
}

int gguf_rotated_heads(const char *module, int heads, int kv_heads) {
    const char *rest;

    (void)term_layer(&rest, module);
    if (strcmp(rest, "self_attn.q_proj") == 0)
        return heads;
    return strcmp(rest, "self_attn.k_proj") == 0 ? kv_heads : 0;
}
