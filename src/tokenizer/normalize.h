#ifndef CLORA_TOKENIZER_NORMALIZE_H
#define CLORA_TOKENIZER_NORMALIZE_H

#include "tokenizer/piece.h"
#include "tokenizer/regex.h"
#include "tokenizer/text_buffer.h"

/* The "normalizer" of tokenizer.json: steps that rewrite a text. Immutable. */
typedef struct normalizer normalizer;

/* *out is NULL where the specification is null. */
clora_status normalizer_create(normalizer **out, const json_t *specification, const char *where);
void normalizer_free(normalizer *n);

/* Scratch of one thread. Zeroed is ready, once the budget is given. */
typedef struct normalizer_workspace {
    text_budget budget;
    text_buffer buffers[2];
    text_buffer code_points, sorted; /* of int32_t, for the Unicode forms */
    text_buffer halves;              /* the two sides of the border, for the Unicode forms */
    bool crossed;                    /* something was written for text from both sides of the border */
} normalizer_workspace;

void normalizer_workspace_finish(normalizer_workspace *workspace);

/* Replace *text by its normalized form, which lives in the workspace until the next run (or is the text itself). */
clora_status normalizer_run(const normalizer *n, piece *text, normalizer_workspace *workspace,
                            regex_workspace *regex_space);

#endif
