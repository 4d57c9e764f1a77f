#include "methods/lora_adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "methods/dora.h"
#include "methods/lora_parts.h"
#include "methods/lora_terms.h"
#include "methods/peft_config.h"

/* The projections' modules one after the other, and the embedding. */
static clora_status list_targets(lora_adapter *lora) {
    const base_model *base = &lora->adapter.base;
    int count = 0;

    for (int p = 0; p < base->projections; p++)
        count += base->projection[p].weight->modules;
    lora->target = alloc_array((size_t)count + 2, sizeof(*lora->target));
    lora->choice = alloc_array((size_t)count + 2, sizeof(*lora->choice));
    if (!lora->target || !lora->choice)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the modules of an adapter");
    for (int p = 0; p < base->projections; p++) {
        const projection *at = &base->projection[p];
        for (int m = 0; m < at->weight->modules; m++)
            lora->target[lora->targets++] = (target_module){at->names[m], at->weight->module[m].N, at->weight->K,
                                                            at->is_head ? TARGET_HEAD : TARGET_LINEAR};
    }
    lora->embedding = lora->targets;
    lora->target[lora->targets++] =
        (target_module){base->names->embedding_module, base->vocab, base->hidden, TARGET_EMBEDDING};
    return CLORA_OK;
}

clora_status lora_adapter_allocate(lora_adapter **out, const base_model *base) {
    const size_t projections = (size_t)base->projections + 1;
    clora_status status = CLORA_OK;
    lora_adapter *lora = calloc(1, sizeof(*lora));

    *out = NULL;
    if (!lora)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter");
    adapter_init(&lora->adapter, base, &method_lora);
    lora->adapter.term = alloc_array(projections, sizeof(lowrank *));
    lora->chunk = alloc_array(projections, sizeof(clora_tensor *)); /* at most one a projection */
    if (!lora->adapter.term || !lora->chunk)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter"));
    TRY(list_targets(lora));
    *out = lora;
    lora = NULL;
done:
    if (lora)
        clora_adapter_free(&lora->adapter);
    return status;
}

void lora_adapter_destroy(clora_adapter *adapter) {
    lora_adapter *lora = lora_of(adapter);

    for (int i = 0; i < lora->chunks; i++)
        clora_tensor_free(lora->chunk[i]);
    clora_tensor_free(lora->derived);
    for (int p = 0; adapter->term && p < adapter->base.projections; p++)
        lowrank_free(adapter->term[p]);
    for (int p = 0; adapter->origin && p < adapter->base.projections; p++)
        lowrank_free(adapter->origin[p]);
    for (int p = 0; lora->frozen && p < adapter->base.projections; p++)
        clora_tensor_free(lora->frozen[p]);
    classifier_free(adapter->classifier);
    embedding_term_free(adapter->embedding);
    saved_modules_free(adapter->saved);
    json_decref(lora->config);
    free((void *)(uintptr_t)lora->options.target_modules);
    free((void *)(uintptr_t)lora->options.rank_pattern);
    free((void *)(uintptr_t)lora->options.alpha_pattern);
    free((void *)(uintptr_t)lora->options.modules_to_save);
    free(adapter->term);
    free(adapter->origin);
    free(lora->frozen);
    free(lora->chunk);
    free(lora->target);
    free(lora->choice);
    free(lora->module);
    free(lora);
}

/* What the settings say; modules and parameters are counted as they are made. */
static void fill_info(lora_adapter *lora) {
    const clora_adapter_options *o = &lora->options;
    clora_adapter_info *info = &lora->adapter.info;

    info->rank = o->rank;
    info->alpha = o->alpha;
    info->dropout = o->dropout;
    info->rslora = o->rslora;
    info->dora = o->dora;
    info->lora_bias = o->lora_bias;
    info->target_modules = o->target_modules;
    info->modules_to_save = o->modules_to_save;
}

