#ifndef CLORA_DATA_DATASET_STORE_H
#define CLORA_DATA_DATASET_STORE_H

#include <stdbool.h>

#include <clora/dataset.h>

#include "base/file.h"
#include "base/shared.h"

typedef struct sequence_writer sequence_writer; /* data/sequence_writer.h */

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

/* A whole sequence among the values: its ids from `at` on, then as many labels. */
typedef struct dataset_place {
    size_t at, count;
} dataset_place;

/* The sequences' values are in memory, in a file, or those of another dataset of which this one is a part. */
struct clora_dataset {
    shared shared;         /* held by the program, loaders and parts */
    const int32_t *values; /* label: the id to predict here, -1 = not learnt */
    dataset_place *place;  /* (count) */
    size_t count;          /* whole sequences */
    size_t place_capacity;
    int32_t *ids, *labels; /* (open)  of the sequence that is being added */
    size_t open, id_capacity, label_capacity;
    int32_t *own; /* (used)  values in memory */
    size_t used, own_capacity;
    sequence_writer *writer; /* of the file that values go to, while there is one */
    file_map file;           /* from which they come */
    char *path;              /* its name, or NULL */
    const clora_dataset *whole;
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

/* Those of a whole sequence, as many as its place says. */
static inline const int32_t *dataset_ids(const clora_dataset *dataset, size_t i) {
    return dataset->values + dataset->place[i].at;
}
static inline const int32_t *dataset_labels(const clora_dataset *dataset, size_t i) {
    return dataset_ids(dataset, i) + dataset->place[i].count;
}

/* Where the label of its last id is among the values. */
static inline size_t dataset_last_value(const clora_dataset *dataset, size_t i) {
    return dataset->place[i].at + 2 * dataset->place[i].count - 1;
}

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

/* All sequences are there: what depends on all of them is put into the stats. */
void dataset_complete(clora_dataset *dataset);

/* One that is whole in another dataset, from whose values it comes. */
clora_status dataset_share_sequence(clora_dataset *dataset, const clora_dataset *whole, size_t i);

#endif
