#ifndef CLORA_CHECKPOINT_RUN_TERMS_H
#define CLORA_CHECKPOINT_RUN_TERMS_H

#include "base/json.h"
#include "train/trainer.h"

/*
 * What a run's numbers depend on, besides the device and its tuned parameters: options, data, base and what trains,
 * each under the name that a message has for it. The data and the base are there as hashes of all their bytes.
 */
clora_status run_terms_describe(json_t **out, const clora_trainer *trainer);

/* CLORA_ERROR_ARGUMENT that names the first in which the run of a checkpoint differs from this one. */
clora_status run_terms_compare(const json_t *theirs, const json_t *own, const char *path);

#endif
