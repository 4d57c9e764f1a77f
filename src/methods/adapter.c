#include "methods/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "methods/peft.h"
#include "methods/peft_config.h"

/* Streams of A's random numbers: one a module, apart from the small numbers that other users of a seed count from. */
static const uint32_t STREAM = 0x41000000u;

/* The projections' modules one after the other. */
static clora_status list_targets(clora_adapter *adapter) {
    int count = 0;

    for (int s = 0; s < adapter->projections; s++)
        count += adapter->projection[s].weight->modules;
    adapter->target = alloc_array((size_t)count + 1, sizeof(*adapter->target));
    adapter->choice = alloc_array((size_t)count + 1, sizeof(*adapter->choice));
    if (!adapter->target || !adapter->choice)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the modules of an adapter");
    for (int s = 0; s < adapter->projections; s++) {
        const projection *p = &adapter->projection[s];
        for (int m = 0; m < p->weight->modules; m++)
            adapter->target[adapter->targets++] =
                (target_module){p->names[m], p->weight->module[m].N, p->weight->K, p->is_head};
    }
    return CLORA_OK;
}

static void destroy(shared *object);

static clora_status allocate(clora_adapter **out, clora_context *context, const projection *projections, int count) {
    clora_status status = CLORA_OK;
    clora_adapter *adapter = calloc(1, sizeof(*adapter));

    *out = NULL;
    if (!adapter)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter");
    shared_init(&adapter->shared, destroy);
    adapter->context = context;
    adapter->projections = count;
    adapter->projection = alloc_array((size_t)count + 1, sizeof(*adapter->projection));
    adapter->term = alloc_array((size_t)count + 1, sizeof(lowrank *));
    adapter->slot = alloc_array((size_t)count + 1, sizeof(*adapter->slot));
    adapter->chunk = alloc_array((size_t)count + 1, sizeof(clora_tensor *)); /* at most one a projection */
    if (!adapter->projection || !adapter->term || !adapter->slot || !adapter->chunk)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter"));
    memcpy(adapter->projection, projections, (size_t)count * sizeof(*projections));
    TRY(list_targets(adapter));
    *out = adapter;
    adapter = NULL;
done:
    clora_adapter_free(adapter);
    return status;
}

void clora_adapter_free(clora_adapter *adapter) {
    if (adapter)
        shared_let_go(&adapter->shared);
}

static void destroy(shared *object) {
    clora_adapter *adapter = (clora_adapter *)object;

    for (int i = 0; i < adapter->chunks; i++)
        clora_tensor_free(adapter->chunk[i]);
    for (int i = 0; adapter->term && i < adapter->projections; i++)
        lowrank_free(adapter->term[i]);
    json_decref(adapter->config);
    free((void *)(uintptr_t)adapter->options.target_modules);
    free((void *)(uintptr_t)adapter->options.rank_pattern);
    free((void *)(uintptr_t)adapter->options.alpha_pattern);
    free(adapter->projection);
    free(adapter->term);
    free(adapter->slot);
    free(adapter->chunk);
    free(adapter->target);
    free(adapter->choice);
    shared_let_go(adapter->base);
    free(adapter);
}

/* The options as the settings say them: targets expanded and sorted. */
static clora_status read_options(clora_adapter *adapter, clora_init init, uint64_t seed) {
    const json_t *config = adapter->config;

    adapter->options = (clora_adapter_options){
        .rank = (int)json_integer_value(json_object_get(config, "r")),
        .alpha = (float)json_number_value(json_object_get(config, "lora_alpha")),
        .rslora = json_is_true(json_object_get(config, "use_rslora")),
        .dropout = (float)json_number_value(json_object_get(config, "lora_dropout")),
        .target_modules = target_modules_text(json_object_get(config, "target_modules")),
        .rank_pattern = target_pattern_text(json_object_get(config, "rank_pattern")),
        .alpha_pattern = target_pattern_text(json_object_get(config, "alpha_pattern")),
        .init = init,
        .seed = seed,
    };
    if (!adapter->options.target_modules || !adapter->options.rank_pattern || !adapter->options.alpha_pattern)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings");
    return CLORA_OK;
}

