#ifndef CLORA_DATA_DATASET_H
#define CLORA_DATA_DATASET_H

#include <stdbool.h>

#include <clora/dataset.h>

#include "base/status.h"

clora_data_kind dataset_kind(const clora_dataset *dataset);

/* Answers to prompts, which go by batches of their own. */
static inline bool dataset_is_preference(const clora_dataset *dataset) {
    return dataset_kind(dataset) == CLORA_DATA_PREFERENCE || dataset_kind(dataset) == CLORA_DATA_UNPAIRED_PREFERENCE;
}

/* Bytes of a data file; borrowed. */
typedef struct dataset_text {
    const char *data;
    size_t size;
} dataset_text;

typedef struct data_source data_source;

/* Rows of equal length for one step. At position t the model predicts targets[t] from what it sees. */
typedef struct clora_batch {
    int B, T;           /* rows; length of the longest */
    int32_t *ids;       /* (B, T)  padding is 0 */
    int32_t *targets;   /* (B, T)  the id that follows, -1 where nothing is learnt: already shifted by one */
    int32_t *positions; /* (B, T)  restart with each sequence; padding is 0 */
    int32_t *first;     /* (B, T)  where in the row the sequence of this position begins: t sees keys first[t]..t */
    int32_t *last;      /* (B, T)  where it ends; padding: first = last = t */
    bool forked;        /* t sees only those keys whose last is not before it: parts of a row share a beginning */
    int prompt;         /* ids that were put before each sequence */
    size_t tokens;      /* ids that are not padding, without those */
    size_t learnt;      /* targets that are not -1 */
    size_t sequences;
} clora_batch;

typedef struct clora_loader_options {
    int batch_size; /* rows of a batch; the last of an epoch may have fewer */
    int pack;       /* 1: whole sequences share rows of max_length, in order */
    int max_length; /* of a row, without what is put before it; 0: the dataset's longest sequence */
    int shuffle;    /* 1: a new order each epoch, from seed and epoch alone */
    int prompt;     /* ids put before each sequence: prompt_id, prompt_id + 1, ... */
    int32_t prompt_id;
    uint64_t seed;
} clora_loader_options;

/* Walks over a dataset, batch by batch and epoch by epoch. No batch spans two epochs. */
typedef struct clora_loader clora_loader;

/* The dataset is borrowed. An error when a sequence is longer than max_length. */
clora_status clora_loader_create(clora_loader **out, const clora_dataset *dataset, const clora_loader_options *options);
void clora_loader_free(clora_loader *loader); /* NULL is allowed */

/* A batch of an epoch, both from 0; index may be the epoch's number of batches: its end. */
typedef struct batch_place {
    uint32_t epoch;
    size_t index;
} batch_place;

/* That of the batch that comes next, and going to one. */
batch_place clora_loader_place(const clora_loader *loader);

clora_status clora_loader_seek(clora_loader *loader, batch_place place);

/* The next batch, borrowed until the next call; after an epoch's last comes the next epoch's first. */
clora_status clora_loader_next(clora_loader *loader, const clora_batch **batch);

/* Of the epoch that the loader is in: with pack and shuffle, epochs may differ. */
size_t clora_loader_batches_per_epoch(const clora_loader *loader);

/* Of any epoch, those that come again too. */
size_t clora_loader_sequences_per_epoch(const clora_loader *loader);

/* ---- Making a dataset of pairs (pairs.c), for its readers ---- */

/* What a data file holds, in characters (code points): known without a tokenizer. */
typedef struct dataset_tally {
    int64_t pairs;
    int64_t context_characters, target_characters;
    int64_t longest; /* characters of the longest pair */
} dataset_tally;

/* A form that rows come in, by their keys. */
typedef struct row_form {
    const char *prompt;     /* NULL: a text alone, or a conversation */
    const char *completion; /* or the text; NULL: a conversation */
    const char *more;       /* of what belongs to the prompt besides where it is not empty, or NULL */
} row_form;

typedef struct dataset_builder {
    const char *path;               /* of the data file, for messages */
    const char *unit;               /* of which these have the number; NULL: "line" */
    const struct file_stamp *stamp; /* of that file before it is read; NULL: nobody minds when it changes */
    const clora_tokenizer *tokenizer;
    dataset_tally *tally; /* where not NULL, pairs are only counted, and the tokenizer may be NULL */
    clora_dataset_options options;
    int32_t bos, eos; /* -1: sequences have none */
    clora_dataset *dataset;
    size_t first_skipped; /* line of the first pair with nothing to learn, 0 without one */
    row_form own;         /* that options.keys names; without a completion: none */
    char *own_keys;       /* its memory */
    const row_form *form; /* of the file's rows, NULL before the first, which is in form_line */
    bool form_is_messages;
    size_t form_line;
} dataset_builder;

/* Encode a pair and add it; line is where it begins in the file. */
clora_status dataset_add_pair(dataset_builder *builder, dataset_text context, dataset_text target, size_t line);

/* Read a whole data file as clora_dataset_load() does, but only count. options: NULL for the defaults. */
clora_status dataset_count(dataset_tally *out, const char *path, const clora_dataset_options *options);

/* Characters (code points) of a text. */
int64_t dataset_characters(dataset_text text);

/* An error about one line of the file: "PATH: line N: ...". */
clora_status dataset_fail(const dataset_builder *builder, size_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of a text alone, for which there is a template. */
clora_status dataset_refuse_text(const dataset_builder *builder, size_t line);

/* ---- Readers ---- */

/* JSON, row by row; checked here. */
clora_status dataset_read_jsonl(dataset_builder *builder, data_source *source);
clora_status dataset_read_preferences(dataset_builder *builder, data_source *source);
clora_status dataset_read_labelled(dataset_builder *builder, data_source *source);
clora_status dataset_finish_labels(dataset_builder *builder); /* after the last file */

/* The other kinds of files. text is the whole file: UTF-8, no NUL, no byte order mark. */
clora_status dataset_read_csv(dataset_builder *builder, dataset_text text);
clora_status dataset_read_windows(dataset_builder *builder, dataset_text text);

#endif
