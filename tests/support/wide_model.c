#include "support/wide_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"
#include "files/safetensors.h"
#include "support/scratch.h"

enum { V = 97, C = 96, F = 160, H = 6, G = 2, D = 32, TENSORS = WIDE_MOST_LAYERS * 9 + 2 };

static size_t wide_entries(safetensors_entry *entries, char (*names)[96], int layers) {
    static const struct {
        const char *name;
        int rows, cols; /* no rows: a vector */
    } inside[] = {{"input_layernorm", 0, C},          {"self_attn.q_proj", H * D, C}, {"self_attn.k_proj", G * D, C},
                  {"self_attn.v_proj", G * D, C},     {"self_attn.o_proj", C, H * D}, {"mlp.gate_proj", F, C},
                  {"post_attention_layernorm", 0, C}, {"mlp.up_proj", F, C},          {"mlp.down_proj", C, F}};
    const size_t each = sizeof(inside) / sizeof(inside[0]);
    size_t n = 0;

    for (; n < (size_t)layers * each; n++) {
        const int rows = inside[n % each].rows, cols = inside[n % each].cols;
        snprintf(names[n], sizeof(names[n]), "model.layers.%zu.%s.weight", n / each, inside[n % each].name);
        entries[n] = (safetensors_entry){.ndim = rows ? 2 : 1, .shape = {rows ? rows : cols, rows ? cols : 0}};
    }
    snprintf(names[n], sizeof(names[n]), "model.embed_tokens.weight");
    entries[n++] = (safetensors_entry){.ndim = 2, .shape = {V, C}};
    snprintf(names[n], sizeof(names[n]), "model.norm.weight");
    entries[n++] = (safetensors_entry){.ndim = 1, .shape = {C}};
    return n;
}

const char *write_wide_model(int layers) {
    safetensors_entry entries[TENSORS];
    char names[TENSORS][96];
    const size_t n = wide_entries(entries, names, layers);
    char config[512];
    safetensors_writer writer;

    for (size_t i = 0; i < n; i++) {
        entries[i].name = names[i];
        entries[i].dtype = CLORA_DTYPE_F32;
    }
    scratch_mkdir("wide");
    assert_ok(safetensors_writer_begin(&writer, scratch_path("wide/model.safetensors"), entries, n, NULL));
    while (writer.next < writer.count) {
        const size_t i = writer.order[writer.next], size = writer.bytes[writer.next];
        float *values = malloc(size);
        for (size_t e = 0; e < size / sizeof(float); e++)
            values[e] = (entries[i].ndim == 1 ? 1.0f : 0.0f) + 0.15f * rng_normal(5, (uint32_t)i, e);
        assert_ok(safetensors_writer_tensor(&writer, values, size));
        free(values);
    }
    assert_ok(safetensors_writer_finish(&writer));
    snprintf(config, sizeof(config),
             "{\"model_type\": \"llama\", \"hidden_size\": 96, \"intermediate_size\": 160, "
             "\"num_hidden_layers\": %d, \"num_attention_heads\": 6, \"num_key_value_heads\": 2, \"head_dim\": 32, "
             "\"vocab_size\": 97, \"max_position_embeddings\": 128, \"rms_norm_eps\": 1e-5, "
             "\"tie_word_embeddings\": true, \"hidden_act\": \"silu\"}",
             layers);
    scratch_text("wide/config.json", config);
    return scratch_path("wide");
}
