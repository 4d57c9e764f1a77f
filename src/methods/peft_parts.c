#include "methods/peft_parts.h"

#include "base/alloc.h"

/* The adapter's own name is in no tensor's name on disk; PEFT puts it in when it loads. */
char *peft_part_tensor(const target_module *module, peft_part part) {
    if (module->kind == TARGET_EMBEDDING)
        return alloc_format("base_model.model.%s.lora_embedding_%c", module->name, part == PEFT_B ? 'A' : 'B');
    return alloc_format("base_model.model.%s%s", module->name, peft_part_name(part));
}

peft_part peft_vector(const json_t *config) {
    if (json_is_true(json_object_get(config, "use_dora")))
        return PEFT_MAGNITUDE;
    return json_is_true(json_object_get(config, "lora_bias")) ? PEFT_BIAS : PEFT_NONE;
}

peft_part_list peft_parts_of(const json_t *config) {
    return (peft_part_list){{PEFT_A, PEFT_B, peft_vector(config), PEFT_NONE}};
}

void peft_part_shape(int *rows, int *cols, const target_module *module, int R, peft_part part) {
    const bool transposed = module->kind == TARGET_EMBEDDING;
    const int N = part == PEFT_A ? R : part == PEFT_B ? module->N : 0;
    const int K = part == PEFT_A ? module->K : part == PEFT_B ? R : module->N;

    *rows = transposed ? K : N;
    *cols = transposed ? N : K;
}
