#ifndef CLORA_DATA_PAIR_TEMPLATE_H
#define CLORA_DATA_PAIR_TEMPLATE_H

#include "data/dataset.h"
#include "tokenizer/text_buffer.h"

/* A pair as a row has it. */
typedef struct pair_text {
    dataset_text prompt, more, completion; /* more: what the prompt is about, or empty */
} pair_text;

/* Add a pair, with what the builder's template puts around it. */
clora_status pair_add(dataset_builder *builder, const pair_text *pair, size_t line);

/* Add a text without a prompt, which has no template. */
clora_status pair_add_text(dataset_builder *builder, dataset_text text, size_t line);

/* All that stands before the completion. *out is zeros, and yours to give to text_finish(). */
clora_status pair_write_prompt(text_buffer *out, const dataset_builder *builder, const pair_text *pair);

#endif
