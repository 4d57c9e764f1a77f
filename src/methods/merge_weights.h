#ifndef CLORA_METHODS_MERGE_WEIGHTS_H
#define CLORA_METHODS_MERGE_WEIGHTS_H

#include <clora/adapter.h>

#include "files/model_tables.h"
#include "methods/merge_files.h"
#include "methods/peft.h"

/* What has happened to the modules of one kind, such as all q_proj. */
typedef struct merge_kind {
    const char *name;
    clora_merge_result report;
} merge_kind;

/* A bias that the adapter's changes, by lora_bias. */
typedef struct merge_bias {
    const stored_tensor *tensor;
    int module;
} merge_bias;

typedef struct merge {
    const char *model; /* its directory */
    int dtype;         /* of the matrices, or -1 */
    json_t *config;
    const model_names *names;
    bool tied; /* as is usual for the family */
    model_files *set;
    peft_adapter adapter;
    target_module *module;        /* the base's linear layers */
    const stored_tensor **tensor; /* and where each one's weight lies */
    int modules;
    base_tensor *base; /* its tensors that an adapter may have whole copies of, by name: with both of tied tables */
    int bases;
    merge_bias *bias; /* by their addresses */
    size_t biases;
    model_tables tables;
    bool own_head; /* beside an embedding that config.json ties it to */
    int sorted;    /* modules in the order of their weights' names; those after them have the embedding table: */
    int embedding; /* it as a module, or -1 */
    int tied_head; /* a head that is tied to it, or -1 */
    bool splits;   /* the adapter changes one of the two, so that the head becomes a tensor of its own */
    outdir output;
    clora_merge_result copies; /* tensors taken from the adapter whole */
    merge_kind *kinds;
    size_t kind_count, kind_capacity;
    size_t bytes; /* of all tensors written */
    const clora_merge_options *options;
    int64_t done, total; /* bytes of the base's tensors */
} merge;

/* The biases that the adapter changes; where the base has none, a refusal that names the layer. */
clora_status merge_find_biases(merge *m, const char *adapter);

/* Write one of the base's files again, its adapted weights merged: tensor by tensor, some rows in memory. */
clora_status merge_write_file(merge *m, size_t file);

/* So many bytes more of the base's tensors are written: an error when the caller wants to stop. */
clora_status merge_advance(merge *m, size_t bytes);

/* The last part of the path of one of the base's files. */
const char *merge_file_name(const merge *m, size_t file);

/* The adapter's copy of one of the base's tensors, or NULL. */
const stored_tensor *merge_copy_of(const merge *m, const char *name);

/* Whether a tensor can be a weight (N, K). */
bool merge_is_matrix(const stored_tensor *t);

#endif