/* One term for each projection that has an adapted module. */
static clora_status create_terms(clora_adapter *adapter) {
    const target_choice *choice = adapter->choice;
    const target_module *target = adapter->target;
    clora_status status = CLORA_OK;

    for (int s = 0; s < adapter->projections; s++) {
        const int modules = adapter->projection[s].weight->modules;
        float scale[WEIGHT_MODULES] = {0};
        int R[WEIGHT_MODULES] = {0}, any = 0;
        for (int m = 0; m < modules; m++, choice++, target++) {
            R[m] = choice->R;
            scale[m] = choice->scale;
            any |= R[m] > 0;
            adapter->modules += R[m] > 0;
            adapter->parameters += (int64_t)R[m] * ((int64_t)target->N + target->K);
        }
        if (any)
            TRY(lowrank_create(&adapter->term[s], adapter->projection[s].weight, R, scale));
    }
done:
    return status;
}

/* Give each term its place; a chunk ends where the device's largest allocation would be passed. */
static clora_status create_chunks(clora_adapter *adapter) {
    const size_t largest = adapter->context->info.max_allocation / sizeof(float);
    const size_t limit = largest < INT32_MAX ? largest : INT32_MAX;
    clora_status status = CLORA_OK;
    size_t used = 0;

    for (int s = 0; s < adapter->projections; s++) {
        const lowrank *term = adapter->term[s];
        if (!term)
            continue;
        const size_t n = term->a_count + term->b_count;
        if (n > limit)
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                           "the adapter of %s takes %zu bytes, more than one buffer may have on this device; lower the "
                           "rank",
                           adapter->projection[s].names[0], n * sizeof(float)));
        if (used > 0 && used + n > limit) {
            TRY(tensor_new(&adapter->chunk[adapter->chunks], adapter->context, CLORA_DTYPE_F32, 1, (int)used));
            adapter->chunks++;
            used = 0;
        }
        adapter->slot[s] = (adapter_slot){adapter->chunks, used, used + term->a_count};
        used += n;
    }
    TRY(tensor_new(&adapter->chunk[adapter->chunks], adapter->context, CLORA_DTYPE_F32, 1, (int)used));
    adapter->chunks++;
    for (int s = 0; s < adapter->projections; s++)
        if (adapter->term[s]) {
            adapter->term[s]->a = adapter_view_a(adapter, adapter->chunk, s);
            adapter->term[s]->b = adapter_view_b(adapter, adapter->chunk, s);
        }
done:
    return status;
}

clora_tensor adapter_view_a(const clora_adapter *adapter, clora_tensor *const *chunks, int p) {
    const adapter_slot *slot = &adapter->slot[p];

    return tensor_slice(chunks[slot->chunk], slot->a, 1, (int)adapter->term[p]->a_count);
}

clora_tensor adapter_view_b(const clora_adapter *adapter, clora_tensor *const *chunks, int p) {
    const adapter_slot *slot = &adapter->slot[p];

    return tensor_slice(chunks[slot->chunk], slot->b, 1, (int)adapter->term[p]->b_count);
}

/* The name that stands for a term of several modules. */
static const char *first_adapted(const clora_adapter *adapter, int p) {
    int m = 0;

    while (adapter->term[p]->module[m].R == 0)
        m++;
    return adapter->projection[p].names[m];
}

clora_status adapter_list_parameters(parameters *out, const clora_adapter *adapter, parameter_group a,
                                     parameter_group b) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < adapter->chunks; i++)
        TRY(parameters_add_buffer(out, adapter->chunk[i]));
    for (int s = 0; s < adapter->projections; s++) {
        const lowrank *term = adapter->term[s];
        const adapter_slot *slot = &adapter->slot[s];
        if (!term)
            continue;
        const char *name = first_adapted(adapter, s);
        TRY(parameters_add(out, (parameter){alloc_format("%s.lora_A", name), slot->chunk, slot->a, term->a_count, a}));
        TRY(parameters_add(out, (parameter){alloc_format("%s.lora_B", name), slot->chunk, slot->b, term->b_count, b}));
    }
