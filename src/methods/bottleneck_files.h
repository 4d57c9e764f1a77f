#ifndef CLORA_METHODS_BOTTLENECK_FILES_H
#define CLORA_METHODS_BOTTLENECK_FILES_H

#include <clora/adapter.h>

#include "base/json.h"
#include "files/safetensors.h"
#include "ops/bottleneck.h"

/*
 * The tensors of a bottleneck adapter in AdapterHub's adapter.safetensors, beside its adapter_config.json. `values` is
 * a host image of all bottlenecks, one after the other (ops/bottleneck.h); sublayers without one are NULL.
 */

/* The file of the tensors, or what the directory holds in its place. */
clora_status bottleneck_files_open(safetensors **out, const char *directory);

/* Those of a model, whose layers' names begin so: "model.layers". */
typedef struct bottleneck_list {
    const char *layers;
    bottleneck *const *sublayer;
    int count;
} bottleneck_list;

/* Every tensor must be there, in shape and finite, and none left over. name: the adapter's own. */
clora_status bottleneck_files_read(float *values, const char *directory, const char *name, const bottleneck_list *list);

/* Write a directory, made when it is not there: the tensors, then the settings. */
clora_status bottleneck_files_write(const char *directory, const clora_adapter_save_options *options,
                                    const json_t *config, const bottleneck_list *list, const float *values);

#endif
