#ifndef CLORA_METHODS_PEFT_KEYS_H
#define CLORA_METHODS_PEFT_KEYS_H

#include "files/safetensors.h"

/* The tensors of an adapted module. */
typedef enum peft_part {
    PEFT_NONE,
    PEFT_A,         /* lora_A.weight (R, K) */
    PEFT_B,         /* lora_B.weight (N, R) */
    PEFT_BIAS,      /* lora_B.bias (N) */
    PEFT_MAGNITUDE, /* lora_magnitude_vector (N): DoRA's */
    PEFT_PARTS
} peft_part;

/* Its name on disk after the module's, ".lora_A.weight". */
const char *peft_part_name(peft_part part);

/*
 * Which part a tensor of an adapter is. On disk PEFT names it base_model.model.MODULE.lora_A.weight; files that other
 * programs saved keep the names that the tensors had in memory: with the adapter's own name (lora_A.default.weight),
 * with wrappers of PyTorch (_orig_mod., module.), without the prefix base_model.model., or with all of that. What is no
 * factor may be a copy of a tensor of the base, which is named base_model.model.TENSOR, and in memory
 * MODULE.modules_to_save.default.weight.
 */
typedef struct peft_keys {
    struct peft_key *key; /* sorted by meaning */
    size_t count;
} peft_keys;

/* An error when two tensors mean the same, or belong to different adapters. Borrows from the file. */
clora_status peft_keys_init(peft_keys *out, const safetensors *file);
void peft_keys_finish(peft_keys *keys); /* a zeroed one is allowed */

/* A part of a module, or NULL. */
clora_status peft_keys_find(const stored_tensor **out, const peft_keys *keys, const char *module, peft_part part);

/* MODULE.lora_embedding_A or MODULE.lora_embedding_B, or NULL. */
clora_status peft_keys_find_embedding(const stored_tensor **out, const peft_keys *keys, const char *module, bool is_b);

/* *out: the module that the tensor is factor A of, as its model names it, yours to free; NULL for any other tensor. */
clora_status peft_keys_module(char **out, const stored_tensor *tensor);

/* The copy of a tensor of the base, such as "model.norm.weight", or NULL. */
clora_status peft_keys_find_copy(const stored_tensor **out, const peft_keys *keys, const char *name);

/* Factors A among the keys: that many modules are adapted. */
int peft_keys_modules(const peft_keys *keys);

#endif
