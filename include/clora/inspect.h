/**
 * @file clora/inspect.h
 * @brief Tier 3: what lies on disk, from the heads of its files: nothing is loaded and no device is needed.
 */
#ifndef CLORA_INSPECT_H
#define CLORA_INSPECT_H

#include <stddef.h>
#include <stdint.h>

#include <clora/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Tensors of one storage type. */
typedef struct clora_stored_type {
    char dtype[16]; /**< as the file writes it: "F32", "BF16", "I64", ... */
    int tensors;
    int64_t elements;
} clora_stored_type;

enum { CLORA_STORED_TYPES = 16 };

/** The tensors of a directory. */
typedef struct clora_stored {
    int files; /**< safetensors files */
    int tensors;
    int64_t elements; /**< scalars of all tensors */
    size_t bytes;     /**< of all tensors, without the heads of the files */
    int types;        /**< entries of type[]; the largest first */
    clora_stored_type type[CLORA_STORED_TYPES];
} clora_stored;

/**
 * Look at the weights of a Hugging Face model directory: model.safetensors, or the shards of its index.
 *
 * @return CLORA_ERROR_NOT_FOUND without them, CLORA_ERROR_FORMAT for a file that is not what it says
 */
CLORA_API clora_status clora_inspect_model(clora_stored *out, const char *directory);

/** What an adapter_config.json says. */
typedef struct clora_inspected_adapter {
    int rank;
    float alpha, dropout;
    int rslora;
    int modules;                        /**< adapted linear layers, by their tensors */
    char *base;                         /**< base_model_name_or_path; "" when it is not set */
    char *target_modules;               /**< a list with commas, or a regular expression */
    char *rank_pattern, *alpha_pattern; /**< "name=value,name=value"; "" for none */
    clora_stored stored;
} clora_inspected_adapter;

/**
 * Look at a PEFT directory. Kinds that clora cannot apply exactly are refused by name, as clora_adapter_load() does;
 * whether the tensors fit a model only that call can tell.
 *
 * @param[out] out  finish with clora_inspected_adapter_finish()
 */
CLORA_API clora_status clora_inspect_adapter(clora_inspected_adapter *out, const char *directory);

/** Free what clora_inspect_adapter() made. A zeroed one is allowed. */
CLORA_API void clora_inspected_adapter_finish(clora_inspected_adapter *adapter);

/** What a data file holds. */
typedef struct clora_inspected_data {
    int64_t pairs;
    int64_t context_characters, target_characters; /**< code points */
    int64_t longest;                               /**< characters of the longest pair */
} clora_inspected_data;

/**
 * Read a data file as clora_dataset_load() does and count; no tokenizer is needed.
 *
 * @param[in] columns  of a CSV file: "CONTEXT,TARGET"; NULL for "context,target"
 */
CLORA_API clora_status clora_inspect_data(clora_inspected_data *out, const char *path, const char *columns);

/**
 * Could a new adapter or model be written to this directory? It must be absent and possible to make (the directory
 * above it is there), or empty and writable, and claimed by nobody (clora/output.h). Nothing is left behind.
 *
 * @return CLORA_ERROR_ARGUMENT when it is not empty or claimed, CLORA_ERROR_IO when the system does not allow it
 */
CLORA_API clora_status clora_inspect_output(const char *directory);

#ifdef __cplusplus
}
#endif
#endif
