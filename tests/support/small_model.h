#ifndef CLORA_TESTS_SMALL_MODEL_H
#define CLORA_TESTS_SMALL_MODEL_H

/* Models of a few numbers in this test's directory, with adapters. Include after cmocka.h. */

#include "files/safetensors.h"

/* A model with one layer's q_proj (N, K), an embedding (3, K) and a norm (K), all of one type, and a rank 1 adapter. */
typedef struct small_model {
    int N, K;
    clora_dtype dtype;
    bool tied, head; /* lm_head.weight is in the file */
    const float *w;  /* (N, K) */
    const float *a, *b;
    const char *target;
    float scale;
} small_model;

#define SMALL_WEIGHT "model.layers.0.self_attn.q_proj.weight"
extern const float SMALL_TABLE[64]; /* the embedding */

/* "model" and "adapter" in this test's directory. */
void write_small_model(const small_model *t);
void write_small_adapter(const small_model *t);

/* n tensors of one type in a file there; a shape (0, K) is a vector of K elements. */
void write_tensors(const char *path, const char *const *names, const int (*shapes)[2], const float *const *values,
                   size_t n, clora_dtype dtype);

#endif
