/**
 * @file clora/lowrank.h
 * @brief Tier 2: one linear layer with a low-rank term, for programs that have a model of their own.
 *
 *     y = x W0^T + s (x A^T) B^T      W0 (N, K) frozen, A (R, K) and B (N, R) trained, s the scale
 *
 * M rows of activations, K inputs, N outputs, R rank. Activations are f32 tensors (M, width); clora/opencl.h makes them
 * of the program's own cl_mem, with offset and stride. Everything is enqueued on the context's queue unless a call says
 * that it waits.
 *
 *     clora_weight_create(&w, context, CLORA_STORAGE_F32, N, K);   clora_weight_write(w, w0, CLORA_DTYPE_F32);
 *     clora_lowrank_create(&lr, w, 8, 2.0f, 1);                  // R = 8, s = 2
 *     clora_lowrank_forward(y, u, x, w, lr);
 *     ... the program's own loss gives dy ...
 *     clora_lowrank_backward(dx, lr, dy, x, u, w);
 *     clora_lowrank_update(lr, step, &options);
 *
 * Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
 */
#ifndef CLORA_LOWRANK_H
#define CLORA_LOWRANK_H

#include <stddef.h>
#include <stdint.h>

#include <clora/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier2
 * @{
 */

/** A frozen weight, in the layout that the device multiplies fastest. One thread at a time. */
typedef struct clora_weight clora_weight;

/** A and B of one weight, their gradients and AdamW's moments. One thread at a time. */
typedef struct clora_lowrank clora_lowrank;

/**
 * Make space for W0 (N, K). It has no values until clora_weight_write().
 *
 * The first weight of a context may wait for the device's self-check (clora_context_create()).
 *
 * @param[out] out      yours to free with clora_weight_free()
 * @param[in]  context  kept until the weight is freed
 * @param[in]  type     how it is stored on the device
 * @param[in]  N        outputs, at least 1
 * @param[in]  K        inputs, at least 1
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a size below 1 or another type, CLORA_ERROR_MEMORY when the device has not
 * that much memory, CLORA_ERROR_OPENCL when it computes wrongly
 */
CLORA_API clora_status clora_weight_create(clora_weight **out, clora_context *context, clora_storage type, int N,
                                           int K);

/**
 * Free a weight. Its low-rank terms keep it until they are freed.
 *
 * @param[in] weight  NULL is allowed
 */
CLORA_API void clora_weight_free(clora_weight *weight);

/**
 * Fill W0 from host memory. Waits.
 *
 * @param[out] weight  overwritten
 * @param[in]  data    row major (N, K); copied
 * @param[in]  dtype   its type: f32, f16 or bf16; another than the weight's is converted, rounding to nearest even
 *
 * @return CLORA_OK; CLORA_ERROR_FORMAT when a value is not finite, or not in the weight's type: the weight has no
 * values then, as before its first write; CLORA_ERROR_ARGUMENT for another type
 */
CLORA_API clora_status clora_weight_write(clora_weight *weight, const void *data, clora_dtype dtype);

/**
 * Fill W0 from a tensor, such as one that clora_tensor_from_opencl() makes of the program's own cl_mem. Waits.
 *
 * The values pass through host memory, some rows at a time, on their way into the layout that the device multiplies
 * fastest.
 *
 * @param[out] weight  overwritten
 * @param[in]  values  (N, K) in f32, f16 or bf16, of the weight's context; copied. Converted as clora_weight_write()
 *                     does it
 *
 * @return as clora_weight_write(); CLORA_ERROR_SHAPE for another shape, CLORA_ERROR_ARGUMENT for another type or
 * context: the weight is as it was then
 */
CLORA_API clora_status clora_weight_write_tensor(clora_weight *weight, const clora_tensor *values);

/**
 * Make a fresh low-rank term: A ~ N(0, 1/K) from the seed, B = 0. Waits.
 *
 * @param[out] out     yours to free with clora_lowrank_free()
 * @param[in]  weight  kept until the term is freed
 * @param[in]  rank    R, at least 1
 * @param[in]  scale   s, usually alpha / R; finite
 * @param[in]  seed    of A's random numbers
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for another rank or scale, CLORA_ERROR_UNSUPPORTED when A and B have more than
 * 2^31 - 1 elements together, CLORA_ERROR_OPENCL when the device computes wrongly
 */
CLORA_API clora_status clora_lowrank_create(clora_lowrank **out, const clora_weight *weight, int rank, float scale,
                                            uint64_t seed);

/**
 * Free a low-rank term. Does not wait.
 *
 * @param[in] lowrank  NULL is allowed
 */
CLORA_API void clora_lowrank_free(clora_lowrank *lowrank);

/**
 * Set A and B from host floats. Waits. Gradients and moments stay as they are.
 *
 * @param[out] lowrank  its factors are overwritten
 * @param[in]  a        row major (R, K); NULL leaves A as it is
 * @param[in]  b        row major (N, R); NULL leaves B as it is
 *
 * @return CLORA_OK; CLORA_ERROR_FORMAT when a value is not finite: nothing is written then
 */
CLORA_API clora_status clora_lowrank_write(clora_lowrank *lowrank, const float *a, const float *b);

/**
 * Read A and B into host floats. Waits.
 *
 * @param[in]  lowrank  the source
 * @param[out] a        row major (R, K), overwritten; NULL is allowed
 * @param[out] b        row major (N, R), overwritten; NULL is allowed
 *
 * @return CLORA_OK; CLORA_ERROR_OPENCL when the device fails
 */
CLORA_API clora_status clora_lowrank_read(const clora_lowrank *lowrank, float *a, float *b);

/**
 * Read the gradients of A and B into host floats. Waits.
 *
 * @param[in]  lowrank  the source
 * @param[out] da       row major (R, K), overwritten; NULL is allowed
 * @param[out] db       row major (N, R), overwritten; NULL is allowed
 *
 * @return CLORA_OK; CLORA_ERROR_OPENCL when the device fails
 */
CLORA_API clora_status clora_lowrank_read_gradients(const clora_lowrank *lowrank, float *da, float *db);

/**
 * y = x W0^T + s (x A^T) B^T
 *
 * Enqueued.
 *
 * @param[out] y        (M, N)  overwritten
 * @param[out] u        (M, R)  overwritten: s (x A^T), which the backward pass needs; may be NULL when lowrank is
 * @param[in]  x        (M, K)
 * @param[in]  weight   W0
 * @param[in]  lowrank  a term of this weight; NULL: W0 alone
 *
 * @return CLORA_OK; CLORA_ERROR_SHAPE when the shapes do not fit together, CLORA_ERROR_ARGUMENT before the weight was
 * written, for the term of another weight, and for a tensor that is not f32 or of another context
 */
CLORA_API clora_status clora_lowrank_forward(clora_tensor *y, clora_tensor *u, const clora_tensor *x,
                                             const clora_weight *weight, const clora_lowrank *lowrank);

/**
 * dx = dy W0 + s (dy B) A, and the gradients dA += s (dy B)^T x and dB += dy^T u of the trained factors.
 *
 * Enqueued. Memory is allocated only for more rows than in any call before.
 *
 * @param[out]    dx       (M, K)  overwritten, not x; NULL when nobody needs it
 * @param[in,out] lowrank  its gradients accumulate
 * @param[in]     dy       (M, N)
 * @param[in]     x        (M, K)  of the forward pass
 * @param[in]     u        (M, R)  of the forward pass
 * @param[in]     weight   W0
 *
 * @return as clora_lowrank_forward(); CLORA_ERROR_ARGUMENT also when dx takes the place of x
 */
CLORA_API clora_status clora_lowrank_backward(clora_tensor *dx, clora_lowrank *lowrank, const clora_tensor *dy,
                                              const clora_tensor *x, const clora_tensor *u, const clora_weight *weight);

/**
 * Set the gradients to zero, and forget their clipping. Enqueued.
 *
 * @param[in,out] lowrank  its gradients are overwritten
 *
 * @return CLORA_OK; CLORA_ERROR_OPENCL when the device fails
 */
CLORA_API clora_status clora_lowrank_zero_gradients(clora_lowrank *lowrank);

/**
 * Clip the gradients of several terms by the norm of all of them together, as PyTorch's clip_grad_norm_():
 *
 *     norm = sqrt(sum of dA^2 and dB^2 over all terms)      g' = g min(1, max_norm / (norm + 1e-6))
 *
 * The next update of each term takes g' instead of its gradients g, which stay as they are. When the norm is not
 * finite that update changes nothing but the gradients, which it sets to zero. Enqueued; waits when norm is given.
 *
 * @param[out]    norm      before clipping; NULL is allowed
 * @param[in,out] terms     (count) of one context, each once
 * @param[in]     count     at least 1
 * @param[in]     max_norm  finite, at least 0; 0 clips nothing
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for another number or for terms of several contexts: nothing is changed then
 */
CLORA_API clora_status clora_lowrank_clip(float *norm, clora_lowrank *const *terms, size_t count, float max_norm);

/** The numbers of an AdamW update. */
typedef struct clora_adamw_options {
    size_t size;        /**< of this struct, as the caller knows it */
    float lr;           /**< learning rate, finite, at least 0 (default 2e-4) */
    float weight_decay; /**< decoupled; finite, at least 0 (default 0) */
    float beta1;        /**< decay of the mean of gradients, in [0, 1) (default 0.9) */
    float beta2;        /**< decay of the mean of their squares, in [0, 1) (default 0.999) */
    float eps;          /**< above 0 (default 1e-8) */
} clora_adamw_options;

/** The defaults of clora_adamw_options. */
#define CLORA_ADAMW_OPTIONS_INIT \
    { sizeof(clora_adamw_options), 2e-4f, 0.0f, 0.9f, 0.999f, 1e-8f }

/**
 * One AdamW update of A and B with the gradients g as they stand, or as clora_lowrank_clip() said, which are then set
 * to zero:
 *
 *     m = beta1 m + (1 - beta1) g       v = beta2 v + (1 - beta2) g^2
 *     p = p (1 - lr weight_decay) - lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + eps)
 *
 * Enqueued. Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".
 *
 * @param[in,out] lowrank  A, B and their moments are updated
 * @param[in]     step     number of the update, from 1
 * @param[in]     options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a number outside its limits: nothing is changed then
 */
CLORA_API clora_status clora_lowrank_update(clora_lowrank *lowrank, int step, const clora_adamw_options *options);

/** What AdamW remembers of the gradients. Both begin at zero. */
typedef enum clora_moment {
    CLORA_MOMENT_FIRST = 0, /**< m, the mean of gradients */
    CLORA_MOMENT_SECOND = 1 /**< v, the mean of their squares */
} clora_moment;

/**
 * Read a moment of A and B into host floats, to go on later with clora_lowrank_write_moment(). Waits.
 *
 * @param[in]  lowrank  the source
 * @param[in]  moment   which
 * @param[out] a        row major (R, K), overwritten; NULL is allowed
 * @param[out] b        row major (N, R), overwritten; NULL is allowed
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for another moment
 */
CLORA_API clora_status clora_lowrank_read_moment(const clora_lowrank *lowrank, clora_moment moment, float *a, float *b);

/**
 * Set a moment of A and B from host floats. Waits.
 *
 * @param[in,out] lowrank  the moment is overwritten
 * @param[in]     moment   which
 * @param[in]     a        row major (R, K); NULL leaves A's as it is
 * @param[in]     b        row major (N, R); NULL leaves B's as it is
 *
 * @return CLORA_OK; CLORA_ERROR_FORMAT when a value is not finite, CLORA_ERROR_ARGUMENT for another moment or a mean of
 * squares below 0: nothing is written then
 */
CLORA_API clora_status clora_lowrank_write_moment(clora_lowrank *lowrank, clora_moment moment, const float *a,
                                                  const float *b);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
