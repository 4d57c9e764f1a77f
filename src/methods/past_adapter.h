#ifndef CLORA_METHODS_PAST_ADAPTER_H
#define CLORA_METHODS_PAST_ADAPTER_H

#include "methods/adapter.h"
#include "methods/prefix_projection.h"

/*
 * What stands before each sequence's own tokens and is learnt:
 *   prefix tuning (Li and Liang 2021): keys and values in every layer
 *   prompt tuning (Lester et al. 2021): rows in the place of embeddings
 * Both are one matrix, with a row for each position.
 */

/* values (tokens, width): see adapter.h's prefix and prompt. */
clora_status prefix_create(clora_adapter **out, const base_model *base, int tokens, const float *values);
clora_status prompt_create(clora_adapter **out, const base_model *base, int tokens, const float *values);

/* A prefix that a projection makes while it trains. */
clora_status prefix_create_projected(clora_adapter **out, const base_model *base, int tokens,
                                     const projection_values *values);

/* With a head that tells these labels apart, which begins at random. */
clora_status past_add_labels(clora_adapter *adapter, const char *const *labels, uint64_t seed);

/* Of a prefix, what e's rows of a projection have. */
int prefix_token_width(const base_model *base);

/* Columns of values. */
int prefix_width(const base_model *base);
int prompt_width(const base_model *base);

#endif
