/**
 * @file clora/adapter.h
 * @brief Tier 3: low-rank adapters: create, load, save, merge on disk and in the running model.
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

/**
 * @addtogroup tier3
 * @{
 */

/** The trainable part of a model. Made for one model, which it keeps. Any number of sessions use it at once; while a
 * trainer changes it, nobody else does. */
typedef struct clora_adapter clora_adapter;

/** Initialisation of A; B begins at zero where nothing else is said. A fresh adapter changes nothing. */
typedef enum clora_init {
    CLORA_INIT_GAUSSIAN = 0,      /**< N(0, 1/K): unit variance of A x for unit variance of x */
    CLORA_INIT_KAIMING = 1,       /**< uniform in +-1/sqrt(K): PEFT's default */
    CLORA_INIT_PEFT_GAUSSIAN = 2, /**< N(0, 1/R^2): PEFT's "gaussian" */
    CLORA_INIT_PISSA =
        3, /**< A and B are the largest singular values of W0 with their vectors (Meng et al. 2024), which
                             the base then has no more: y = W0 x + s (B A - B0 A0) x. Saved as plain LoRA of rank 2 R */
    CLORA_INIT_OLORA = 4, /**< likewise the beginning of W0's QR decomposition (Buyukakyuz 2024) */
} clora_init;

/** What to adapt and how. */
typedef struct clora_adapter_options {
    size_t size;                /**< of this struct, as the caller knows it */
    int rank;                   /**< R, at least 1 (default 8) */
    float alpha;                /**< numerator of the scale, above 0 (default 16) */
    int rslora;                 /**< 1: s = alpha / sqrt(R) (default 0) */
    float dropout;              /**< on the adapter's input while training, in [0, 1) (default 0) */
    const char *target_modules; /**< "all-linear" (every linear layer but the head), a comma-separated list of name
                                   endings, or a regular expression for whole names; lm_head and embed_tokens too
                                   (default "all-linear") */
    const char *rank_pattern;   /**< "name=rank,name=rank": other ranks for modules whose names end so; NULL for none */
    const char *alpha_pattern;  /**< the same for alpha; NULL for none */
    clora_init init;            /**< initialisation of A (default CLORA_INIT_GAUSSIAN) */
    uint64_t seed;              /**< of A's random numbers (default 0) */
    const char *const *labels;  /**< names of labels, NULL-terminated: the adapter has a head on the last token that
                                   tells which of them a text has, PEFT's SEQ_CLS (default NULL: it has none) */
    const char *modules_to_save; /**< modules of which the adapter has whole copies, which train too: a comma-separated
                                    list of embed_tokens, lm_head, norm and ends of these names, as PEFT has them; NULL
                                    for none */
    const char *exclude_modules; /**< names or an expression as target_modules has them: these are not adapted;
                                        NULL for none */
    const char *layers_to_transform; /**< only these layers are adapted, by number: "0,2,5-7"; target_modules is a list
                                        then; NULL for all */
    const char *layers_pattern;      /**< names, with commas, after which a layer's number stands; NULL: after the
                                        second part of a name */
    int dora;      /**< 1: rows of W0 + s B A are scaled to norms that train, PEFT's use_dora (default 0) */
    int lora_bias; /**< 1: B has a bias, y += s bias; not with dora (default 0) */
} clora_adapter_options;

/** The defaults of clora_adapter_options. */
#define CLORA_ADAPTER_OPTIONS_INIT                                                                                \
    {                                                                                                             \
        sizeof(clora_adapter_options), 8, 16.0f, 0, 0.0f, "all-linear", NULL, NULL, CLORA_INIT_GAUSSIAN, 0, NULL, \
            NULL, NULL, NULL, NULL, 0, 0                                                                          \
    }

/** What an adapter is. */
typedef struct clora_adapter_info {
    int rank;                    /**< R, where no pattern says otherwise */
    float alpha;                 /**< numerator of the scale, where no pattern says otherwise */
    float dropout;               /**< on the adapter's input while training */
    int rslora;                  /**< 1: s = alpha / sqrt(R) */
    int dora;                    /**< 1: rows of W0 + s B A are scaled to norms that train */
    int lora_bias;               /**< 1: B has a bias */
    int modules;                 /**< adapted linear layers, and the embedding */
    int64_t parameters;          /**< trainable scalars */
    const char *target_modules;  /**< as text: a list with commas, or the regular expression; borrowed */
    const char *const *labels;   /**< names of the labels that it tells apart, NULL-terminated; borrowed. NULL: none */
    const char *modules_to_save; /**< modules of which it has whole copies, with commas; borrowed. "" or NULL: none */
} clora_adapter_info;

