#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/scratch.h"
#include "support/training.h"

clora_train_options fixture_options(const fixture_batch *batch, int recompute) {
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;

    options.steps = 10;
    options.batch_size = batch->B;
    options.shuffle = 0;
    options.lr = 1e-2f;
    options.weight_decay = 0.01f;
    options.clip = 0.0f;
    options.recompute = recompute;
    return options;
}

clora_trainer *fixture_trainer_with(clora_model *model, clora_adapter *adapter, clora_dataset **dataset,
                                    const fixture_batch *batch, const clora_train_options *options) {
    clora_trainer *trainer = NULL;
    const int lengths[4] = {batch->T, batch->T, batch->T, batch->T};

    assert_ok(clora_dataset_from_ids(dataset, batch->ids, batch->labels, lengths, batch->B));
    assert_ok(clora_trainer_create(&trainer, model, adapter, *dataset, options));
    return trainer;
}

clora_trainer *fixture_trainer(clora_model *model, clora_adapter *adapter, clora_dataset **dataset,
                               const fixture_batch *batch, int recompute) {
    const clora_train_options options = fixture_options(batch, recompute);

    return fixture_trainer_with(model, adapter, dataset, batch, &options);
}

/* Magnitudes, or the bias of B, of a projection's modules. */
static void assert_vectors(const lowrank *lr, const char *const *names, const parameters *gradients, float factor,
                           const fixture_tensors *f, const char *prefix, double limit) {
    const bool scaled = lr->magnitude.buffer != NULL;
    const clora_tensor *vector = scaled ? &lr->magnitude : &lr->bias;
    float *values = malloc((size_t)lr->base->N * sizeof(float));

    if (vector->buffer) {
        const clora_tensor t = gradients ? parameters_gradient(gradients, vector) : *vector;
        assert_ok(clora_tensor_read(&t, values));
    }
    for (int m = 0; vector->buffer && m < lr->modules; m++) {
        const size_t n = (size_t)lr->base->module[m].N;
        float *own = values + lr->base->module[m].col;
        char key[256];
        if (lr->module[m].R == 0)
            continue;
        snprintf(key, sizeof(key), "%sbase_model.model.%s%s", prefix, names[m],
                 scaled ? ".lora_magnitude_vector" : ".lora_B.bias");
        for (size_t i = 0; i < n; i++)
            own[i] *= factor;
        const double error = relative_error(own, fixture_tensor(f, key, n), n);
        if (!(error <= limit))
            fail_msg("%s: relative error %g", key, error);
    }
    free(values);
}

void assert_factors(clora_adapter *adapter, const parameters *gradients, float factor, const fixture_tensors *f,
                    const char *prefix, double limit) {
    for (int p = 0; p < adapter->base.projections; p++) {
        const lowrank *lr = adapter->term[p];
        if (!lr)
            continue;
        const clora_tensor a = gradients ? parameters_gradient(gradients, &lr->a) : lr->a;
        const clora_tensor b = gradients ? parameters_gradient(gradients, &lr->b) : lr->b;
        float *pa = malloc(lr->a_count * sizeof(float)), *pb = malloc(lr->b_count * sizeof(float));
        assert_ok(clora_tensor_read(&a, pa));
        assert_ok(clora_tensor_read(&b, pb));
        for (int m = 0; m < lr->modules; m++) {
            const size_t R = (size_t)lr->module[m].R, K = (size_t)lr->base->K, N = (size_t)lr->base->module[m].N;
            if (R == 0)
                continue;
            float *values = malloc((K > N ? K : N) * R * sizeof(float));
            for (int which = 0; which < 2; which++) {
                char key[256];
                const size_t n = R * (which ? N : K);
                snprintf(key, sizeof(key), "%sbase_model.model.%s.lora_%c.weight", prefix,
                         adapter->base.projection[p].names[m], which ? 'B' : 'A');
                if (which)
                    lowrank_unpack_b(lr, m, values, pb);
                else
                    lowrank_unpack_a(lr, m, values, pa);
                for (size_t i = 0; i < n; i++)
                    values[i] *= factor;
                const double error = relative_error(values, fixture_tensor(f, key, n), n);
                if (!(error <= limit))
                    fail_msg("%s: relative error %g", key, error);
            }
            free(values);
        }
        assert_vectors(lr, adapter->base.projection[p].names, gradients, factor, f, prefix, limit);
        free(pa);
        free(pb);
    }
}

size_t weights_snapshot(unsigned char *out, const clora_model *model) {
    size_t used = 0;

    for (int s = 0; s < model->projections; s++)
        for (int m = 0; m < model->projection[s].weight->modules; m++) {
            const weight *w = model->projection[s].weight;
            if (out)
                assert_ok(weight_unpack(w, m, out + used));
            used += (size_t)w->module[m].N * (size_t)w->K * sizeof(float);
        }
    return used;
}
