#ifndef CLORA_METHODS_MERGE_H
#define CLORA_METHODS_MERGE_H

#include <clora/adapter.h>

#include "base/json.h"
#include "files/model_names.h"

/* The model that is merged into: its directory, its config.json, which the callee frees, and its tensors' names. */
typedef struct merge_base {
    const char *directory;
    json_t *config;
    const model_names *names;
    bool tied; /* the embedding is the head where config.json does not say */
} merge_base;

/* clora_merge, with all its options, for a model whose config.json has been read and found to be of a family that
 * clora knows. */
clora_status merge_directories(const merge_base *base, const char *adapter_directory, const char *out_directory,
                               const clora_merge_options *options, clora_merge_result *report);

#endif