/**
 * Make a fresh adapter: random A, zero B. Waits.
 *
 * @param[out] out      yours to free with clora_adapter_free()
 * @param[in]  model    kept until the adapter is freed
 * @param[in]  options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND when a target matches no module (the message lists what there is),
 * CLORA_ERROR_ARGUMENT for a rank below 1, a dropout outside [0, 1), DoRA and a bias of B at once or a broken regular
 * expression,
 * CLORA_ERROR_UNSUPPORTED when one module's A and B are larger than one buffer may be, CLORA_ERROR_OPENCL when the
 * device computes wrongly
 */
CLORA_API clora_status clora_adapter_create(clora_adapter **out, clora_model *model,
                                            const clora_adapter_options *options);

/**
 * Read a PEFT directory. Waits.
 *
 * Every tensor must be there, belong to a module and have its shape; kinds that clora cannot apply exactly
 * (modules_to_save of linear layers but the head, other peft types) are refused by name. Names that tensors have in
 * memory (lora_A.default.weight, wrappers of PyTorch, no base_model.model.) are understood.
 *
 * @param[out] out        yours to free with clora_adapter_free()
 * @param[in]  model      kept until the adapter is freed
 * @param[in]  directory  holds adapter_config.json and adapter_model.safetensors
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND for a missing file or a target that the model has not, CLORA_ERROR_FORMAT for
 * a tensor that is missing, left over, not finite, there twice, or of a shape that does not fit the model,
 * CLORA_ERROR_UNSUPPORTED for a kind that clora cannot apply
 */
CLORA_API clora_status clora_adapter_load(clora_adapter **out, clora_model *model, const char *directory);

/**
 * Several adapters as one, which everything that takes an adapter takes: each acts where it attaches, all at once.
 *
 * What is joined has no files: each part saves itself.
 *
 * @param[out] out    yours to free with clora_adapter_free()
 * @param[in]  parts  (count) of one model, at most one of which is on linear layers; kept until the joined one is freed
 * @param[in]  count  at least 1
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for parts of different models, two parts at the same place, or none
 */
CLORA_API clora_status clora_adapter_join(clora_adapter **out, clora_adapter *const *parts, size_t count);

/**
 * An adapter at another strength: y = W0 x + scale * s * B A x, of the same factors A and B, which are not copied. What
 * is trained of one is trained of both. It has no files: save the original.
 *
 * @param[out] out      yours to free with clora_adapter_free()
 * @param[in]  adapter  with low-rank terms alone; kept until the other is freed
 * @param[in]  scale    finite; 1 is the adapter as it is, 0 the base
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for an adapter that has no scale, or a scale that is not finite;
 * CLORA_ERROR_UNSUPPORTED for one with DoRA or a bias of B
 */
CLORA_API clora_status clora_adapter_scale(clora_adapter **out, clora_adapter *adapter, float scale);

/**
 * Positions that an adapter takes before a sequence's own tokens: those of a prefix or a prompt. They count against
 * the model's positions and the capacity of sessions.
 *
 * @param[in] adapter  NULL: 0
 *
 * @return the number of positions
 */
CLORA_API int clora_adapter_past(const clora_adapter *adapter);

/**
 * The method that an adapter was made by.
 *
 * @param[in] adapter  NULL: NULL
 *
 * @return as the command's --method has it: "lora", "full"; "joined" for clora_adapter_join(),
 * "scaled" for clora_adapter_scale(); not to be freed
 */
CLORA_API const char *clora_adapter_method(const clora_adapter *adapter);

/** How to save. */
typedef struct clora_adapter_save_options {
    size_t size;           /**< of this struct, as the caller knows it */
    const char *base_name; /**< goes into adapter_config.json as base_model_name_or_path; one that is not UTF-8 is left
                                out (default NULL: the name that was loaded; of a fresh adapter its model's place) */
    int overwrite;         /**< 1: take the place of an adapter that is there, such as an earlier state of this one
                                (default 0) */
    clora_dtype dtype; /**< of a PEFT directory's tensors, rounded to nearest; a value that it cannot hold is an error
                                (default CLORA_DTYPE_F32) */
} clora_adapter_save_options;

/** The defaults of clora_adapter_save_options. */
#define CLORA_ADAPTER_SAVE_OPTIONS_INIT \
    { sizeof(clora_adapter_save_options), NULL, 0, CLORA_DTYPE_F32 }

/**
 * Write a PEFT directory, each file complete or absent. Waits.
 *
 * The directory is made when it is not there (the one above it must be). While the call lasts no other process writes
 * to it; a program that works for hours before it saves claims it first (clora/output.h).
 *
 * @param[in] adapter    not changed
 * @param[in] directory  where to
 * @param[in] options    NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT when the directory holds an adapter already and is not to be overwritten, or a
 * model, whatever the options say, or another process has claimed it: nothing is changed then; CLORA_ERROR_NOT_FOUND
 * when the directory above it is not there, CLORA_ERROR_IO when the system cannot write
 */
