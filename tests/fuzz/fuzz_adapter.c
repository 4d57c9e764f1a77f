/* adapter_config.json 8< adapter_model.safetensors, against a small model; what can be read is written and opened
 * again. */

#include <clora/inspect.h>

#include "fuzz/fuzz.h"
#include "methods/peft.h"

static const target_module modules[] = {{"model.layers.0.self_attn.q_proj", 4, 4, false},
                                        {"model.layers.0.self_attn.v_proj", 2, 4, false},
                                        {"model.layers.0.mlp.down_proj", 4, 6, false},
                                        {"model.layers.1.self_attn.q_proj", 4, 4, false},
                                        {"model.layers.1.self_attn.v_proj", 2, 4, false},
                                        {"model.layers.1.mlp.down_proj", 4, 6, false},
                                        {"lm_head", 8, 4, true}};
enum { MODULES = sizeof(modules) / sizeof(modules[0]) };
static const peft_base base = {modules, MODULES, NULL, 0};

static clora_status factor(void *user, float *out, int module, peft_part part) {
    const peft_adapter *adapter = user;

    if (module < 0)
        return peft_read(out, adapter, adapter->score);
    return peft_read(out, adapter, adapter->part[part][module]);
}

static void check_factors(const peft_adapter *adapter) {
    for (int i = 0; i < MODULES; i++) {
        const size_t R = (size_t)adapter->choice[i].R;
        if (R == 0)
            continue;
        FUZZ_CHECK(stored_elements(adapter->part[PEFT_A][i]) == R * (size_t)modules[i].K);
        FUZZ_CHECK(stored_elements(adapter->part[PEFT_B][i]) == R * (size_t)modules[i].N);
        for (int part = PEFT_BIAS; part < PEFT_PARTS; part++)
            FUZZ_CHECK(!adapter->part[part][i] || stored_elements(adapter->part[part][i]) == (size_t)modules[i].N);
    }
}

static void write_again(peft_adapter *adapter) {
    const stored_tensor *score = adapter->score;
    const base_tensor whole = {PEFT_SCORE, score ? (int)score->shape[0] : 0, score ? (int)score->shape[1] : 0};
    const peft_contents contents = {adapter->config, modules,       adapter->choice, MODULES,
                                    &whole,          score != NULL, factor,          adapter};
    const clora_adapter_save_options options = {.base_name = "base", .overwrite = 1};
    peft_adapter again;

    if (peft_write(fuzz_path("again"), &contents, &options) != CLORA_OK)
        return; /* a value that is not finite */
    FUZZ_CHECK(peft_open(&again, fuzz_path("again"), &base) == CLORA_OK);
    for (int i = 0; i < MODULES; i++)
        FUZZ_CHECK(again.choice[i].R == adapter->choice[i].R);
    peft_close(&again);
}

static void inspect(void) {
    clora_inspected_adapter *seen = NULL;

    if (clora_inspect_adapter(&seen, fuzz_directory()) == CLORA_OK)
        FUZZ_CHECK(seen->target_modules && seen->rank_pattern && seen->alpha_pattern);
    clora_inspected_adapter_free(seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_part parts[2];
    peft_adapter adapter;

    fuzz_split(parts, 2, data, size);
    fuzz_write("adapter_config.json", parts[0]);
    fuzz_write_safetensors("adapter_model.safetensors", parts[1]);
    inspect();
    if (peft_open(&adapter, fuzz_directory(), &base) == CLORA_OK) {
        check_factors(&adapter);
        write_again(&adapter);
        peft_close(&adapter);
    }
    return 0;
}
