#ifndef CLORA_MODEL_OWN_GRADIENTS_H
#define CLORA_MODEL_OWN_GRADIENTS_H

#include "methods/selection.h"
#include "ops/weight.h"

/* Views of the gradients of a model's own tensors, without a buffer where they do not train (parameters_gradient). */

static inline clora_tensor weight_gradient(const parameters *p, const weight *w, int module, int part) {
    const weight_span span = weight_module_span(w, module, part);
    const clora_tensor stored = p && span.count > 0 ? weight_span_view(w, span) : (clora_tensor){0};

    return stored.buffer ? parameters_gradient(p, &stored) : stored;
}

static inline clora_tensor bias_gradient(const parameters *p, const weight *w, int module) {
    const weight_module *m = &w->module[module];
    const clora_tensor bias = p && w->bias ? tensor_slice(w->bias, (size_t)m->col, 1, m->N) : (clora_tensor){0};

    return bias.buffer ? parameters_gradient(p, &bias) : bias;
}

/* Any module of it? */
static inline bool weight_trains(const parameters *p, const weight *w) {
    for (int i = 0; p && i < w->modules * w->parts; i++)
        if (weight_gradient(p, w, i / w->parts, i % w->parts).buffer)
            return true;
    return false;
}

static inline bool bias_trains(const parameters *p, const weight *w) {
    for (int i = 0; p && i < w->modules; i++)
        if (bias_gradient(p, w, i).buffer)
            return true;
    return false;
}

#endif
