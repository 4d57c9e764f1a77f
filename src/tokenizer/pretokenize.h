#ifndef CLORA_TOKENIZER_PRETOKENIZE_H
#define CLORA_TOKENIZER_PRETOKENIZE_H

#include "tokenizer/split.h"

/* When Metaspace puts its mark before a text. */
typedef enum metaspace_scheme { METASPACE_ALWAYS, METASPACE_FIRST, METASPACE_NEVER } metaspace_scheme;

typedef struct metaspace {
    uint32_t replacement; /* the mark that stands for a blank */
    metaspace_scheme scheme;
    bool split;
} metaspace;

clora_status metaspace_read(metaspace *out, const json_t *specification, const char *where);

/* The "pre_tokenizer" of tokenizer.json: stages that cut a text into the pieces that merges stay within. Immutable. */
typedef struct pretokenizer pretokenizer;

/* *out is NULL where the specification is null. */
clora_status pretokenizer_create(pretokenizer **out, const json_t *specification, const char *where);
void pretokenizer_free(pretokenizer *p);

/* Scratch of one thread. Zeroed is ready, once the budget is given. */
typedef struct pretokenizer_workspace {
    text_budget budget;
    struct stage_buffers {
        text_buffer text, mapped;
    } * stages;
    size_t count;
} pretokenizer_workspace;

void pretokenizer_workspace_finish(pretokenizer_workspace *workspace);

/* The last stage writes bytes as characters: the vocabulary is asked for no others. */
bool pretokenizer_maps_bytes(const pretokenizer *p);

/* Hand the pieces of a text to sink, depth first: memory does not grow with the number of pieces. */
clora_status pretokenizer_run(const pretokenizer *p, const piece *text, pretokenizer_workspace *workspace,
                              regex_workspace *regex_space, piece_sink sink, void *user);

#endif
