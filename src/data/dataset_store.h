#ifndef CLORA_DATA_DATASET_STORE_H
#define CLORA_DATA_DATASET_STORE_H

#include <stdbool.h>

#include <clora/dataset.h>

#include "base/shared.h"

/* Of a sequence that is an answer to a prompt. */
typedef struct dataset_answer {
    int prompt;     /* the first so many ids are the prompt's, a bos included */
    bool desirable; /* of two answers to a prompt, which stand side by side, the first is */
} dataset_answer;

/* The sequences of one file. */
typedef struct dataset_part {
    size_t first, count;
    double weight;
} dataset_part;

/* All sequences end to end: sequence i is ids[start[i]] to ids[start[i + 1] - 1]. */
struct clora_dataset {
    shared shared;         /* held by the program and loaders */
    int32_t *ids, *labels; /* label: the id to predict here, -1 = not learnt */
    size_t *start;         /* count + 1 */
    size_t count;          /* whole sequences */
    size_t used;           /* ids, those of the sequence that is being added included */
    size_t id_capacity, label_capacity, start_capacity;
    clora_data_kind kind;
    dataset_answer *answer; /* of each sequence, where the kind is one of preferences; else NULL */
    size_t answer_capacity;
    char **name; /* of the labels of texts; ends with NULL */
    size_t names, name_capacity;
    dataset_part *part; /* of several files, else NULL: all sequences, once */
    size_t parts;
    int max_length; /* what longer sequences were cut to; 0: unknown */
    clora_dataset_stats stats;
};

clora_status dataset_new(clora_dataset **out);

/* Put n ids at the end of the sequence that is being added. Negative labels, and labels = NULL, mean not learnt. */
clora_status dataset_push(clora_dataset *dataset, const int32_t *ids, const int32_t *labels, size_t n);

/* Say of the sequence that is being added that it is an answer. */
clora_status dataset_mark_answer(clora_dataset *dataset, dataset_answer answer);

/* A whole sequence of a text with a label, which is one of the dataset's names. */
clora_status dataset_add_labelled(clora_dataset *dataset, const int32_t *ids, size_t n, int32_t label);

/* The number of a label's name, which is added where it `may` be; -1: it is none of them. */
clora_status dataset_find_label(int32_t *out, clora_dataset *dataset, const char *name, bool may);

/* Names sorted, and the labels of all sequences with their new numbers. */
clora_status dataset_sort_labels(clora_dataset *dataset);

/* The sequence is whole. One without learnt ids is taken out again: *learnt says so. */
clora_status dataset_close_sequence(clora_dataset *dataset, size_t *learnt);

#endif
