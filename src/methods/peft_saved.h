#ifndef CLORA_METHODS_PEFT_SAVED_H
#define CLORA_METHODS_PEFT_SAVED_H

#include "base/json.h"
#include "base/status.h"

/*
 * modules_to_save: modules of which an adapter has whole copies beside its factors, by PEFT's rule. An entry matches a
 * module whose name ends with it, also within a word. clora has copies of the embedding, the head and normalisations.
 */

/* A tensor of the base: a weight (N, K), or a vector of K, whose N is 0. */
typedef struct base_tensor {
    const char *name; /* as files have it: "model.norm.weight" */
    int N, K;
} base_tensor;

/*
 * out (count): which tensors are those of saved modules. A module that clora has no copies of is
 * CLORA_ERROR_UNSUPPORTED; strict: an entry that matches none is CLORA_ERROR_NOT_FOUND.
 */
clora_status peft_saved_choose(bool *out, const json_t *config, const base_tensor *tensors, int count, bool strict);

/* Whether a module is saved whole, or lies in one that is: no factors are on it. */
bool peft_saved_has(const json_t *config, const char *module);

#endif
