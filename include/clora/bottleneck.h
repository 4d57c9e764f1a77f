/**
 * @file clora/bottleneck.h
 * @brief Tier 3: bottleneck adapters: small layers after each attention and MLP.
 *
 * Of a sublayer of width C with output f, which joins the residual stream r, and N columns between:
 *
 *     y = r + f + up(act(down(x)))     down(x) = x D^T + d, D (N, C);   up(a) = a U^T + u, U (C, N)
 *
 * Pfeiffer et al. 2021, "AdapterFusion": one a layer, after the MLP, of x = r + f. Houlsby et al. 2019,
 * "Parameter-Efficient Transfer Learning for NLP": two a layer, also after attention, of x = f. On disk an adapter is a
 * directory of AdapterHub's library `adapters` (docs/formats.md).
 */
#ifndef CLORA_BOTTLENECK_H
#define CLORA_BOTTLENECK_H

#include <clora/adapter.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** Where bottlenecks stand and what they read. */
typedef enum clora_bottleneck_style {
    CLORA_BOTTLENECK_STYLE_PFEIFFER = 0, /**< one a layer, after the MLP, of the stream with its output */
    CLORA_BOTTLENECK_STYLE_HOULSBY = 1,  /**< two a layer, after attention and MLP, of what each adds to the stream */
} clora_bottleneck_style;

/** The nonlinearity between down and up. */
typedef enum clora_nonlinearity {
    CLORA_NONLINEARITY_STYLES = 0, /**< the style's: relu of Pfeiffer's, swish of Houlsby's */
    CLORA_NONLINEARITY_RELU = 1,   /**< max(x, 0) */
    CLORA_NONLINEARITY_SWISH = 2,  /**< x sigmoid(x) */
} clora_nonlinearity;

/** How the weights begin; all biases are zero, so that a fresh adapter changes nothing, or nearly nothing. */
typedef enum clora_bottleneck_init {
    CLORA_BOTTLENECK_INIT_BERT = 0, /**< D and U: N(0, 0.02^2) */
    CLORA_BOTTLENECK_INIT_MAM = 1,  /**< D: uniform in +-1/sqrt(C); U zero (He et al. 2022) */
} clora_bottleneck_init;

/** What to make. */
typedef struct clora_bottleneck_options {
    size_t size;                     /**< of this struct, as the caller knows it */
    int columns;                     /**< N, at least 1 (default 64) */
    clora_bottleneck_style style;    /**< (default CLORA_BOTTLENECK_STYLE_PFEIFFER) */
    clora_nonlinearity nonlinearity; /**< (default CLORA_NONLINEARITY_STYLES) */
    clora_bottleneck_init init;      /**< (default CLORA_BOTTLENECK_INIT_BERT) */
    uint64_t seed;                   /**< of the weights' random numbers (default 0) */
    float dropout;                   /**< of up(...) while training, in [0, 1) (default 0) */
} clora_bottleneck_options;

/** The defaults of clora_bottleneck_options. */
#define CLORA_BOTTLENECK_OPTIONS_INIT                                                                     \
    {                                                                                                     \
        sizeof(clora_bottleneck_options), 64, CLORA_BOTTLENECK_STYLE_PFEIFFER, CLORA_NONLINEARITY_STYLES, \
            CLORA_BOTTLENECK_INIT_BERT, 0, 0.0f                                                           \
    }

/**
 * Make a fresh bottleneck adapter on every layer. Waits. Everything that takes an adapter takes it, but merging: it is
 * no change of a weight.
 *
 * @param[out] out      yours to free with clora_adapter_free()
 * @param[in]  model    kept until the adapter is freed
 * @param[in]  options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for columns below 1, a dropout outside [0, 1) or an unknown style,
 * nonlinearity or init, CLORA_ERROR_UNSUPPORTED when all weights are larger than one buffer may be,
 * CLORA_ERROR_OPENCL when the device computes wrongly
 */
CLORA_API clora_status clora_bottleneck_create(clora_adapter **out, clora_model *model,
                                               const clora_bottleneck_options *options);

/** What a bottleneck adapter is. */
typedef struct clora_bottleneck_info {
    int columns;         /**< N; of the first, where files have others elsewhere */
    int swish;           /**< 1: swish, 0: relu */
    int reads_stream;    /**< 1: of x = r + f, 0: of x = f */
    int after_attention; /**< 1: one after each attention */
    int after_mlp;       /**< 1: one after each MLP */
    int sublayers;       /**< bottlenecks in all */
    float dropout;       /**< of what they add, while training */
} clora_bottleneck_info;

/**
 * What a bottleneck adapter is.
 *
 * @param[in] adapter  of another method, or NULL: zeros
 *
 * @return borrowed; lives as long as the adapter
 */
CLORA_API const clora_bottleneck_info *clora_bottleneck_get_info(const clora_adapter *adapter);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
