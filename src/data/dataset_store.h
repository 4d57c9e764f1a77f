#ifndef CLORA_DATA_DATASET_STORE_H
#define CLORA_DATA_DATASET_STORE_H

#include <clora/dataset.h>

#include "base/shared.h"

/* All sequences end to end: sequence i is ids[start[i]] to ids[start[i + 1] - 1]. */
struct clora_dataset {
    shared shared;         /* held by the program and loaders */
    int32_t *ids, *labels; /* label: the id to predict here, -1 = not learnt */
    size_t *start;         /* count + 1 */
    size_t count;          /* whole sequences */
    size_t used;           /* ids, those of the sequence that is being added included */
    size_t id_capacity, label_capacity, start_capacity;
    clora_dataset_stats stats;
};

clora_status dataset_new(clora_dataset **out);

/* Put n ids at the end of the sequence that is being added. Negative labels, and labels = NULL, mean not learnt. */
clora_status dataset_push(clora_dataset *dataset, const int32_t *ids, const int32_t *labels, size_t n);

/* The sequence is whole. One without learnt ids is taken out again: *learnt says so. */
clora_status dataset_close_sequence(clora_dataset *dataset, size_t *learnt);

#endif
