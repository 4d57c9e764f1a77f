#ifndef CLORA_DATA_ANSWERS_H
#define CLORA_DATA_ANSWERS_H

#include "data/dataset.h"

/* Some rows of a batch, one after the other; row b * T + t is position t of its b-th. */
typedef struct row_span {
    int begin, count;
} row_span;

/* An answer of a batch. */
typedef struct batch_answer {
    row_span prompt, answer; /* what predicts the prompt's ids but the first (one for both answers), and the answer's */
    size_t sequence;         /* of the dataset; where prompts and answers are mismatched, the prompt's */
    bool desirable;
} batch_answer;

/* Prompts with their answers, a prompt's side by side. */
typedef struct answer_batch {
    clora_batch rows; /* a row for each prompt; only answers have targets, and the prompts that are to be learnt */
    batch_answer *answer;
    size_t count;
} answer_batch;

typedef struct answer_loader_options {
    int batch_size; /* prompts of a batch; the last of an epoch may have fewer */
    int shuffle;    /* 1: a new order each epoch, from seed and epoch alone */
    uint64_t seed;
    bool learn_prompts; /* those of desirable answers */
    bool mismatch;      /* they will be looked at with the answers of others */
    int prompt;         /* at most so many ids are put before a sequence: prompt_id, prompt_id + 1, ... */
    int32_t prompt_id;
} answer_loader_options;

/* Walks over a dataset of preferences, batch by batch and epoch by epoch. */
typedef struct answer_loader answer_loader;

/* The dataset is held. */
clora_status answer_loader_create(answer_loader **out, const clora_dataset *dataset,
                                  const answer_loader_options *options);
void answer_loader_free(answer_loader *loader); /* NULL is allowed */

/* How a batch is laid out. */
typedef struct answer_view {
    bool mismatched; /* each prompt with the answer that belongs to the one before it, the first with the last's */
    int prompt;      /* ids put before each sequence */
} answer_view;

/* The batch that comes next, borrowed until the next call; after an epoch's last comes the next epoch's first. */
void answer_loader_peek(answer_loader *loader, const answer_view *view, const answer_batch **out);

/* Go on to the one after it. */
void answer_loader_advance(answer_loader *loader);

/* That of the batch that comes next, and going to one. */
batch_place answer_loader_place(const answer_loader *loader);
clora_status answer_loader_seek(answer_loader *loader, batch_place place);

/* Ids of the longest row that a loader may make of a dataset of preferences. */
int answers_longest_row(const clora_dataset *dataset);

size_t answer_loader_batches_per_epoch(const answer_loader *loader);

/* The largest batch is of B x T ids. */
void answer_loader_shape(const answer_loader *loader, int *B, int *T);

#endif
