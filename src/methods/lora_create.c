#include <math.h>

#include "base/rng.h"
#include "methods/lora_adapter.h"
#include "methods/lora_origin.h"
#include "methods/peft_config.h"

/* Streams of A's random numbers: one a module, apart from the small numbers that other users of a seed count from. */
static const uint32_t STREAM = 0x41000000u;

/* A fresh part: a value depends on the seed, the module and its place alone, not on what else is adapted. Magnitudes
 * follow from the others. */
static clora_status make_fresh(void *user, float *out, int module, peft_part part) {
    const lora_adapter *lora = user;
    const int K = lora->target[module].K, R = lora->choice[module].R;
    const size_t n =
        part == PEFT_A ? (size_t)R * (size_t)K : (size_t)lora->target[module].N * (part == PEFT_B ? (size_t)R : 1);
    const uint64_t seed = lora->options.seed;
    const uint32_t stream = STREAM + (uint32_t)module;
    const float spread = 1.0f / sqrtf((float)K), peft = 1.0f / (float)R;

    for (size_t i = 0; i < n; i++) {
        if (part != PEFT_A)
            out[i] = 0.0f;
        else if (module == lora->embedding) /* whose input is one row of the identity: as in PEFT */
            out[i] = rng_normal(seed, stream, i);
        else if (lora->options.init == CLORA_INIT_KAIMING)
            out[i] = (2.0f * rng_uniform(seed, stream, i) - 1.0f) * spread;
        else
            out[i] = rng_normal(seed, stream, i) * (lora->options.init == CLORA_INIT_GAUSSIAN ? spread : peft);
    }
    return CLORA_OK;
}

/* Modules that clora does not run may have the names of those that it adapts: elsewhere they stay as they are too. */
static clora_adapter_options without_others(const clora_adapter_options *given, const model_names *names) {
    clora_adapter_options options = *given;

    if (!options.exclude_modules)
        options.exclude_modules = names->excluded;
    return options;
}

clora_status lora_adapter_create(clora_adapter **out, const base_model *base, const clora_adapter_options *options) {
    const clora_adapter_options all = without_others(options, base->names);
    clora_status status = CLORA_OK;
    lora_adapter *lora = NULL;

    *out = NULL;
    if ((int)options->init < CLORA_INIT_GAUSSIAN || options->init > CLORA_INIT_OLORA)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no initialisation of an adapter with number %d",
                          (int)options->init);
    TRY(lora_adapter_allocate(&lora, base));
    TRY(peft_config_create(&lora->config, &all, lora->target, lora->targets));
    if (base->names->turned) /* as PEFT says of such bases */
        json_put(&lora->config, "fan_in_fan_out", json_true());
    if (!lora->config)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings"));
    TRY(lora_adapter_add_saved(lora, true));
    TRY(target_resolve(lora->choice, lora->config, lora->target, lora->targets, true));
    TRY(lora_adapter_read_options(lora, options->init, options->seed));
    TRY(options->init >= CLORA_INIT_PISSA ? lora_origin_build(lora) : lora_adapter_build(lora, make_fresh, lora, true));
    if (options->labels) {
        TRY(lora_adapter_add_classifier(lora, label_names_copy(options->labels)));
        TRY(classifier_begin(lora->adapter.classifier, options->seed));
    }
    if (lora->adapter.saved)
        TRY(saved_modules_begin(lora->adapter.saved, base));
    *out = &lora->adapter;
    lora = NULL;
done:
    if (lora)
        clora_adapter_free(&lora->adapter);
    return status;
}
