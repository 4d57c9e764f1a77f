#include "exchange/gguf_names.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "exchange/term_list.h"

static const gguf_family families[] = {
    {"llama", "llama", true},
    {"qwen2", "qwen2", false},
};

static const struct {
    const char *module, *name;
} parts[] = {
    {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"mlp.gate_proj", "ffn_gate"},  {"self_attn.o_proj", "attn_output"}, {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};

enum { FAMILIES = sizeof(families) / sizeof(families[0]), PARTS = sizeof(parts) / sizeof(parts[0]) };

const gguf_family *gguf_family_find(const char *model_type) {
    for (size_t i = 0; i < FAMILIES; i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

bool gguf_is_interleaved(const char *architecture) {
    for (size_t i = 0; i < FAMILIES; i++)
        if (strcmp(families[i].architecture, architecture) == 0)
            return families[i].interleaved;
    return false;
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
        if (strncmp(module, head, strlen(head)) == 0 && layer >= 0 && strcmp(rest, parts[i].module) == 0)
            return (*out = alloc_format("blk.%d.%s", layer, parts[i].name)) ? CLORA_OK : no_memory(module);
    return CLORA_OK;
}

clora_status gguf_module_of(char **out, const char *name) {
    const char *rest;
    const int layer = term_layer(&rest, name);

    *out = NULL;
    if (strcmp(name, "output") == 0)
        return (*out = alloc_string("lm_head")) ? CLORA_OK : no_memory(name);
    for (size_t i = 0; i < PARTS; i++)
        if (strncmp(name, "blk.", 4) == 0 && layer >= 0 && strcmp(rest, parts[i].name) == 0)
            return (*out = alloc_format("model.layers.%d.%s", layer, parts[i].module)) ? CLORA_OK : no_memory(name);
    return CLORA_OK;
}

int gguf_rotated_heads(const char *module, int heads, int kv_heads) {
    const char *rest;

    (void)term_layer(&rest, module);
    if (strcmp(rest, "self_attn.q_proj") == 0)
        return heads;
    return strcmp(rest, "self_attn.k_proj") == 0 ? kv_heads : 0;
}
