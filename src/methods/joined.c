#include <stdlib.h>

#include "base/alloc.h"
#include "methods/dora.h"
#include "methods/method.h"

/* Several adapters as one: each attach point is that of the part which has it. */
typedef struct joined {
    clora_adapter adapter;
    size_t count;
    clora_adapter **part; /* held */
} joined;

static joined *of(const clora_adapter *adapter) {
    return (joined *)(uintptr_t)adapter;
}

static clora_status refuse_two(const clora_adapter *a, const clora_adapter *b, const char *where) {
    return clora_fail(CLORA_ERROR_ARGUMENT, "two adapters, of methods %s and %s, on %s: only one may be there",
                      a->method->name, b->method->name, where);
}

static clora_status attach_past(joined *j, const clora_adapter *part) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < j->count; i++) {
        if (part->prefix && j->part[i]->prefix)
            TRY(refuse_two(j->part[i], part, "the keys and values before a sequence"));
        if (part->prompt && j->part[i]->prompt)
            TRY(refuse_two(j->part[i], part, "the rows before a sequence"));
    }
    j->adapter.prefix = part->prefix ? part->prefix : j->adapter.prefix;
    j->adapter.prompt = part->prompt ? part->prompt : j->adapter.prompt;
done:
    return status;
}

/* The attach points of one more part. */
static clora_status attach(joined *j, const clora_adapter *part) {
    clora_status status = CLORA_OK;

    if (part->term) {
        for (size_t i = 0; i < j->count; i++)
            if (j->part[i]->term)
                TRY(refuse_two(j->part[i], part, "linear layers"));
        j->adapter.term = part->term;
        j->adapter.dropout = part->dropout;
    }
    if (part->sublayer) {
        for (size_t i = 0; i < j->count; i++)
            if (j->part[i]->sublayer)
                TRY(refuse_two(j->part[i], part, "sublayers"));
        j->adapter.sublayer = part->sublayer;
    }
    if (part->changes_model) {
        for (size_t i = 0; i < j->count; i++)
            if (j->part[i]->changes_model)
                TRY(refuse_two(j->part[i], part, "the model's own weights"));
        j->adapter.changes_model = true;
        j->adapter.trains_weights = part->trains_weights;
    }
    for (size_t i = 0; i < j->count; i++)
        if (part->saved ? j->part[i]->changes_model : part->changes_model && j->part[i]->saved)
            TRY(refuse_two(j->part[i], part, "the model's own weights"));
    for (size_t i = 0; i < j->count; i++) /* an id of a prompt's row has no row of the embedding */
        if (part->prompt ? j->part[i]->embedding != NULL : part->embedding && j->part[i]->prompt)
            TRY(refuse_two(j->part[i], part, "the rows of the embedding"));
    if (part->term) { /* LoRA, of which there is one */
        j->adapter.origin = part->origin;
        j->adapter.embedding = part->embedding;
        j->adapter.saved = part->saved;
    }
    if (part->classifier) {
        for (size_t i = 0; i < j->count; i++)
            if (j->part[i]->classifier)
                TRY(refuse_two(j->part[i], part, "the head of labels"));
        j->adapter.classifier = part->classifier;
        j->adapter.info.labels = part->info.labels;
    }
    TRY(attach_past(j, part));
    j->adapter.info.parameters += part->info.parameters;
done:
    return status;
}

/* DoRA's norms are those of a frozen weight. */
static clora_status check_frozen(const joined *j) {
    for (int p = 0; j->adapter.trains_weights && p < j->adapter.base.projections; p++)
        if (dora_is(adapter_term(&j->adapter, p)))
            return clora_fail(CLORA_ERROR_UNSUPPORTED,
                              "an adapter with DoRA scales weights that train themselves: join plain LoRA");
    return CLORA_OK;
}

clora_status clora_adapter_join(clora_adapter **out, clora_adapter *const *parts, size_t count) {
    clora_status status = CLORA_OK;
    joined *j = NULL;

    NEED(out);
    *out = NULL;
    NEED(parts);
    if (count < 1)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "no adapters to join"));
    for (size_t i = 0; i < count; i++)
        NEED(parts[i]);
    j = calloc(1, sizeof(*j));
    if (!j)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter"));
    adapter_init(&j->adapter, &parts[0]->base, &method_joined);
    j->part = alloc_array(count, sizeof(clora_adapter *));
    if (!j->part)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu adapters", count));
    for (size_t i = 0; i < count; i++) {
        if (parts[i]->base.model != j->adapter.base.model)
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "the adapters to join were made for different models"));
        TRY(attach(j, parts[i]));
        shared_hold(&parts[i]->shared);
        j->part[j->count++] = parts[i];
    }
    TRY(check_frozen(j));
    *out = &j->adapter;
    j = NULL;
done:
    if (j)
        clora_adapter_free(&j->adapter);
    return clora_keep_cause(status);
}

static clora_status list_parameters(parameters *out, const clora_adapter *adapter, const clora_train_options *options) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < of(adapter)->count; i++)
        TRY(of(adapter)->part[i]->method->list_parameters(out, of(adapter)->part[i], options));
done:
    return status;
}

static clora_status derive(const clora_adapter *adapter) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < of(adapter)->count; i++)
        TRY(method_derive(of(adapter)->part[i]));
done:
    return status;
}

static clora_status save(const clora_adapter *adapter, const char *directory,
                         const clora_adapter_save_options *options) {
    (void)adapter;
    (void)options;
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: joined adapters have no files; save each of them", directory);
}

static void destroy(clora_adapter *adapter) {
    joined *j = of(adapter);

    for (size_t i = 0; i < j->count; i++)
        clora_adapter_free(j->part[i]);
    free(j->part);
    free(j);
}

const method method_joined = {
    .name = "joined",
    .save = save,
    .list_parameters = list_parameters,
    .derive = derive,
    .destroy = destroy,
};
