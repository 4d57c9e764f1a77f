#ifndef CLORA_TESTS_LOGITS_H
#define CLORA_TESTS_LOGITS_H

/* Logits of the golden files' batches. Include after cmocka.h. */

#include "support/fixture.h"

enum { LOGITS_VOCAB = 97 /* of all models there */ };

/* (B, T, vocabulary) of the batch: in one pass, or with `cached` a token at a time. */
void forward_logits(float *logits, const fixture_batch *batch, clora_model *m, clora_adapter *adapter, bool cached);

/* Without what follows in padded rows; the largest difference over the largest value. */
void assert_logits(const float *actual, const float *expected, const fixture_batch *batch, double limit,
                   const char *name);

#endif
