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
 *     clora_weight_create(&w, context, CLORA_DTYPE_F32, N, K);   clora_weight_write(w, w0, CLORA_DTYPE_F32);
 *     clora_lowrank_create(&lr, w, 8, 2.0f, 1);                  // R = 8, s = 2
 *     clora_lowrank_forward(y, u, x, w, lr);
 *     ... the program's own loss gives dy ...
 *     clora_lowrank_backward(dx, lr, dy, x, u, w);
 *     clora_lowrank_update(lr, 1e-3f, 0.0f, step);
 *
 * Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1.
 */
#ifndef CLORA_LOWRANK_H
#define CLORA_LOWRANK_H

#include <stdint.h>

#include <clora/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A frozen weight, in the layout that the device multiplies fastest. */
typedef struct clora_weight clora_weight;

/** A and B of one weight, their gradients and AdamW's moments. */
typedef struct clora_lowrank clora_lowrank;

/** Space for W0 (N, K), stored as dtype (f32, f16 or bf16). @param[out] out yours to free */
CLORA_API clora_status clora_weight_create(clora_weight **out, clora_context *context, clora_dtype dtype, int N, int K);

/** Free a weight; NULL is allowed. Its low-rank terms keep it until they are freed. */
CLORA_API void clora_weight_free(clora_weight *weight);

/**
 * Fill W0 from host memory, once.
 *
 * @param[in] data  row major (N, K); copied
 * @param[in] dtype its type: f32, f16 or bf16
 *
 * @return CLORA_ERROR_FORMAT when a value is not finite: the weight has no values then, as before its first write.
 * Waits.
 */
CLORA_API clora_status clora_weight_write(clora_weight *weight, const void *data, clora_dtype dtype);

/**
 * A fresh low-rank term: A ~ N(0, 1/K) from the seed, B = 0.
 *
 * @param[in] weight  kept until the term is freed
 * @param[in] rank    R, at least 1
 * @param[in] scale   s, usually alpha / R
 */
CLORA_API clora_status clora_lowrank_create(clora_lowrank **out, const clora_weight *weight, int rank, float scale,
                                            uint64_t seed);
CLORA_API void clora_lowrank_free(clora_lowrank *lowrank);

/**
 * Set A (R, K) and B (N, R) from host floats, row major; either may be NULL. Waits.
 *
 * @return CLORA_ERROR_FORMAT when a value is not finite: nothing is written then
 */
CLORA_API clora_status clora_lowrank_write(clora_lowrank *lowrank, const float *a, const float *b);

/** Read A (R, K) and B (N, R) into host floats; either may be NULL. Waits. */
CLORA_API clora_status clora_lowrank_read(const clora_lowrank *lowrank, float *a, float *b);

/** Read the gradients of A (R, K) and B (N, R) into host floats; either may be NULL. Waits. */
CLORA_API clora_status clora_lowrank_read_gradients(const clora_lowrank *lowrank, float *da, float *db);

/**
 * y = x W0^T + s (x A^T) B^T
 *
 * @param[out] y        (M, N)  overwritten
 * @param[out] u        (M, R)  overwritten: s (x A^T), which the backward pass needs; may be NULL when lowrank is
 * @param[in]  x        (M, K)
 * @param[in]  lowrank  NULL: W0 alone
 *
 * @return CLORA_ERROR_SHAPE when the shapes do not fit together, CLORA_ERROR_ARGUMENT before the weight was written and
 * for a tensor that is not f32 or of another context
 */
CLORA_API clora_status clora_lowrank_forward(clora_tensor *y, clora_tensor *u, const clora_tensor *x,
                                             const clora_weight *weight, const clora_lowrank *lowrank);

/**
 * dx = dy W0 + s (dy B) A, and the gradients of A and B.
 *
 * @param[out]    dx       (M, K)  overwritten, not x; NULL when nobody needs it
 * @param[in,out] lowrank  its gradients accumulate
 * @param[in]     dy       (M, N)
 * @param[in]     x        (M, K)  of the forward pass
 * @param[in]     u        (M, R)  of the forward pass
 *
 * @return as clora_lowrank_forward()
 */
CLORA_API clora_status clora_lowrank_backward(clora_tensor *dx, clora_lowrank *lowrank, const clora_tensor *dy,
                                              const clora_tensor *x, const clora_tensor *u, const clora_weight *weight);

/** Set the gradients to zero. */
CLORA_API clora_status clora_lowrank_zero_gradients(clora_lowrank *lowrank);

/**
 * One AdamW update of A and B (betas 0.9 and 0.999, eps 1e-8) with the gradients as they stand, then set those to zero.
 *
 * @param[in] lr            learning rate, finite, at least 0
 * @param[in] weight_decay  decoupled; finite, at least 0
 * @param[in] step          number of the update, from 1
 */
CLORA_API clora_status clora_lowrank_update(clora_lowrank *lowrank, float lr, float weight_decay, int step);

#ifdef __cplusplus
}
#endif
#endif