clora_status lora_adapter_read_options(lora_adapter *lora, clora_init init, uint64_t seed) {
    const json_t *config = lora->config;

    lora->options = (clora_adapter_options){
        .size = sizeof(lora->options),
        .rank = (int)json_integer_value(json_object_get(config, "r")),
        .alpha = (float)json_number_value(json_object_get(config, "lora_alpha")),
        .rslora = json_is_true(json_object_get(config, "use_rslora")),
        .dora = peft_vector(config) == PEFT_MAGNITUDE,
        .lora_bias = peft_vector(config) == PEFT_BIAS,
        .dropout = (float)json_number_value(json_object_get(config, "lora_dropout")),
        .target_modules = target_modules_text(json_object_get(config, "target_modules")),
        .rank_pattern = target_pattern_text(json_object_get(config, "rank_pattern")),
        .alpha_pattern = target_pattern_text(json_object_get(config, "alpha_pattern")),
        .modules_to_save = target_modules_text(json_object_get(config, "modules_to_save")),
        .init = init,
        .seed = seed,
    };
    lora->adapter.dropout = lora->options.dropout;
    lora->vector = peft_vector(config);
    if (!lora->options.target_modules || !lora->options.rank_pattern || !lora->options.alpha_pattern ||
        !lora->options.modules_to_save)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings");
    fill_info(lora);
    return CLORA_OK;
}

/* The name that stands for a term of several modules. */
static const char *first_adapted(const clora_adapter *adapter, int p) {
    int m = 0;

    while (adapter->term[p]->module[m].R == 0)
        m++;
    return adapter->base.projection[p].names[m];
}

/* A's and B's are a group each; as in PEFT's LoRA+, copies of tables are in that of A's, those of gains and what
 * trains for each column in that of B's. Modules that share a projection are one parameter, named after the first
 * adapted: "model.layers.0.self_attn.q_proj.lora_A". */
clora_status lora_adapter_list_parameters(parameters *out, const clora_adapter *adapter,
                                          const clora_train_options *options) {
    const parameter_group a = {1.0f, options->weight_decay}, b = {options->lora_plus_ratio, options->weight_decay};
    clora_status status = CLORA_OK;

    for (int i = 0; i < lora_of(adapter)->chunks; i++)
        TRY(parameters_add_buffer(out, lora_of(adapter)->chunk[i]));
    for (int p = 0; p < adapter->base.projections; p++) {
        const lowrank *term = adapter->term[p];
        if (!term)
            continue;
        const char *name = first_adapted(adapter, p);
        TRY(parameters_add(out, alloc_format("%s.lora_A", name), &term->a, a));
        TRY(parameters_add(out, alloc_format("%s.lora_B", name), &term->b, b));
        if (dora_is(term))
            TRY(parameters_add(out, alloc_format("%s.lora_magnitude_vector", name), &term->magnitude, b));
        if (term->bias.buffer)
            TRY(parameters_add(out, alloc_format("%s.lora_B.bias", name), &term->bias, b));
    }
    if (adapter->classifier) {
        TRY(parameters_add_buffer(out, adapter->classifier->values));
        TRY(parameters_add(out, alloc_string(PEFT_SCORE), &adapter->classifier->head->a, a));
    }
    if (adapter->embedding)
        TRY(embedding_term_parameters(out, adapter->embedding,
                                      lora_of(adapter)->target[lora_of(adapter)->embedding].name, a));
    if (adapter->saved)
        TRY(saved_modules_parameters(out, adapter->saved, a, b));
done:
    return status;
}

clora_status lora_adapter_add_classifier(lora_adapter *lora, char **names) {
    clora_adapter *adapter = &lora->adapter;
    const clora_status status = classifier_create(&adapter->classifier, &adapter->base, names);

    if (status == CLORA_OK)
        adapter_take_labels(adapter);
    return status;
}

clora_status lora_adapter_add_saved(lora_adapter *lora, bool strict) {
    clora_adapter *adapter = &lora->adapter;
    const clora_status status = saved_modules_create(&adapter->saved, &adapter->base, lora->config, strict);

    if (status == CLORA_OK && adapter->saved)
        adapter->info.parameters += adapter->saved->parameters;
    return status;
}

clora_status lora_adapter_derive(const clora_adapter *adapter) {
    clora_status status = CLORA_OK;

    for (int p = 0; p < adapter->base.projections; p++)
        if (adapter->term[p])
            TRY(dora_derive(adapter->term[p], false));
done:
    return status;
}

