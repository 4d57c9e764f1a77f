#ifndef CLORA_TOKENIZER_CHARSMAP_H
#define CLORA_TOKENIZER_CHARSMAP_H

#include "tokenizer/piece.h"
#include "tokenizer/text_buffer.h"

#include <jansson.h>

/*
 * SentencePiece's "precompiled_charsmap": texts and what is written in their place. In the file, as base64: the size of
 * a double array (u32, little-endian), the double array (Aoe 1989, units as Darts-clone lays them out), and the
 * replacements, each ended by a zero. Immutable.
 */
typedef struct charsmap charsmap;

/* A key of the specification that no file has: true for what SentencePiece makes of a text, which the `tokenizers`
 * package makes grapheme by grapheme. */
#define CHARSMAP_LONGEST "longest"

clora_status charsmap_create(charsmap **out, const json_t *specification, const char *where);
void charsmap_free(charsmap *map);

/* The text as the map rewrites it, written to the empty out; of *to only the marks are set. */
clora_status charsmap_normalize(text_buffer *out, piece *to, const charsmap *map, const piece *in, bool *crossed);

#endif
