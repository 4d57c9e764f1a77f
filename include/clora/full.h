/**
 * @file clora/full.h
 * @brief Tier 3: training a model's own weights: all of them, its biases, its norms, or a part by name.
 *
 * What the other methods are compared with: every weight W itself follows its gradient dW = dy^T x, with all that an
 * optimizer keeps for it. Biases alone are BitFit (Ben Zaken et al. 2021). What comes out is a model, not an adapter: a
 * complete Hugging Face directory.
 */
#ifndef CLORA_FULL_H
#define CLORA_FULL_H

#include <clora/adapter.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** Which of the model's own tensors train. */
typedef enum clora_full_part {
    CLORA_FULL_PART_ALL = 0,    /**< all of them */
    CLORA_FULL_PART_BIASES = 1, /**< the biases of linear layers, where the family has some */
    CLORA_FULL_PART_NORMS = 2,  /**< the gains of the normalisations */
} clora_full_part;

/** Where weights that are stored in 16 bits are updated. */
typedef enum clora_full_master {
    CLORA_FULL_MASTER_F32 = 0,  /**< in a float32 copy, which is rounded into the stored weight after each update */
    CLORA_FULL_MASTER_NONE = 1, /**< in the stored weight: what an update adds below its precision is lost */
} clora_full_master;

/** What to train and how. */
typedef struct clora_full_options {
    size_t size;              /**< of this struct, as the caller knows it */
    clora_full_part part;     /**< which tensors (default CLORA_FULL_PART_ALL) */
    const char *modules;      /**< of these, those whose whole name, such as "model.layers.0.mlp.up_proj.weight", this
                                 regular expression matches; NULL for all (default NULL) */
    clora_full_master master; /**< of weights in 16 bits (default CLORA_FULL_MASTER_F32) */
} clora_full_options;

/** The defaults of clora_full_options. */
#define CLORA_FULL_OPTIONS_INIT \
    { sizeof(clora_full_options), CLORA_FULL_PART_ALL, NULL, CLORA_FULL_MASTER_F32 }

/**
 * A handle by which a model's own weights train. Waits.
 *
 * While a trainer works with it, nobody else uses the model, whose weights change in place: all who use it afterwards,
 * with other adapters too, have the trained ones. Weight decay holds for every tensor, as in PyTorch's AdamW with all
 * parameters in one group. clora_adapter_save() writes a Hugging Face directory in the types of the files that the
 * model was read from; base_name is passed over.
 *
 * @param[out] out      yours to free with clora_adapter_free()
 * @param[in]  model    kept until then; not changed by this call
 * @param[in]  options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND when nothing is left to train, CLORA_ERROR_ARGUMENT for a broken regular
 * expression, CLORA_ERROR_UNSUPPORTED for weights in blocks of 8 bits, and for a model directory with links that lead
 * out of it, CLORA_ERROR_MEMORY, CLORA_ERROR_OPENCL when the device computes wrongly
 */
CLORA_API clora_status clora_full_create(clora_adapter **out, clora_model *model, const clora_full_options *options);

/** @} */

#ifdef __cplusplus
}
#endif

#endif
