#ifndef CLORA_MODEL_KEPT_BASE_H
#define CLORA_MODEL_KEPT_BASE_H

#include <stdint.h>

#include <clora/adapter.h>

#include "files/model_files.h"
#include "ops/weight.h"

/*
 * W0 of the projections that an adapter has been merged into: copies on the device, or the model's files, which stay
 * open and whose tensors are known by hashes of their bytes.
 */
typedef struct kept_base {
    clora_keep_base where; /* CLORA_KEEP_BASE_DEVICE or CLORA_KEEP_BASE_FILE */
    int projections;
    bool *kept;           /* of each: is its W0 kept? Others have not changed */
    clora_tensor ***copy; /* on the device: of each projection its parts */
    model_files *files;
    uint64_t (*hash)[WEIGHT_MODULES]; /* of each projection's modules there */
} kept_base;

/* Begin with nothing. `where` is decided here when it is AUTO: by the memory that an adapter's projections take. */
clora_status kept_base_begin(kept_base *k, const clora_model *model, clora_keep_base where,
                             const clora_adapter *adapter);

/* Keep W0 of the projections of an adapter that are not kept yet, whose weights are W0. After a failure those that were
 * kept before still are. */
clora_status kept_base_add(kept_base *k, const clora_model *model, const clora_adapter *adapter);

/* An error, before any weight changes, where W0 is not what it was. */
clora_status kept_base_verify(const kept_base *k, const clora_model *model);

/* W0 of a module into its weight. */
clora_status kept_base_restore(const kept_base *k, const clora_model *model, int projection, int module);

/* W0 of a part of a projection: where files keep it, the weight's own, which has been restored. */
const clora_tensor *kept_base_part(const kept_base *k, const clora_model *model, int projection, int part);

void kept_base_finish(kept_base *k, const clora_model *model);

#endif
