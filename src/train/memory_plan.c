#include <stdlib.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "model/family.h"
#include "ops/lowrank.h"
#include "train/optimizer.h"

/* Scalars of a full set of factors at one rank for a weight of these modules, padding included. */
static size_t factor_elements(const clora_context *context, int rank, int modules, const int *N, int K) {
    const size_t width = (size_t)kernel_panel_width(context), R = (size_t)rank;
    size_t sum = (size_t)modules * R * round_up((size_t)K, width);

    for (int i = 0; i < modules; i++)
        sum += R * round_up((size_t)N[i], width);
    return sum;
}

/* Of a weight that is widened, or merged with its term. */
static size_t plan_scratch(clora_context *context, clora_storage type, int rank, int modules, const int *N, int K) {
    const size_t widened = weight_scratch_bytes(context, type, K, modules, N);
    weight w;

    if (weight_describe(&w, context, type, K, modules, N) != CLORA_OK)
        return 0;
    const size_t merged = lowrank_scratch_elements(&w, modules * rank) * sizeof(float);
    return merged > widened ? merged : widened;
}

enum { SCALAR_BYTES = 4 * sizeof(float) /* a value, its gradient and AdamW's moments */ };

static void plan_layers(clora_memory_plan *out, clora_model *shape, storage_choice choice, int rank) {
    const model_config *c = &shape->config;
    const size_t layers = (size_t)c->layers;

    for (int k = 0; k < c->family->projections; k++) {
        int N[WEIGHT_MODULES], K, rows = 0;
        const int modules = model_projection_shape(c, k, N, &K);
        const clora_storage type = storage_choose(choice, K);
        for (int i = 0; i < modules; i++)
            rows += N[i];
        const int biases = model_projection_bias(c, k) ? rows : 0;
        const size_t scratch = plan_scratch(shape->context, type, rank, modules, N, K);
        out->scratch = scratch > out->scratch ? scratch : out->scratch;
        out->weights += layers * (weight_bytes(shape->context, type, K, modules, N) + (size_t)biases * sizeof(float));
        out->adapter += layers * SCALAR_BYTES * factor_elements(shape->context, rank, modules, N, K);
        shape->info.parameters += c->layers * ((int64_t)rows * K + biases);
    }
}

static void plan_rest(clora_memory_plan *out, clora_model *shape, storage_choice choice) {
    const model_config *c = &shape->config;
    const clora_storage type = storage_choose(choice, c->hidden);
    const int tables = c->tied ? 1 : 2;
    const size_t norms = (size_t)(c->family->norms * c->layers + 1) * (size_t)c->hidden;

    const size_t scratch = weight_scratch_bytes(shape->context, type, c->hidden, 1, &c->vocab);

    out->scratch = scratch > out->scratch ? scratch : out->scratch;
    out->weights +=
        (size_t)tables * weight_bytes(shape->context, type, c->hidden, 1, &c->vocab) + norms * sizeof(float);
    shape->info.parameters += (int64_t)tables * c->vocab * c->hidden + (int64_t)norms;
}

/* The type of all matrices, or "mixed". */
static const char *storage_name(const model_config *c, storage_choice choice) {
    const clora_storage type = storage_choose(choice, c->hidden);

    for (int k = 0; k < c->family->projections; k++) {
        int N[WEIGHT_MODULES], K;
        (void)model_projection_shape(c, k, N, &K);
        if (storage_choose(choice, K) != type)
            return "mixed";
    }
    return clora_storage_name(type);
}

/* Columns of u at each projection for an adapter of one rank on all linear layers. */
static clora_status plan_activations(clora_memory_plan *out, const clora_model *shape, int rank, int batch,
                                     int length) {
    const int each = shape->config.family->projections, all = shape->config.layers * each;
    clora_status status = CLORA_OK;
    workspace *ws = NULL;
    int *ranks = alloc_array((size_t)all + 1, sizeof(*ranks));

    if (!ranks)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a plan");
    for (int i = 0; i < all; i++) {
        int N[WEIGHT_MODULES], K;
        ranks[i] = rank * model_projection_shape(&shape->config, i % each, N, &K);
    }
    TRY(workspace_plan(&ws, shape,
                       &(workspace_options){
                           .B = batch, .T = length, .positions = length, .train = true, .loss = true, .ranks = ranks}));
    out->activations = workspace_bytes(ws);
done:
    workspace_free(ws);
    free(ranks);
    return status;
}

clora_status clora_model_plan(clora_memory_plan *out, clora_model_info *info, clora_context *context,
                              const char *directory, const clora_model_options *options, int rank, int batch,
                              int length) {
    clora_model shape = {.context = context}; /* a plan needs the configuration, not the weights */
    storage_choice choice;
    clora_status status = CLORA_OK;

    NEED(out);
    *out = (clora_memory_plan){0};
    NEED(context);
    NEED(directory);
    if (rank < 1 || batch < 1 || length < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "rank %d, batch %d, length %d: all start at 1", rank, batch, length);
    TRY(model_describe(&shape.config, &choice, directory, options));
    plan_layers(out, &shape, choice, rank);
    plan_rest(out, &shape, choice);
    TRY(plan_activations(out, &shape, rank, batch, length));
    out->total = out->weights + out->adapter + out->activations + out->scratch;
    if (info) {
        model_info_fill(info, &shape.config);
        info->dtype = storage_name(&shape.config, choice);
        info->parameters = shape.info.parameters;
        info->device_bytes = out->weights;
    }
done:
    return status;
}
