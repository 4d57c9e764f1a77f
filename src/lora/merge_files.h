#ifndef CLORA_LORA_MERGE_FILES_H
#define CLORA_LORA_MERGE_FILES_H

#include "base/json.h"

/* The directory that a merge writes: every file is remembered, so that a failure can take all of them away again. */
typedef struct merge_output {
    const char *directory;
    bool created;    /* by this merge */
    json_t *written; /* names */
} merge_output;

/* Refuses a directory that is the model's or lies inside it, and one that holds files. */
clora_status merge_output_open(merge_output *out, const char *directory, const char *model);

/* Where the file `name` goes, which is remembered from now on. The caller frees the path. */
clora_status merge_output_path(char **out, merge_output *output, const char *name);

/* Free; without keep, what was written disappears. Safe on a zeroed output. */
void merge_output_close(merge_output *output, bool keep);

/*
 * Copy what makes the directory complete: tokenizer, generation settings, licence, model card. Not the weights of any
 * format, nor config.json, which the caller writes.
 */
clora_status merge_copy_others(merge_output *output, const char *model);

#endif
