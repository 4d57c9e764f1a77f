#ifndef CLORA_MODEL_KEPT_FILES_H
#define CLORA_MODEL_KEPT_FILES_H

#include <stdint.h>

#include <clora/model.h>

#include "files/model_files.h"

/*
 * W0 of a module of a projection in the model's files, to come back to: a tensor is known by the hash of its bytes. A
 * tensor that is another one than was loaded is CLORA_ERROR_FORMAT with its name.
 */

/* Its hash, if it is what the weight holds. */
clora_status kept_files_note(uint64_t *hash, const model_files *files, const clora_model *model, int projection,
                             int module);

/* An error if it is not the one that was noted. */
clora_status kept_files_check(uint64_t hash, const model_files *files, const clora_model *model, int projection,
                              int module);

/* Into the weight again; checked as it is read. */
clora_status kept_files_restore(uint64_t hash, const model_files *files, const clora_model *model, int projection,
                                int module);

#endif
