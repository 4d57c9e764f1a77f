#ifndef CLORA_TOKENIZER_SPLIT_H
#define CLORA_TOKENIZER_SPLIT_H

#include "tokenizer/normalize.h"

/* What becomes of the delimiters when a text is split. */
typedef enum split_behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS
} split_behavior;

clora_status split_behavior_read(split_behavior *out, const json_t *name, const char *where);

/* Takes the pieces that a text falls into, from left to right. */
typedef clora_status (*piece_sink)(void *user, const piece *p);

/*
 * Fed with the alternating stretches of a text, delimiters and what is between, a splitter gives the pieces. Empty ones
 * vanish.
 */
typedef struct splitter {
    const piece *whole;
    split_behavior behavior;
    piece_sink sink;
    void *user;
    size_t start, end; /* the stretch that may still grow */
    bool pending, last_is_delimiter;
} splitter;

clora_status splitter_feed(splitter *s, size_t start, size_t end, bool is_delimiter);
clora_status splitter_finish(splitter *s);

#endif
