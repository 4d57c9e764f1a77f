/**
 * @file clora/adapter.h
 * @brief Tier 3: low-rank adapters: create, load, save, merge.
 *
 * For each targeted linear layer with the frozen weight W0 (N, K):
 *
 *     y = x W0^T + s (x A^T) B^T      A (R, K), B (N, R), s = alpha / R   (rank-stabilised: alpha / sqrt(R))
 *
 * Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models"; the scale alpha / sqrt(R) is Kalajdzievski
 * 2023. On disk an adapter is a PEFT directory: adapter_config.json and adapter_model.safetensors (docs/formats.md).
 */
#ifndef CLORA_ADAPTER_H
#define CLORA_ADAPTER_H

#include <clora/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The trainable part of a model. Made for one model, which it keeps. */
typedef struct clora_adapter clora_adapter;

/** How A begins; B begins at zero, so that a fresh adapter changes nothing. */
typedef enum clora_init {
    CLORA_INIT_GAUSSIAN = 0,      /**< N(0, 1/K): unit variance of A x for unit variance of x */
    CLORA_INIT_KAIMING = 1,       /**< uniform in +-1/sqrt(K): PEFT's default */
    CLORA_INIT_PEFT_GAUSSIAN = 2, /**< N(0, 1/R^2): PEFT's "gaussian" */
} clora_init;

/** What to adapt and how. */
typedef struct clora_adapter_options {
    int rank;                   /**< R, at least 1 (default 8) */
    float alpha;                /**< numerator of the scale (default 16) */
    int rslora;                 /**< 1: s = alpha / sqrt(R) (default 0) */
    float dropout;              /**< on the adapter's input while training, in [0, 1) (default 0) */
    const char *target_modules; /**< "all-linear" (every linear layer but the head), a comma-separated list of name
                                   endings, or a regular expression for whole names (default "all-linear") */
    const char *rank_pattern;   /**< "name=rank,name=rank": other ranks for modules whose names end so; NULL for none */
    const char *alpha_pattern;  /**< the same for alpha; NULL for none */
    clora_init init;            /**< (default CLORA_INIT_GAUSSIAN) */
    uint64_t seed;              /**< of A's random numbers (default 0) */
} clora_adapter_options;

#define CLORA_ADAPTER_OPTIONS_INIT \
    { 8, 16.0f, 0, 0.0f, "all-linear", NULL, NULL, CLORA_INIT_GAUSSIAN, 0 }

/** What an adapter is. */
typedef struct clora_adapter_info {
    int rank;
    float alpha, dropout;
    int rslora;
    int modules;                /**< adapted linear layers */
    int64_t parameters;         /**< trainable scalars */
    const char *target_modules; /**< as text: a list with commas, or the regular expression; borrowed */
} clora_adapter_info;

/**
 * Make a fresh adapter: random A, zero B.
 *
 * @return CLORA_ERROR_NOT_FOUND when a target matches no module (the message lists what there is), CLORA_ERROR_ARGUMENT
 * for a rank below 1, a dropout outside [0, 1) or a broken regular expression
 */
CLORA_API clora_status clora_adapter_create(clora_adapter **out, clora_model *model,
                                            const clora_adapter_options *options);

/**
 * Read a PEFT directory. Every tensor must be there, belong to a module and have its shape; kinds that clora cannot
 * apply exactly (DoRA, modules_to_save, other peft types) are refused by name. Names that tensors have in memory
 * (lora_A.default.weight, wrappers of PyTorch, no base_model.model.) are understood; two of one factor are
 * CLORA_ERROR_FORMAT.
 */
CLORA_API clora_status clora_adapter_load(clora_adapter **out, clora_model *model, const char *directory);

/** How to save. */
typedef struct clora_adapter_save_options {
    size_t size;           /**< of this struct, as the caller knows it */
    const char *base_name; /**< goes into adapter_config.json as base_model_name_or_path; one that is not UTF-8 is left
                                out (default NULL: the name that was loaded, if any) */
    int overwrite;         /**< 1: take the place of an adapter that is there, such as an earlier state of this one
                                (default 0) */
} clora_adapter_save_options;

#define CLORA_ADAPTER_SAVE_OPTIONS_INIT \
    { sizeof(clora_adapter_save_options), NULL, 0 }

