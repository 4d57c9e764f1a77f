#ifndef CLORA_TOKENIZER_DECODE_H
#define CLORA_TOKENIZER_DECODE_H

#include "tokenizer/pretokenize.h"

/*
 * The "decoder" of tokenizer.json: stages that a list of tokens passes on its way to a text. Each works on a stream, so
 * that decoding everything at once and one token at a time is the same code. Immutable.
 */
typedef struct decode_chain decode_chain;

/* Without a specification tokens are joined with blanks. */
clora_status decode_chain_create(decode_chain **out, const json_t *specification, const char *where);
void decode_chain_free(decode_chain *chain);

/* One text in the making. */
typedef struct decode_run decode_run;

clora_status decode_run_create(decode_run **out, const decode_chain *chain);
void decode_run_free(decode_run *run);

/* Append to out what is certain once this token is known. Always whole characters. */
clora_status decode_run_push(decode_run *run, text_buffer *out, const char *token, size_t size);

/* There are no more tokens: append what was held back. */
clora_status decode_run_end(decode_run *run, text_buffer *out);

#endif
