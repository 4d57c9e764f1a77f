#ifndef CLORA_METHODS_FULL_OTHERS_H
#define CLORA_METHODS_FULL_OTHERS_H

#include "files/model_files.h"
#include "methods/base_model.h"

/* Tensors of a model's files that no text needs. A model that is saved has them as they are there. */
typedef struct full_others {
    model_files *files;
    const stored_tensor **tensor;
    size_t count;
} full_others;

/* To be finished either way. */
clora_status full_others_init(full_others *out, const base_model *base);
void full_others_finish(full_others *others);

/* All of them as one file. */
clora_status full_others_write(const full_others *others, const char *path);

#endif
