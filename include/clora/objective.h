/**
 * @file clora/objective.h
 * @brief Tier 4: an objective of the program's own: what training minimises.
 *
 * Training minimises the sum of a loss of each row of a batch over the target tokens of an update. For an objective
 * that the library lacks (distillation, a penalty, another likelihood) the program supplies a function: it gets logits
 * and puts their gradient in their place. The logits come some rows at a time, for all of a batch would be the largest
 * of all tensors. examples/distill.c is a whole program.
 */
#ifndef CLORA_OBJECTIVE_H
#define CLORA_OBJECTIVE_H

#include <stddef.h>
#include <stdint.h>

#include <clora/status.h>
#include <clora/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier4
 * @{
 */

/**
 * Some rows of a batch, as an objective sees them. The batch has B sequences of T places, one after the other; a row is
 * a place, number b * T + t. All is borrowed during the call.
 */
typedef struct clora_objective_rows {
    clora_tensor *logits;   /**< f32 (count, vocabulary), to be overwritten with d(sum of losses) / d(logits): by
                                 clora_tensor_read() and clora_tensor_write(), or by kernels of the program's own on
                                 clora_tensor_buffer() */
    clora_tensor *loss;     /**< f32 (count, 1), zero; to be overwritten with the loss of each row */
    int count;              /**< of these rows */
    const int32_t *rows;    /**< (count) the number of each; they grow, from call to call of a batch too */
    const int32_t *targets; /**< (count) the id that follows, negative where there is no target */
    int B;                  /**< sequences of the batch, or rows in which several are packed */
    int T;                  /**< places of each, padding on the right included */
    const int32_t *ids;     /**< (B, T) the ids of the batch; padding is 0 */
    const int32_t *first;   /**< (B, T) where in its row the sequence of a place begins: it sees first to itself */
} clora_objective_rows;

/**
 * Called with some rows of a batch at a time, in order. It may call the library, for a second model too, as all
 * callbacks may.
 *
 * @param[in] user  of the clora_objective
 * @param[in] rows  logits and losses, to be overwritten; borrowed during the call
 *
 * @return CLORA_OK to go on; anything else ends the step, which returns it and leaves what trains as it was before it.
 * clora_last_error() then says what failed in a call of the library, if one did
 */
typedef clora_status (*clora_objective_function)(void *user, const clora_objective_rows *rows);

/** An objective of the program's own. */
typedef struct clora_objective {
    size_t size;                       /**< of this struct, as the caller knows it */
    clora_objective_function function; /**< called for all rows of each micro-batch */
    void *user;                        /**< handed to it; borrowed as long as there is training (default NULL) */
} clora_objective;

/** The defaults of clora_objective. */
#define CLORA_OBJECTIVE_INIT \
    { sizeof(clora_objective), NULL, NULL }

/** @} */

#ifdef __cplusplus
}
#endif
#endif
