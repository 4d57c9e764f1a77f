#include "methods/classifier.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "ops/ops.h"

/* The stream of W's random numbers, apart from those of an adapter's factors. */
static const uint32_t STREAM = 0x53000000u;
static const float SPREAD = 0.02f;

clora_status classifier_create(classifier **out, const base_model *base, char **names) {
    const weight *w = base->projection[base->projections - 1].weight; /* the model's head: it reads the same stream */
    const float scale[WEIGHT_MODULES] = {1.0f};
    int R[WEIGHT_MODULES] = {0};
    clora_status status = CLORA_OK;
    classifier *c = calloc(1, sizeof(*c));

    *out = NULL;
    if (!c || !names) {
        label_names_free(names);
        free(c);
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the labels of an adapter");
    }
    c->name = names;
    while (names[c->labels])
        c->labels++;
    if (c->labels < 2 || c->labels > base->vocab)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%d labels; from 2 to %d are possible", c->labels, base->vocab));
    R[0] = c->labels;
    TRY(lowrank_create(&c->head, w, R, scale));
    TRY(tensor_new(&c->values, base->context, CLORA_DTYPE_F32, 1, (int)c->head->a_count));
    c->head->a = tensor_slice(c->values, 0, 1, (int)c->head->a_count);
    *out = c;
    c = NULL;
done:
    classifier_free(c);
    return status;
}

void classifier_free(classifier *c) {
    if (!c)
        return;
    lowrank_free(c->head);
    clora_tensor_free(c->values);
    label_names_free(c->name);
    free(c);
}

clora_status classifier_write(classifier *c, const float *w) {
    float *panels = alloc_array(c->head->a_count, sizeof(*panels));
    clora_status status;

    if (!panels)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for score.weight");
    lowrank_pack_a(c->head, 0, panels, w);
    status = clora_tensor_write(c->values, panels);
    free(panels);
    return status;
}

clora_status classifier_read(float *w, const classifier *c) {
    float *panels = alloc_array(c->head->a_count, sizeof(*panels));
    clora_status status;

    if (!panels)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for score.weight");
    status = clora_tensor_read(c->values, panels);
    if (status == CLORA_OK)
        lowrank_unpack_a(c->head, 0, w, panels);
    free(panels);
    return status;
}

clora_status classifier_begin(classifier *c, uint64_t seed) {
    const size_t n = (size_t)c->labels * (size_t)c->head->base->K;
    float *w = alloc_array(n, sizeof(*w));
    clora_status status;

    if (!w)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for score.weight");
    for (size_t i = 0; i < n; i++)
        w[i] = rng_normal(seed, STREAM, i) * SPREAD;
    status = classifier_write(c, w);
    free(w);
    return status;
}

clora_status classifier_forward(clora_tensor *logits, const clora_tensor *x, const classifier *c) {
    return op_lowrank_down(logits, x, c->head);
}

clora_status classifier_backward(clora_tensor *dx, const clora_tensor *dlogits, const clora_tensor *x,
                                 const classifier *c, const parameters *trains) {
    clora_tensor dw = parameters_gradient(trains, &c->head->a);
    clora_status status = CLORA_OK;

    TRY(op_lowrank_dx(dx, dlogits, c->head, false));
    if (dw.buffer)
        TRY(op_lowrank_grad_a(&dw, dlogits, x, c->head));
done:
    return status;
}
