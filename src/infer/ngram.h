#ifndef CLORA_INFER_NGRAM_H
#define CLORA_INFER_NGRAM_H

#include <stddef.h>
#include <stdint.h>

/* The logits of ids with which the last of n ids in a row would come twice become -infinity; n 0: of none. */
void ngram_ban(float *logits, const int32_t *ids, size_t count, int n);

#endif