CLORA_API clora_status clora_adapter_save(clora_adapter *adapter, const char *directory,
                                          const clora_adapter_save_options *options);

/**
 * Free an adapter. Sessions that have selected it and trainers keep it until they are freed.
 *
 * @param[in] adapter  NULL is allowed
 */
CLORA_API void clora_adapter_free(clora_adapter *adapter);

/**
 * What an adapter is.
 *
 * @param[in] adapter  NULL: zeros
 *
 * @return borrowed; lives as long as the adapter
 */
CLORA_API const clora_adapter_info *clora_adapter_get_info(const clora_adapter *adapter);

/**
 * Set the dropout of trainers made from now on. It is saved with the adapter.
 *
 * @param[in,out] adapter  of method lora or adapter; not NULL
 * @param[in]     dropout  on the adapter's input, of bottlenecks on what they add; in [0, 1)
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for a dropout outside [0, 1) and for another method
 */
CLORA_API clora_status clora_adapter_set_dropout(clora_adapter *adapter, float dropout);

/** One adapted linear layer, or the embedding. */
typedef struct clora_adapter_module_info {
    const char *name; /**< the module's path, as in clora_module_info */
    int out;          /**< N, outputs: B is (N, R) */
    int in;           /**< K, inputs: A is (R, K) */
    int rank;         /**< R */
    float scale;      /**< s */
} clora_adapter_module_info;

/**
 * One adapted module.
 *
 * @param[in] adapter  NULL: zeros
 * @param[in] i        0 to modules - 1 (clora_adapter_info); another: zeros
 *
 * @return borrowed; lives as long as the adapter
 */
CLORA_API const clora_adapter_module_info *clora_adapter_module(const clora_adapter *adapter, int i);

/**
 * Read the factors of one adapted module. Waits.
 *
 * @param[out] a        row major (R, K) floats, overwritten; NULL is allowed
 * @param[out] b        row major (N, R) floats, overwritten; NULL is allowed
 * @param[in]  adapter  of method lora; not changed
 * @param[in]  i        0 to modules - 1
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for another i and another method
 */
CLORA_API clora_status clora_adapter_read_module(float *a, float *b, clora_adapter *adapter, int i);

/** What a merge did. */
typedef struct clora_merge_result {
    size_t size;               /**< of this struct, as the caller knows it */
    int modules;               /**< merged weights */
    double max_change;         /**< largest |W - W0| before rounding */
    double max_rounding_error; /**< largest |stored - exact|, from rounding to the weight's type once */
    int own_head;              /**< of the whole: the base has a head that differs from the embedding, although its
                                    config.json ties the two; the merged config.json does not */
    int copies; /**< of the whole: tensors of which the adapter has a whole copy, which took their place */
} clora_merge_result;

/** A clora_merge_result to fill. */
#define CLORA_MERGE_RESULT_INIT \
    { sizeof(clora_merge_result), 0, 0.0, 0.0, 0, 0 }

/**
 * Called at the end of a merge, once for each kind of module.
 *
 * @param[in] user    as handed to the merge
 * @param[in] kind    the end of the modules' names, such as "q_proj"; borrowed during the call
 * @param[in] result  of all modules of the kind; borrowed during the call
 */
typedef void (*clora_merge_callback)(void *user, const char *kind, const clora_merge_result *result);

/** How to merge. */
typedef struct clora_merge_options {
    size_t size;                   /**< of this struct, as the caller knows it */
    int dtype;                     /**< a clora_dtype for the matrices, or -1 for each tensor's own (default -1) */
    clora_merge_callback callback; /**< told of each kind of module at the end (default NULL) */
    clora_progress progress;       /**< told every few megabytes of the base's tensors written (default NULL) */
    void *user;                    /**< handed to both; borrowed (default NULL) */
} clora_merge_options;

/** The defaults of clora_merge_options. */
#define CLORA_MERGE_OPTIONS_INIT \
    { sizeof(clora_merge_options), -1, NULL, NULL, NULL }

