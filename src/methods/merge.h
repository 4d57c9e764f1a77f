#ifndef CLORA_METHODS_MERGE_H
#define CLORA_METHODS_MERGE_H

#include <clora/adapter.h>

#include "base/json.h"

/* clora_merge_with, with all its options, for a model whose config.json has been read and found to be of a family that
 * clora knows. The configuration is the callee's. */
clora_status merge_directories(const char *model_directory, json_t *config, const char *adapter_directory,
                               const char *out_directory, const clora_merge_options *options,
                               clora_merge_report *report);

#endif
