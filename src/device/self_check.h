#ifndef CLORA_DEVICE_SELF_CHECK_H
#define CLORA_DEVICE_SELF_CHECK_H

#include "device/context.h"

/* Operations that a use needs. */
enum {
    SELF_CHECK_PRODUCTS = 1, /* with a frozen weight */
    SELF_CHECK_TERM = 2,     /* down to the rank, for a low-rank term */
    SELF_CHECK_FACTORS = 4,  /* the gradients of both and the update */
    SELF_CHECK_MODEL = 8,    /* what a model's forward pass has besides */
    SELF_CHECK_LOSS = 16,
    SELF_CHECK_BACKWARD = 32, /* what its backward pass has besides */
    SELF_CHECK_ADAMW8BIT = 64,
    SELF_CHECK_SGD = 128,
    SELF_CHECK_WEIGHTS = 256,    /* gradients of a model's own tensors */
    SELF_CHECK_BOTTLENECK = 512, /* adapters after sublayers, both passes */
    SELF_CHECK_PAST = 1024,      /* what stands before a sequence, both passes */
    SELF_CHECK_COLUMNS = 2048,   /* what a term has for each column besides, both passes */
    SELF_CHECK_LAYERNORM = 4096, /* what GPT-2 has in the place of other families' norms and gates, and its positions */
    SELF_CHECK_LAYERNORM_BACKWARD = 8192,
    SELF_CHECK_TAPE = 16384,   /* the calls of a step in one launch */
    SELF_CHECK_SOFTCAP = 32768 /* of logits, both passes */
};

/*
 * Does the device compute these operations rightly? They are compared with the reference when a device is first used;
 * what was right is kept beside the tuned parameters. Where one is wrong, the context goes over to the other family of
 * kernels, which is checked in turn, with a line in its log. Where both are wrong, or CLORA_GEMM forces one,
 * CLORA_ERROR_OPENCL says which operation and how far off it is. Steps that are wrong in one launch are launches apart
 * from then on, also with a line. CLORA_SELF_CHECK=off trusts the device; force asks it again whatever is kept.
 *
 * type: the storage of the weights; head_dim: of attention, 0 without SELF_CHECK_MODEL, SELF_CHECK_BACKWARD and
 * SELF_CHECK_PAST.
 *
 * Defined in autotune/, which knows the operations and their reference.
 */
clora_status self_check(clora_context *context, unsigned groups, clora_storage type, int head_dim);

#endif