done:
    return status;
}

/* One factor of one projection, from the host's rows to the device's panels. first: the projection's first target. */
static clora_status upload(clora_adapter *adapter, int p, int first, bool is_b, peft_source source, void *user) {
    const lowrank *term = adapter->term[p];
    const adapter_slot *slot = &adapter->slot[p];
    const size_t count = is_b ? term->b_count : term->a_count;
    float *panels = alloc_array(count, sizeof(*panels)), *values = NULL;
    clora_status status = CLORA_OK;

    if (!panels)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", adapter->projection[p].names[0]));
    for (int m = 0; m < term->modules; m++) {
        const target_module *target = &adapter->target[first + m];
        if (term->module[m].R == 0)
            continue;
        free(values);
        values = alloc_array((size_t)(is_b ? target->N : target->K), (size_t)term->module[m].R * sizeof(*values));
        if (!values)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", target->name));
        TRY(source(user, values, first + m, is_b));
        if (is_b)
            lowrank_pack_b(term, m, panels, values);
        else
            lowrank_pack_a(term, m, panels, values);
    }
    TRY(tensor_write_part(adapter->chunk[slot->chunk], is_b ? slot->b : slot->a, count, panels));
done:
    free(panels);
    free(values);
    return status;
}

/* From checked settings and choices to factors on the device. */
static clora_status build(clora_adapter *adapter, peft_source source, void *user) {
    clora_status status = CLORA_OK;
    int first = 0;

    TRY(create_terms(adapter));
    TRY(create_chunks(adapter));
    for (int s = 0; s < adapter->projections; s++) {
        if (adapter->term[s]) {
            TRY(upload(adapter, s, first, false, source, user));
            TRY(upload(adapter, s, first, true, source, user));
        }
        first += adapter->projection[s].weight->modules;
    }
done:
    return status;
}

/* A fresh factor: a value depends on the seed, the module and its place alone, not on what else is adapted. */
static clora_status make_fresh(void *user, float *out, int module, bool is_b) {
    const clora_adapter *adapter = user;
    const int K = adapter->target[module].K, R = adapter->choice[module].R;
    const size_t n = (size_t)R * (size_t)(is_b ? adapter->target[module].N : K);
    const uint64_t seed = adapter->options.seed;
    const uint32_t stream = STREAM + (uint32_t)module;
    const float spread = 1.0f / sqrtf((float)K), peft = 1.0f / (float)R;

    for (size_t i = 0; i < n; i++) {
        if (is_b)
            out[i] = 0.0f;
        else if (adapter->options.init == CLORA_INIT_KAIMING)
            out[i] = (2.0f * rng_uniform(seed, stream, i) - 1.0f) * spread;
        else
            out[i] = rng_normal(seed, stream, i) * (adapter->options.init == CLORA_INIT_GAUSSIAN ? spread : peft);
    }
    return CLORA_OK;
}

clora_status adapter_create(clora_adapter **out, clora_context *context, const projection *projections, int count,
                            const clora_adapter_options *options) {
    clora_status status = CLORA_OK;
    clora_adapter *adapter = NULL;

    *out = NULL;
    TRY(allocate(&adapter, context, projections, count));
    TRY(peft_config_create(&adapter->config, options, adapter->target, adapter->targets));
    TRY(target_resolve(adapter->choice, adapter->config, adapter->target, adapter->targets, true));
    TRY(read_options(adapter, options->init, options->seed));
    TRY(build(adapter, make_fresh, adapter));
    *out = adapter;
    adapter = NULL;
done:
    clora_adapter_free(adapter);
    return status;
}

static clora_status read_file(void *user, float *out, int module, bool is_b) {
    const peft_adapter *file = user;

    return peft_read(out, file, is_b ? file->b[module] : file->a[module]);
}