/**
 * Write a complete model directory whose weights are W0 + s B A, with DoRA scaled row by row, so that inference costs
 * exactly what the base costs. Works tensor by tensor on the host and needs no device; products in float, rounding
 * once. Any thread.
 *
 * @param[in]  model_directory    never written to
 * @param[in]  adapter_directory  a PEFT directory
 * @param[in]  out_directory      must not exist, or be empty; nobody else's output meanwhile (clora/output.h)
 * @param[in]  options            NULL for the defaults
 * @param[out] result             overwritten when the merge succeeds; NULL is allowed
 *
 * @return CLORA_OK; CLORA_CANCELLED when progress stopped it: nothing is written then; CLORA_ERROR_FORMAT when a merged
 * value is not finite or a file is not what it says, CLORA_ERROR_NOT_FOUND for a missing file, CLORA_ERROR_ARGUMENT
 * when out_directory is not empty or lies in model_directory, CLORA_ERROR_UNSUPPORTED for a model_type that clora does
 * not know, a quantized base, a bias of B where the base has none and a link that leads out of model_directory to a
 * file that would be copied, CLORA_ERROR_IO when the system cannot write. After any failure nothing is left in
 * out_directory; what a process that was killed had written there goes when the next one writes to it
 */
CLORA_API clora_status clora_merge(const char *model_directory, const char *adapter_directory,
                                   const char *out_directory, const clora_merge_options *options,
                                   clora_merge_result *result);

/**
 * Where W0 is while an adapter is merged into a running model, so that it comes back bit by bit. Never is it recovered
 * by subtracting, which drifts (docs/lora.md).
 */
typedef enum clora_keep_base {
    CLORA_KEEP_BASE_AUTO = 0,   /**< on the device where its memory has room, else in the files */
    CLORA_KEEP_BASE_DEVICE = 1, /**< a copy of the adapted weights on the device: a switch is one pass over them */
    CLORA_KEEP_BASE_FILE = 2, /**< in the model's files, which are read and checked again: no memory, but their time */
} clora_keep_base;

/** How to merge into a running model. */
typedef struct clora_adapter_merge_options {
    size_t size;               /**< of this struct, as the caller knows it */
    clora_keep_base keep_base; /**< where W0 is meanwhile (default CLORA_KEEP_BASE_AUTO) */
} clora_adapter_merge_options;

/** The defaults of clora_adapter_merge_options. */
#define CLORA_ADAPTER_MERGE_OPTIONS_INIT \
    { sizeof(clora_adapter_merge_options), CLORA_KEEP_BASE_AUTO }

/**
 * Merge an adapter into the weights of a running model: W = W0 + s B A, so that each token costs what the base's does.
 * Waits.
 *
 * Sums are made in float from W0 and rounded once to the storage type of the weight; in q8_0 the sum is quantized again
 * as loading does it. Merging the same adapter once more starts from W0 again and gives the same bytes.
 *
 * From then on the model computes with W wherever no adapter is selected; sessions that have selected this one compute
 * the same, without its term. Another adapter on linear layers is refused, and so is training: they belong to W0.
 * Tokens that sessions have in their caches stay as they are.
 *
 * The adapter may be freed while it is merged; it stays in the weights until clora_adapter_unmerge(). No other thread
 * may use the model during the call.
 *
 * @param[in,out] model    its weights; all the same after a failure
 * @param[in]     adapter  of this model, on linear layers alone
 * @param[in]     options  NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for an adapter of another model, for another one when one is merged already,
 * and to keep W0 in files that it is not in (after clora_full_create(), clora_model_create()); CLORA_ERROR_UNSUPPORTED
 * for a method that cannot be merged, a head that is the embedding, and an outline; CLORA_ERROR_FORMAT when a sum is
 * not finite in the storage type or the files are not those that were loaded; CLORA_ERROR_MEMORY when W0 has no room
 */
CLORA_API clora_status clora_adapter_merge(clora_model *model, clora_adapter *adapter,
                                           const clora_adapter_merge_options *options);

/**
 * Merge another adapter in the place of the one that is: the bytes of the weights are those of a merge into W0. Waits.
 *
 * One pass over the adapted weights: W0, A and B are read, W is written.
 *
 * @param[in,out] model    an adapter is merged into it: after a failure still, or none where that one is freed
 * @param[in]     adapter  as for clora_adapter_merge()
 *
 * @return as clora_adapter_merge(); CLORA_ERROR_ARGUMENT when none is merged
 */
CLORA_API clora_status clora_adapter_switch(clora_model *model, clora_adapter *adapter);

/**
 * Give a model its own weights back, bit by bit, and the memory that kept them. Waits.
 *
 * @param[in,out] model  an adapter is merged into it
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT when none is merged; CLORA_ERROR_FORMAT when W0 is kept in files that have
 * changed: the adapter is still merged then. Where a failure leaves weights in between (a file that cannot be read half
 * way) the model computes nothing any more until a further call succeeds
 */
CLORA_API clora_status clora_adapter_unmerge(clora_model *model);

/**
 * Whether an adapter is merged into the weights of a running model.
 *
 * @param[in] model    NULL: 0
 * @param[in] adapter  NULL: any
 *
 * @return 1 if it is, else 0
 */
CLORA_API int clora_adapter_is_merged(const clora_model *model, const clora_adapter *adapter);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
