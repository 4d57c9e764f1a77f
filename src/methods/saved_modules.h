#ifndef CLORA_METHODS_SAVED_MODULES_H
#define CLORA_METHODS_SAVED_MODULES_H

#include "base/json.h"
#include "methods/base_model.h"
#include "methods/peft_saved.h"
#include "train/parameters.h"

/*
 * Whole copies of some of the model's own tensors, PEFT's modules_to_save, which passes read in the place of the
 * model's. They are f32 whatever the model's type is, and train in place.
 */
typedef struct saved_module {
    base_tensor tensor;
    clora_tensor of;     /* of a gain: the model's, a view (1, C) */
    weight *weight;      /* of a table: the copy, of one module; owned */
    clora_tensor *parts; /* views of its values */
    clora_tensor gain;   /* of a gain: the copy, a view (1, C) */
} saved_module;

typedef struct saved_modules {
    int count;
    saved_module *module;
    const weight *embedding, *head; /* copies among them, or NULL */
    clora_tensor *gains;            /* f32 (1, n): where all gains lie */
    int64_t parameters;
} saved_modules;

/* The tensors of a base that may be saved: its own, and a tied head as one. The caller frees; NULL without memory. */
base_tensor *saved_modules_list(int *count, const base_model *base);

/* The copies that the settings name, without values; *out NULL: none. strict as in peft_saved_choose. */
clora_status saved_modules_create(saved_modules **out, const base_model *base, const json_t *config, bool strict);
void saved_modules_free(saved_modules *s);

/* They begin as the model's own tensors are. Waits. */
clora_status saved_modules_begin(saved_modules *s, const base_model *base);

/* The i-th copy, (N, K) rows or K values, from the host and to it. Waits. */
clora_status saved_modules_write(saved_modules *s, int i, const float *values);
clora_status saved_modules_read(float *values, const saved_modules *s, int i);

/* What trains: tables in one group, gains in another. */
clora_status saved_modules_parameters(parameters *out, const saved_modules *s, parameter_group tables,
                                      parameter_group gains);

/* Are these (V, C) the values of the base's table of this name, as it stores them? Waits. */
clora_status saved_modules_compare(bool *same, const base_model *base, const char *name, const float *values);

/* Device memory: all of it, and what does not train. */
size_t saved_modules_bytes(const saved_modules *s);
size_t saved_modules_fixed_bytes(const saved_modules *s);

/* The copy of a gain of the model, or NULL; s may be NULL. */
const clora_tensor *saved_modules_gain(const saved_modules *s, const clora_tensor *of);

#endif
