#ifndef CLORA_METHODS_PEFT_H
#define CLORA_METHODS_PEFT_H

#include <clora/adapter.h>

#include "files/safetensors.h"
#include "methods/peft_parts.h"
#include "methods/peft_saved.h"
#include "methods/target.h"

/* A PEFT directory on the host, open for reading: for the i-th of the modules it was opened with, what it
 * does there. */
typedef struct peft_adapter {
    json_t *config; /* peft_config */
    safetensors *file;
    int count; /* modules, adapted or not */
    target_choice *choice;
    const stored_tensor **part[PEFT_PARTS]; /* those that it has, an embedding's transposed; NULL where the rank is 0 */
    int embedding;                          /* which of the modules it is, or -1 */
    const stored_tensor *score;             /* (labels, hidden) of a head that classifies; NULL: there is none */
    int tensors;                            /* of the base, saved whole or not */
    const stored_tensor **saved;            /* their copies; NULL where there is none */
    const stored_tensor **own; /* the base's own tables, which PEFT saves with factors on them: to be found equal */
} peft_adapter;

/* The base's linear layers and embedding, and its tensors that may be saved whole. */
typedef struct peft_base {
    const target_module *module;
    int modules;
    const base_tensor *tensor;
    int tensors;
} peft_base;

/*
 * Check adapter_config.json and the header of adapter_model.safetensors against the base: every adapted module has its
 * parts, in shape, saved modules have their tensors, and no tensor is left over.
 */
clora_status peft_open(peft_adapter *out, const char *directory, const peft_base *base);
void peft_close(peft_adapter *adapter);

/* The file of the factors, or what the directory holds in its place. */
clora_status peft_open_tensors(safetensors **out, const char *directory);

/* score.weight of a file with these settings, or NULL where they speak of none. Its rows are the labels. */
clora_status peft_find_score(const stored_tensor **out, const safetensors *file, const json_t *config);

/* A tensor as floats, and a factor; a value that is not finite is an error that names it. */
clora_status peft_read_tensor(float *out, const safetensors *file, const stored_tensor *tensor);
clora_status peft_read(float *out, const peft_adapter *adapter, const stored_tensor *factor);

/* A part of an adapted module. An embedding's factors are what PEFT calls lora_embedding_B^T and _A^T: its W0
 * (N, K) changes by s B A as any other does. */
clora_status peft_read_part(float *out, const peft_adapter *adapter, int module, peft_part part);

/* A table of `own` that is not the base's. */
clora_status peft_refuse_own(const peft_adapter *adapter, const stored_tensor *table);

/* What the head of labels is called, as a tensor of the base. */
#define PEFT_SCORE "score.weight"

/* Gives a part of module i as floats; the i-th whole tensor in the place of module -1 - i. */
typedef clora_status (*peft_source)(void *user, float *out, int module, peft_part part);

/* What is written: the settings, the parts of every module whose rank is not 0, and tensors as a whole. */
typedef struct peft_contents {
    const json_t *config;
    const target_module *module;
    const target_choice *choice;
    int modules;
    const base_tensor *whole;
    int wholes;
    peft_source source;
    void *user;
} peft_contents;

/* An error in a model's directory, and in another adapter's unless it may overwrite. */
clora_status peft_check_place(const char *directory, bool overwrite);

/* Write a PEFT directory, made when it is not there. The settings come last. */
clora_status peft_write(const char *directory, const peft_contents *contents,
                        const clora_adapter_save_options *options);

#endif
