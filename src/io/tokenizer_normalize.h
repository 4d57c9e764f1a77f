#ifndef CLORA_IO_TOKENIZER_NORMALIZE_H
#define CLORA_IO_TOKENIZER_NORMALIZE_H

#include "io/tokenizer_regex.h"
#include "io/tokenizer_text.h"

/*
 * A stretch of text on its way through the stages. `front` is how many of its first bytes come from the first character
 * of the whole text given to encode, 0 for a stretch that does not begin there: Metaspace's scheme "first" asks.
 */
typedef struct piece {
    const char *text;
    size_t size, front;
} piece;

/* The "normalizer" of tokenizer.json: steps that rewrite a text. Immutable. */
typedef struct normalizer normalizer;

/* *out is NULL where the specification is null. */
clora_status normalizer_create(normalizer **out, const json_t *specification, const char *where);
void normalizer_free(normalizer *n);

/* Scratch of one thread. Zeroed is ready. */
typedef struct normalizer_workspace {
    text_buffer buffers[2];
    text_buffer code_points, sorted; /* of int32_t, for the Unicode forms */
} normalizer_workspace;

void normalizer_workspace_finish(normalizer_workspace *workspace);

/* Replace *text by its normalized form, which lives in the workspace until the next run (or is the text itself). */
clora_status normalizer_run(const normalizer *n, piece *text, normalizer_workspace *workspace,
                            regex_workspace *regex_space);

#endif
