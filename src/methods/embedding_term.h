#ifndef CLORA_METHODS_EMBEDDING_TERM_H
#define CLORA_METHODS_EMBEDDING_TERM_H

#include "methods/base_model.h"
#include "ops/lowrank.h"
#include "train/parameters.h"

/*
 * The low-rank term of the embedding: the rows of W0 (V, C) for the ids change by s B A with A (R, C) and B (V, R).
 *
 *     g (M, R) = rows of B for the ids, times what the model's rows are    u = s g    y += u A
 *
 * g goes through a term of R inputs and C outputs whose own first factor is the identity, and whose second is A.
 */
typedef struct embedding_term {
    int R;
    float scale;         /* of the embedding's rows */
    weight *rows;        /* B: f32, a row for each token */
    clora_tensor *parts; /* views of its values */
    weight *shape;       /* what the term stands on: R inputs, C outputs; never read */
    lowrank *term;
    clora_tensor *identity, *values; /* f32 (1, n): the term's a and b */
} embedding_term;

/* Without values, but for the identity. A rank above half the width is CLORA_ERROR_UNSUPPORTED: there is no room for
 * what is between. */
clora_status embedding_term_create(embedding_term **out, const base_model *base, int R, float scale);
void embedding_term_free(embedding_term *e);

/* A (R, C) or B (V, R) from the host and to it. Waits. */
clora_status embedding_term_write(embedding_term *e, bool is_b, const float *values);
clora_status embedding_term_read(float *values, const embedding_term *e, bool is_b);

clora_status embedding_term_parameters(parameters *out, const embedding_term *e, const char *module,
                                       parameter_group group);

/* Device memory: all of it, and what does not train. */
size_t embedding_term_bytes(const embedding_term *e);
size_t embedding_term_fixed_bytes(const embedding_term *e);

/* y (M, C) accumulates. room (M, >= 2 R): scratch, overwritten with g and u side by side */
clora_status embedding_term_forward(clora_tensor *y, clora_tensor *room, const clora_tensor *ids,
                                    const embedding_term *e);

/* The gradients of A and B accumulate. room and room_back (M, >= 2 R): scratch */
clora_status embedding_term_backward(const parameters *trains, clora_tensor *room, clora_tensor *room_back,
                                     const clora_tensor *dy, const clora_tensor *ids, const embedding_term *e);

#endif