clora_status adapter_load(clora_adapter **out, clora_context *context, const projection *projections, int count,
                          const char *directory) {
    clora_status status = CLORA_OK;
    clora_adapter *adapter = NULL;
    peft_adapter file = {.count = 0};

    *out = NULL;
    TRY(allocate(&adapter, context, projections, count));
    TRY(peft_open(&file, directory, adapter->target, adapter->targets));
    memcpy(adapter->choice, file.choice, (size_t)adapter->targets * sizeof(*file.choice));
    adapter->config = json_incref(file.config);
    TRY(read_options(adapter, CLORA_INIT_GAUSSIAN, 0));
    TRY(build(adapter, read_file, &file));
    *out = adapter;
    adapter = NULL;
done:
    peft_close(&file);
    clora_adapter_free(adapter);
    return status;
}

/* One factor of one target, from the device's panels to the host's rows. Waits. */
static clora_status download(void *user, float *out, int module, bool is_b) {
    const clora_adapter *adapter = user;
    clora_status status = CLORA_OK;
    float *panels = NULL;
    int p = 0, m = module;

    while (m >= adapter->projection[p].weight->modules)
        m -= adapter->projection[p++].weight->modules;
    const lowrank *term = adapter->term[p];
    const clora_tensor view = is_b ? term->b : term->a;
    panels = alloc_array((size_t)tensor_cols(&view), sizeof(*panels));
    if (!panels)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", adapter->target[module].name));
    TRY(clora_tensor_read(&view, panels));
    if (is_b)
        lowrank_unpack_b(term, m, out, panels);
    else
        lowrank_unpack_a(term, m, out, panels);
done:
    free(panels);
    return status;
}

clora_status clora_adapter_save_with(clora_adapter *adapter, const char *directory,
                                     const clora_adapter_save_options *options) {
    clora_adapter_save_options all = CLORA_ADAPTER_SAVE_OPTIONS_INIT;

    NEED(adapter);
    NEED(directory);
    if (options) /* a program built with an older header knows fewer of them */
        memcpy(&all, options, options->size < sizeof(all) ? options->size : sizeof(all));
    return peft_write(directory, all.overwrite != 0, adapter->config, all.base_name, adapter->target, adapter->choice,
                      adapter->targets, download, adapter);
}

clora_status clora_adapter_save(clora_adapter *adapter, const char *directory, const char *base_name) {
    const clora_adapter_save_options options = {.size = sizeof(options), .base_name = base_name};

    NEED(adapter);
    NEED(directory);
    return clora_adapter_save_with(adapter, directory, &options);
}

clora_adapter_info clora_adapter_get_info(const clora_adapter *adapter) {
    if (!adapter)
        return (clora_adapter_info){.rank = 0};
    const clora_adapter_options *o = &adapter->options;
    return (clora_adapter_info){.rank = o->rank,
                                .alpha = o->alpha,
                                .dropout = o->dropout,
                                .rslora = o->rslora,
                                .modules = adapter->modules,
                                .parameters = adapter->parameters,
                                .target_modules = o->target_modules};
}

clora_status clora_adapter_set_dropout(clora_adapter *adapter, float dropout) {
    NEED(adapter);
    const clora_status status = peft_config_set_dropout(adapter->config, dropout);

    if (status == CLORA_OK)
        adapter->options.dropout = dropout;
    return status;
}

clora_status clora_adapter_module(clora_adapter *adapter, int i, const char **name, int *R, int *K, int *N,
                                  float *scale, float *a, float *b) {
    clora_status status = CLORA_OK;
    int at = 0;

    NEED(adapter);
    if (i < 0 || i >= adapter->modules)
        return clora_fail(CLORA_ERROR_ARGUMENT, "module %d of an adapter that has %d", i, adapter->modules);
    while (adapter->choice[at].R == 0 || i-- > 0)
        at++;
    const target_module *target = &adapter->target[at];
    if (name)
        *name = target->name;
    if (R)
        *R = adapter->choice[at].R;
    if (K)
        *K = target->K;
    if (N)
        *N = target->N;
    if (scale)
        *scale = adapter->choice[at].scale;
    if (a)
        TRY(download(adapter, a, at, false));
    if (b)
        TRY(download(adapter, b, at, true));
done:
    return status;
}
