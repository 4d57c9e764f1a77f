/**
 * @file clora/inspect.h
 * @brief Tier 3: what lies on disk, from the heads of its files: nothing is loaded and no device is needed.
 */
#ifndef CLORA_INSPECT_H
#define CLORA_INSPECT_H

#include <stddef.h>
#include <stdint.h>

#include <clora/dataset.h>
#include <clora/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** Tensors of one storage type. */
typedef struct clora_stored_type {
    char dtype[16];   /**< as the file writes it: "F32", "BF16", "I64", ... */
    int tensors;      /**< number of them */
    int64_t elements; /**< scalars of them all */
} clora_stored_type;

/** The tensors of a directory. Free with clora_stored_free(). */
typedef struct clora_stored {
    int files;                            /**< safetensors files */
    int tensors;                          /**< number of them */
    int64_t elements;                     /**< scalars of all tensors */
    size_t bytes;                         /**< of all tensors, without the heads of the files */
    size_t types;                         /**< of tensors */
    const clora_stored_type *const *type; /**< (types)  each of them, that with most scalars first */
} clora_stored;

/**
 * Look at the weights of a Hugging Face model directory: model.safetensors, or the shards of its index. Any thread.
 *
 * @param[out] out        yours to free with clora_stored_free()
 * @param[in]  directory  a model directory
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND without them, CLORA_ERROR_FORMAT for a file that is not what it says
 */
CLORA_API clora_status clora_inspect_model(clora_stored **out, const char *directory);

/**
 * Free what clora_inspect_model() made.
 *
 * @param[in] stored  NULL is allowed
 */
CLORA_API void clora_stored_free(clora_stored *stored);

/** What an adapter's settings say. Free with clora_inspected_adapter_free(). */
typedef struct clora_inspected_adapter {
    int rank;              /**< r */
    float alpha;           /**< lora_alpha */
    float dropout;         /**< lora_dropout */
    int rslora;            /**< use_rslora */
    int modules;           /**< adapted linear layers, by their tensors */
    char *base;            /**< base_model_name_or_path; "" when it is not set */
    char *target_modules;  /**< a list with commas, or a regular expression */
    char *rank_pattern;    /**< "name=value,name=value"; "" for none */
    char *alpha_pattern;   /**< "name=value,name=value"; "" for none */
    clora_stored *stored;  /**< its tensors */
    const char *method;    /**< as clora_adapter_method() has it; of the fields above, `lora` has all, others have base,
                               modules and stored, and texts that are "" */
    int columns;           /**< `adapter`: of the bottleneck in the first layer that has one */
    int swish;             /**< `adapter`: 1: the nonlinearity is swish, 0: relu */
    int reads_stream;      /**< `adapter`: as in clora_bottleneck_info */
    char **labels;         /**< `lora`: names of the labels that it tells, NULL-terminated; NULL: it tells none */
    int positions;         /**< `prefix`, `prompt`: before every sequence */
    char *modules_to_save; /**< `lora`: modules of which it has whole copies, with commas; "" or NULL for none */
    int dora;              /**< use_dora */
    int lora_bias;         /**< lora_bias */
} clora_inspected_adapter;

/**
 * Look at the directory of an adapter of any method. Kinds that clora cannot apply exactly are refused by name, as
 * clora_adapter_load() does; whether the tensors fit a model only that call can tell. Any thread.
 *
 * @param[out] out        yours to free with clora_inspected_adapter_free()
 * @param[in]  directory  of the adapter
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND for a missing file, CLORA_ERROR_FORMAT for one that is not what it says,
 * CLORA_ERROR_UNSUPPORTED for a kind that clora cannot apply
 */
CLORA_API clora_status clora_inspect_adapter(clora_inspected_adapter **out, const char *directory);

/**
 * Free what clora_inspect_adapter() made.
 *
 * @param[in] adapter  NULL is allowed
 */
CLORA_API void clora_inspected_adapter_free(clora_inspected_adapter *adapter);

/** What a data file holds. */
typedef struct clora_inspected_data {
    size_t size;                /**< of this struct, as the caller knows it */
    int64_t pairs;              /**< number of them */
    int64_t context_characters; /**< code points of all contexts */
    int64_t target_characters;  /**< code points of all targets */
    int64_t longest;            /**< code points of the longest pair */
} clora_inspected_data;

/** A clora_inspected_data to fill. */
#define CLORA_INSPECTED_DATA_INIT \
    { sizeof(clora_inspected_data), 0, 0, 0, 0 }

/**
 * Read a data file as clora_dataset_load() does and count; no tokenizer is needed. Any thread.
 *
 * @param[out] out      overwritten
 * @param[in]  path     the data file
 * @param[in]  options  of which columns, keys and pair_template are used; NULL for the defaults. Of conversations, and
 *                      of pairs that a chat template makes text, what is said counts
 *
 * @return as clora_dataset_load()
 */
CLORA_API clora_status clora_inspect_data(clora_inspected_data *out, const char *path,
                                          const clora_dataset_options *options);

/**
 * Check that a new adapter or model could be written to a directory. Any thread.
 *
 * It must be absent and possible to make (the directory above it is there), or empty and writable, and claimed by
 * nobody (clora/output.h). Nothing is left there.
 *
 * @param[in] directory  not NULL
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT when it is not empty or claimed, CLORA_ERROR_NOT_FOUND when the directory
 * above it is not there, CLORA_ERROR_IO when the system does not allow it
 */
CLORA_API clora_status clora_inspect_output(const char *directory);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
