#ifndef CLORA_METHODS_PAST_ADAPTER_H
#define CLORA_METHODS_PAST_ADAPTER_H

#include "methods/adapter.h"

/*
 * What stands before each sequence's own tokens and is learnt:
 *   prefix tuning (Li and Liang 2021): keys and values in every layer
 *   prompt tuning (Lester et al. 2021): rows in the place of embeddings
 * Both are one matrix, with a row for each position.
 */

/* values (tokens, width): see adapter.h's prefix and prompt. */
clora_status prefix_create(clora_adapter **out, const base_model *base, int tokens, const float *values);
clora_status prompt_create(clora_adapter **out, const base_model *base, int tokens, const float *values);

/* Columns of values. */
int prefix_width(const base_model *base);
int prompt_width(const base_model *base);

#endif
