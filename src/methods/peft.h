#ifndef CLORA_METHODS_PEFT_H
#define CLORA_METHODS_PEFT_H

#include "files/safetensors.h"
#include "methods/target.h"

/* A PEFT directory on the host, open for reading: for the i-th of the modules it was opened with, what it
 * does there. */
typedef struct peft_adapter {
    json_t *config; /* peft_config */
    safetensors *file;
    int count; /* modules, adapted or not */
    target_choice *choice;
    const stored_tensor **a, **b; /* (R, K) and (N, R); NULL where choice[i].R is 0 */
    const stored_tensor *score;   /* (labels, hidden) of a head that classifies; NULL: there is none */
} peft_adapter;

/*
 * Check adapter_config.json and the header of adapter_model.safetensors against the base's modules: every adapted
 * module has both factors, in shape, and no tensor is left over.
 */
clora_status peft_open(peft_adapter *out, const char *directory, const target_module *modules, int count);
void peft_close(peft_adapter *adapter);

/* The file of the factors, or what the directory holds in its place. */
clora_status peft_open_tensors(safetensors **out, const char *directory);

/* score.weight of a file with these settings, or NULL where they speak of none. Its rows are the labels. */
clora_status peft_find_score(const stored_tensor **out, const safetensors *file, const json_t *config);

/* A tensor as floats, and a factor; a value that is not finite is an error that names it. */
clora_status peft_read_tensor(float *out, const safetensors *file, const stored_tensor *tensor);
clora_status peft_read(float *out, const peft_adapter *adapter, const stored_tensor *factor);

enum { PEFT_SCORE = -1 /* in a module's place: score.weight */ };

/* Gives factor A (R, K) or B (N, R) of module i as floats, or score.weight. */
typedef clora_status (*peft_source)(void *user, float *out, int module, bool is_b);

/* An error in a model's directory, and in another adapter's unless it may overwrite. */
clora_status peft_check_place(const char *directory, bool overwrite);

/*
 * Write a PEFT directory, made when it is not there: float32 factors of every module whose rank is not 0, then the
 * settings. An error in a model's directory, and in another adapter's unless it may overwrite. base_name NULL keeps the
 * name in config. score: rows and columns of score.weight; NULL: there is none.
 */
clora_status peft_write(const char *directory, bool overwrite, const json_t *config, const char *base_name,
                        const target_module *modules, const target_choice *choice, int count, const int *score,
                        peft_source source, void *user);

#endif
