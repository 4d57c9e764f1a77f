#ifndef CLORA_METHODS_FULL_H
#define CLORA_METHODS_FULL_H

#include <clora/full.h>

#include "base/outdir.h"
#include "methods/method.h"

/* One buffer of the list of parameters: a vector, or a module's part of a weight. */
typedef struct full_value {
    const own_tensor *tensor;
    weight_span span;     /* of a weight */
    clora_tensor stored;  /* what the model's passes read: a view */
    clora_tensor *master; /* f32, of a weight in 16 bits; else NULL */
    clora_tensor value;   /* f32 (1, n), what is updated: a view of one of these, or of the scratch */
} full_value;

/* A model's own tensors as what trains. There is no attach point: passes ask parameters_gradient() what trains. */
typedef struct full {
    clora_adapter adapter;
    full_value *value;
    size_t count, capacity;
    clora_tensor *scratch; /* f32: without masters, values of one weight at a time while it is updated */
} full;

static inline full *full_of(const clora_adapter *adapter) {
    return (full *)(uintptr_t)adapter;
}

clora_status full_create(clora_adapter **out, const base_model *base, const clora_full_options *options);

/* Write the model as a complete Hugging Face directory, or over an earlier state of it. (full_save.c) */
clora_status full_save(const base_model *base, const char *directory, bool overwrite);

/* Its weights' files into a directory, at most so many bytes of tensors in one unless one tensor is larger. */
clora_status full_save_weights(outdir *out, const base_model *base, size_t most);

#endif