/**
 * Write a PEFT directory: float32 tensors, each file complete or absent. The directory is made when it is not there.
 * While the call lasts no other process writes to it; a program that works for hours before it saves claims it first
 * (clora/output.h).
 *
 * @param[in] base_name  as in the options; may be NULL
 *
 * @return CLORA_ERROR_ARGUMENT when the directory holds an adapter already, or a model: nothing is changed then
 */
CLORA_API clora_status clora_adapter_save(clora_adapter *adapter, const char *directory, const char *base_name);

/**
 * clora_adapter_save() with options. A directory that holds a model is refused whatever they say.
 *
 * @param[in] options  NULL for the defaults
 */
CLORA_API clora_status clora_adapter_save_with(clora_adapter *adapter, const char *directory,
                                               const clora_adapter_save_options *options);

/** Free an adapter. NULL is allowed. */
CLORA_API void clora_adapter_free(clora_adapter *adapter);

CLORA_API clora_adapter_info clora_adapter_get_info(const clora_adapter *adapter);

/** Set the dropout of later training, in [0, 1). */
CLORA_API clora_status clora_adapter_set_dropout(clora_adapter *adapter, float dropout);

/**
 * One adapted module on the host, for inspection and tests.
 *
 * @param[in]  i      0 .. modules - 1
 * @param[out] name   the module's path; borrowed. Each out parameter may be NULL.
 * @param[out] a      (R, K) floats; R, K, N come back in the ints. Call first with a and b NULL to learn the sizes.
 * @param[out] b      (N, R) floats
 *
 * Waits.
 */
CLORA_API clora_status clora_adapter_module(clora_adapter *adapter, int i, const char **name, int *R, int *K, int *N,
                                            float *scale, float *a, float *b);

/** What a merge did. */
typedef struct clora_merge_report {
    int modules;               /**< merged weights */
    double max_change;         /**< largest |s B A| */
    double max_rounding_error; /**< largest |stored - exact|, from rounding to the weight's type once */
    int own_head;              /**< of the whole: the base has a head that differs from the embedding, although its
                                    config.json ties the two; the merged config.json does not */
} clora_merge_report;

/** Called once for each kind of module ("q_proj", "down_proj", ...). */
typedef void (*clora_merge_callback)(void *user, const char *kind, const clora_merge_report *report);

/**
 * Write a complete model directory whose weights are W0 + s B A, so that inference costs exactly what the base costs.
 * Works tensor by tensor on the host; needs no device. Products in float, rounding once.
 *
 * @param[in] model_directory    never written to
 * @param[in] adapter_directory  a PEFT directory
 * @param[in] out_directory      must not exist, or be empty; nobody else's output meanwhile (clora/output.h)
 * @param[in] dtype              a clora_dtype for the matrices, or -1 for each tensor's own
 *
 * @return CLORA_ERROR_FORMAT when a merged value is not finite, CLORA_ERROR_UNSUPPORTED for a quantized base and for a
 * link that leads out of model_directory to a file that would be copied. After any failure nothing is left in
 * out_directory; what a process that was killed had written there goes when the next one writes to it
 */
CLORA_API clora_status clora_merge(const char *model_directory, const char *adapter_directory,
                                   const char *out_directory, int dtype, clora_merge_callback callback, void *user,
                                   clora_merge_report *report);

/** Called every few megabytes with the bytes of the base's tensors written so far and in all; non-zero stops. */
typedef int (*clora_merge_progress)(void *user, int64_t done, int64_t total);

/** How to merge. */
typedef struct clora_merge_options {
    size_t size;                   /**< of this struct, as the caller knows it */
    int dtype;                     /**< a clora_dtype for the matrices, or -1 for each tensor's own (default -1) */
    clora_merge_callback callback; /**< told of each kind of module at the end (default NULL) */
    clora_merge_progress progress; /**< (default NULL) */
    void *user;                    /**< handed to both; borrowed (default NULL) */
} clora_merge_options;

#define CLORA_MERGE_OPTIONS_INIT \
    { sizeof(clora_merge_options), -1, NULL, NULL, NULL }

/**
 * clora_merge() with options.
 *
 * @param[in]  options  NULL for the defaults
 * @param[out] report   overwritten when the merge succeeds; NULL is allowed
 *
 * @return CLORA_ERROR_ARGUMENT also when the progress callback stopped the merge; nothing is left in out_directory then
 */
CLORA_API clora_status clora_merge_with(const char *model_directory, const char *adapter_directory,
                                        const char *out_directory, const clora_merge_options *options,
                                        clora_merge_report *report);

#ifdef __cplusplus
}
#endif
#endif
