#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/small_model.h"

const float SMALL_TABLE[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const float ONES[64] = {1, 1, 1, 1, 1, 1, 1, 1};

void write_tensors(const char *path, const char *const *names, const int (*shapes)[2], const float *const *values,
                   size_t n, clora_dtype dtype) {
    safetensors_entry entries[32];
    safetensors_writer writer;

    assert_true(n <= sizeof(entries) / sizeof(entries[0]));
    for (size_t i = 0; i < n; i++) {
        entries[i] = (safetensors_entry){.name = names[i], .dtype = dtype, .ndim = shapes[i][0] ? 2 : 1};
        entries[i].shape[0] = shapes[i][0] ? shapes[i][0] : shapes[i][1];
        entries[i].shape[1] = shapes[i][0] ? shapes[i][1] : 0;
    }
    assert_ok(safetensors_writer_begin(&writer, scratch_path(path), entries, n, NULL));
    while (writer.next < writer.count) {
        const size_t i = writer.order[writer.next], size = writer.bytes[writer.next];
        void *data = calloc(1, size);
        dtype_from_f32(data, dtype, values[i], size / dtype_size(dtype));
        assert_ok(safetensors_writer_tensor(&writer, data, size));
        free(data);
    }
    assert_ok(safetensors_writer_finish(&writer));
}

void write_small_adapter(const small_model *t) {
    const bool head = strcmp(t->target, "lm_head") == 0;
    char names[2][128], config[256];

    snprintf(names[0], sizeof(names[0]), "base_model.model.%s%s.lora_A.weight", head ? "" : "model.layers.0.self_attn.",
             t->target);
    snprintf(names[1], sizeof(names[1]), "base_model.model.%s%s.lora_B.weight", head ? "" : "model.layers.0.self_attn.",
             t->target);
    scratch_mkdir("adapter");
    write_tensors("adapter/adapter_model.safetensors", (const char *const[]){names[0], names[1]},
                  (const int[][2]){{1, t->K}, {head ? 3 : t->N, 1}}, (const float *const[]){t->a, t->b}, 2,
                  CLORA_DTYPE_F32);
    snprintf(config, sizeof(config),
             "{\"peft_type\": \"LORA\", \"r\": 1, \"lora_alpha\": %.9g, \"target_modules\": [\"%s\"]}",
             (double)t->scale, t->target);
    scratch_text("adapter/adapter_config.json", config);
}

void write_small_model(const small_model *t) {
    char config[256];

    scratch_mkdir("model");
    write_tensors(
        "model/model.safetensors",
        (const char *const[]){SMALL_WEIGHT, "model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"},
        (const int[][2]){{t->N, t->K}, {3, t->K}, {0, t->K}, {3, t->K}},
        (const float *const[]){t->w, SMALL_TABLE, ONES, ONES}, t->head ? 4 : 3, t->dtype);
    snprintf(config, sizeof(config), "{\"model_type\": \"llama\", \"torch_dtype\": \"x\", \"tie_word_embeddings\": %s}",
             t->tied ? "true" : "false");
    scratch_text("model/config.json", config);
    write_small_adapter(t);
}
