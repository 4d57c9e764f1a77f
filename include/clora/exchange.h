/**
 * @file clora/exchange.h
 * @brief Tier 3: adapters on disk, without their model or a device: combine several into one, and hand them to other
 * programs.
 */
#ifndef CLORA_EXCHANGE_H
#define CLORA_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

#include <clora/dtype.h>
#include <clora/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/**
 * How adapters become one. Of the i-th, s is the scale of a module and w its weight; the combined one has scale 1.
 * Definitions are those of PEFT's add_weighted_adapter(), whose names stand in brackets.
 */
typedef enum clora_combination {
    CLORA_COMBINE_SVD = 0,       /**< [svd] the best approximation of sum w s B A by a lower rank */
    CLORA_COMBINE_CAT = 1,       /**< [cat] the exact sum: A = the (w s A) below each other, B side by side; the ranks
                                      add up */
    CLORA_COMBINE_SUM = 2,       /**< [linear] A = sum sqrt(w s) A and B = sum sqrt(w s) B; a negative w changes the
                                      sign of A. Products of different adapters' factors come in: a rough
                                      approximation. This and all below need equal ranks */
    CLORA_COMBINE_TIES = 3,      /**< [ties] as CLORA_COMBINE_SUM, but each factor keeps its largest values, and what
                                      has not the sign that prevails is left out of a mean of the rest */
    CLORA_COMBINE_DARE = 4,      /**< [dare_linear] as CLORA_COMBINE_SUM, but each factor keeps values at random,
                                      divided by the density */
    CLORA_COMBINE_DARE_TIES = 5, /**< [dare_ties] values kept as by CLORA_COMBINE_DARE, then signs as by
                                      CLORA_COMBINE_TIES */
} clora_combination;

/** Which sign prevails where adapters disagree. */
typedef enum clora_majority {
    CLORA_MAJORITY_TOTAL = 0,     /**< that of the sum of the values */
    CLORA_MAJORITY_FREQUENCY = 1, /**< that of most values */
} clora_majority;

/** How to combine. */
typedef struct clora_combine_options {
    size_t size;              /**< of this struct, as the caller knows it */
    clora_combination method; /**< (default CLORA_COMBINE_SVD) */
    int rank;                 /**< of CLORA_COMBINE_SVD; 0: the largest of the adapters' (default 0) */
    double density;           /**< share of values that is kept, above 0 to 1, by the methods that keep some
                                   (default 0.5) */
    clora_majority majority;  /**< for CLORA_COMBINE_TIES and CLORA_COMBINE_DARE_TIES (default CLORA_MAJORITY_TOTAL) */
    uint64_t seed;            /**< of what is kept at random; the same seed gives the same bytes (default 0) */
    int dtype;                /**< clora_dtype of the factors that are written (default CLORA_DTYPE_F32) */
} clora_combine_options;

/** The defaults of clora_combine_options. */
#define CLORA_COMBINE_OPTIONS_INIT \
    { sizeof(clora_combine_options), CLORA_COMBINE_SVD, 0, 0.5, CLORA_MAJORITY_TOTAL, 0, CLORA_DTYPE_F32 }

/** What came of it. */
typedef struct clora_combine_result {
    size_t size; /**< of this struct, as the caller knows it */
    int modules; /**< adapted linear layers */
    int rank;    /**< of each */
    double lost; /**< CLORA_COMBINE_SVD: share of the sum that the rank has no room for, by Frobenius norms over all
                      modules; 0 for others */
} clora_combine_result;

/** A clora_combine_result to fill. */
#define CLORA_COMBINE_RESULT_INIT \
    { sizeof(clora_combine_result), 0, 0, 0.0 }

/**
 * Combine LoRA adapters of one base into one. Works on the host and needs no device; sums in double, rounding once. No
 * matrix of a weight's size is formed: the SVD is that of small matrices between orthonormal bases of the factors. A
 * module that some adapters leave alone gets what the others have. Any thread.
 *
 * @param[in]  directories  (count) PEFT directories
 * @param[in]  weights      (count) finite numbers, of any sign
 * @param[in]  count        at least 1
 * @param[in]  out          a directory without an adapter or a model; it is made when it is not there
 * @param[in]  options      NULL for the defaults
 * @param[out] result       overwritten when it succeeds; NULL is allowed
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for options out of range, adapters of different bases or ranks that the method
 * cannot combine, a value too large for the dtype, and an output that is there; CLORA_ERROR_UNSUPPORTED for what is no
 * plain LoRA; else as clora_adapter_load(). After a failure nothing is left in out
 */
CLORA_API clora_status clora_adapter_combine(const char *const *directories, const float *weights, size_t count,
                                             const char *out, const clora_combine_options *options,
                                             clora_combine_result *result);

/** Formats of LoRA adapters. */
typedef enum clora_format {
    CLORA_FORMAT_PEFT = 0, /**< a directory: adapter_config.json, adapter_model.safetensors */
    CLORA_FORMAT_MLX = 1,  /**< mlx-lm's directory: adapter_config.json, adapters.safetensors */
    CLORA_FORMAT_GGUF = 2, /**< llama.cpp's file: general.type adapter, adapter.type lora */
} clora_format;

/** How to convert. */
typedef struct clora_convert_options {
    size_t size;     /**< of this struct, as the caller knows it */
    clora_format to; /**< what is written (default CLORA_FORMAT_PEFT) */
    const char
        *model; /**< directory of the adapter's model, whose config.json alone is read: to write GGUF, and to read
                            it where rows of q and k are ordered by heads (default NULL) */
    int dtype;  /**< clora_dtype of the factors that are written (default CLORA_DTYPE_F32) */
} clora_convert_options;

/** The defaults of clora_convert_options. */
#define CLORA_CONVERT_OPTIONS_INIT \
    { sizeof(clora_convert_options), CLORA_FORMAT_PEFT, NULL, CLORA_DTYPE_F32 }

/** What came of it. */
typedef struct clora_convert_result {
    size_t size;       /**< of this struct, as the caller knows it */
    clora_format from; /**< what was read */
    int modules;       /**< adapted linear layers */
    int folded;        /**< 1: factors B were multiplied by scales that the format has no place for */
} clora_convert_result;

/** A clora_convert_result to fill. */
#define CLORA_CONVERT_RESULT_INIT \
    { sizeof(clora_convert_result), CLORA_FORMAT_PEFT, 0, 0 }

/**
 * Write a LoRA adapter in another format. Works on the host and needs no device. Any thread.
 *
 * What is added to each weight, s B A, stays the same: to the last bit where the format has a place for s and dtype is
 * that of the factors; else B is multiplied by s, and rounded once. Ranks that differ become one in mlx-lm's format, by
 * rows of zeros. Rows of q's and k's B are put in the order of the format.
 *
 * @param[in]  adapter  a directory or a file; its format is told by what is there
 * @param[in]  out      a directory without an adapter or a model, which is made when it is not there; for GGUF a file
 *                      that is not there
 * @param[in]  options  NULL for the defaults
 * @param[out] result   overwritten when it succeeds; NULL is allowed
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for options out of range, a model that is needed or does not fit, a value too
 * large for the dtype, and an output that is there; CLORA_ERROR_UNSUPPORTED for what is no plain LoRA of linear layers,
 * a file of another type and a module that the format has no name for; CLORA_ERROR_FORMAT for files that are not what
 * they say; else as clora_adapter_load(). After a failure nothing is written
 */
CLORA_API clora_status clora_adapter_convert(const char *adapter, const char *out, const clora_convert_options *options,
                                             clora_convert_result *result);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