/* The embedding's term, where the settings choose it. */
static clora_status add_embedding(lora_adapter *lora, peft_source source, void *user) {
    const target_module *target = &lora->target[lora->embedding];
    const target_choice *choice = &lora->choice[lora->embedding];
    clora_adapter *adapter = &lora->adapter;
    clora_status status = CLORA_OK;
    float *values = NULL;

    if (choice->R == 0)
        return CLORA_OK;
    if (lora->vector != PEFT_NONE)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "DoRA or a bias of B on %s: clora has them on linear layers alone",
                       target->name));
    TRY(embedding_term_create(&adapter->embedding, &adapter->base, choice->R, choice->scale));
    lora->adapter.info.modules++;
    adapter->info.parameters += (int64_t)choice->R * ((int64_t)target->N + target->K);
    if (adapter->base.context->outlined)
        return CLORA_OK;
    values = alloc_array((size_t)choice->R * (size_t)(target->N > target->K ? target->N : target->K), sizeof(*values));
    if (!values)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", target->name));
    for (int is_b = 0; is_b < 2; is_b++) {
        TRY(source(user, values, lora->embedding, is_b ? PEFT_B : PEFT_A));
        TRY(embedding_term_write(adapter->embedding, is_b != 0, values));
    }
done:
    free(values);
    return status;
}

/* Those of the targets that are adapted. */
static clora_status list_modules(lora_adapter *lora) {
    int n = 0;

    lora->module = alloc_array((size_t)lora->adapter.info.modules + 1, sizeof(*lora->module));
    if (!lora->module)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the modules of an adapter");
    for (int i = 0; i < lora->targets; i++) {
        const target_module *t = &lora->target[i];
        const target_choice *c = &lora->choice[i];
        if (c->R > 0)
            lora->module[n++] = (clora_adapter_module_info){t->name, t->N, t->K, c->R, c->scale};
    }
    return CLORA_OK;
}

clora_status lora_adapter_build(lora_adapter *lora, peft_source source, void *user, bool fresh) {
    const base_model *base = &lora->adapter.base;
    clora_status status = CLORA_OK;

    TRY(lora_create_terms(lora));
    for (int p = 0, first = 0; p < base->projections; p++) {
        if (lora->adapter.term[p]) {
            TRY(lora_upload(lora, p, first, source, user));
            TRY(dora_derive(lora->adapter.term[p], fresh));
        }
        first += base->projection[p].weight->modules;
    }
    TRY(add_embedding(lora, source, user));
    TRY(list_modules(lora));
done:
    return status;
}

const clora_adapter_info *clora_adapter_get_info(const clora_adapter *adapter) {
    static const clora_adapter_info none;

    return adapter ? &adapter->info : &none;
}

static clora_status need_lora(const clora_adapter *adapter) {
    return adapter->method == &method_lora
               ? CLORA_OK
               : clora_fail(CLORA_ERROR_ARGUMENT, "the adapter is of method %s, not lora", adapter->method->name);
}

clora_status lora_adapter_set_dropout(clora_adapter *adapter, float dropout) {
    clora_status status = CLORA_OK;

    TRY(peft_config_set_dropout(lora_of(adapter)->config, dropout));
    lora_of(adapter)->options.dropout = dropout;
    adapter->info.dropout = dropout;
    adapter->dropout = dropout;
done:
    return status;
}

const clora_adapter_module_info *clora_adapter_module(const clora_adapter *adapter, int i) {
    static const clora_adapter_module_info none;

    if (!adapter || adapter->method != &method_lora || i < 0 || i >= adapter->info.modules)
        return &none;
    return &lora_of(adapter)->module[i];
}

clora_status clora_adapter_read_module(float *a, float *b, clora_adapter *adapter, int i) {
    clora_status status = CLORA_OK;
    int at = 0;

    NEED(adapter);
    TRY(need_lora(adapter));
    lora_adapter *lora = lora_of(adapter);
    if (i < 0 || i >= lora->adapter.info.modules)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "module %d of an adapter that has %d", i, lora->adapter.info.modules));
    while (lora->choice[at].R == 0 || i-- > 0)
        at++;
    if (a)
        TRY(lora_download(lora, a, at, PEFT_A));
    if (b)
        TRY(lora_download(lora, b, at, PEFT_B));
done:
    return status;
}
