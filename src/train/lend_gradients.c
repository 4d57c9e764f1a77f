#include <stdlib.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "train/trainer.h"

/*
 * Where gradients of the model's own weights lie, so that they take little memory besides. Both give the same bits as
 * gradients with memory of their own:
 *
 * - Those of a layer lie in what the layers above it kept for the backward pass, which is over there. They stay until
 *   the update, which waits for the norm of all.
 * - Without clipping an update waits for nothing: all layers' gradients have one place, and each is used up as soon as
 *   it is made, when its weight has done its part in the pass.
 *
 * Where gradients of several micro-batches add up, each needs memory of its own.
 */

/* The layer that a stored weight belongs to; -1: none, as the embedding, the head and all that is no weight. */
static int layer_of(const clora_model *m, const clora_tensor *stored) {
    const int each = m->config.family->projections;

    for (int p = 0; p < m->config.layers * each; p++) {
        const weight *w = m->projection[p].weight;
        for (int i = 0; i < w->parts; i++) {
            const clora_tensor *data = w->part[i].data;
            if (data->buffer == stored->buffer && data->offset <= stored->offset &&
                stored->offset < data->offset + clora_tensor_count(data))
                return p / each;
        }
    }
    return -1;
}

/* The first of the spare places that has room. */
static clora_tensor lend_spare(void *user, const clora_tensor *stored, int n) {
    clora_trainer *t = user;
    const int layer = layer_of(t->model, stored);
    const size_t align = t->model->context->address_align / sizeof(float);

    for (int i = 0; layer >= 0 && i < WORKSPACE_SPARES; i++) {
        const clora_tensor spare = workspace_spare(t->ws, layer, i);
        size_t *used = &t->lent[layer * WORKSPACE_SPARES + i];
        const size_t first = round_up(*used, align);
        if (!spare.buffer || first + (size_t)n > clora_tensor_count(&spare))
            continue;
        *used = first + (size_t)n;
        return tensor_slice(&spare, first, 1, n);
    }
    return (clora_tensor){0};
}

static clora_tensor lend_passing(void *user, const clora_tensor *stored, int n) {
    clora_trainer *t = user;

    return layer_of(t->model, stored) < 0 ? (clora_tensor){0} : tensor_slice(t->passing, 0, 1, n);
}

static clora_status use(void *user, int buffer) {
    clora_trainer *t = user;

    return optimizer_update_buffer(t->optimizer, buffer, &t->options, t->lr, t->step + 1);
}

/* Values of the largest module of a layer in one part. */
static int most_values(const clora_model *m) {
    size_t most = 1;

    for (int p = 0; p < m->config.layers * m->config.family->projections; p++) {
        const weight *w = m->projection[p].weight;
        for (int i = 0; i < w->modules * w->parts; i++) {
            const size_t n = weight_span_values(w, weight_module_span(w, i / w->parts, i % w->parts));
            most = n > most ? n : most;
        }
    }
    return (int)most;
}

clora_status trainer_lend_gradients(clora_trainer *t) {
    const clora_train_options *o = &t->options;
    clora_status status = CLORA_OK;

    if (!t->adapter->changes_model || o->accumulate > 1)
        return CLORA_OK;
    t->lender = (gradient_lender){.user = t, .lend = lend_spare};
    if (o->clip == 0.0f && o->preference == CLORA_PREFERENCE_NONE) {
        TRY(tensor_new(&t->passing, t->model->context, CLORA_DTYPE_F32, 1, most_values(t->model)));
        t->lender.lend = lend_passing;
        t->lender.use = use;
    } else {
        t->lent = alloc_array((size_t)t->model->config.layers * WORKSPACE_SPARES, sizeof(*t->lent));
        if (!t->lent)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a trainer"));
    }
    t->parameters.lender = &t->lender;
done:
    return status;
}

clora_status trainer_begin_use(clora_trainer *t, const clora_batch *batch) {
    clora_status status = CLORA_OK;
    double nll;

    if (!t->lender.use)
        return CLORA_OK;
    TRY(batch_results(t->ws, t->staging, &nll, NULL));
    TRY(batch_check_loss((float)(nll / (double)batch->learnt), t->step + 1));
    TRY(optimizer_begin(t->optimizer, 1.0f / (float)(int)batch->learnt));
done:
    return status;
}
