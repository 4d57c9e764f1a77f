#ifndef CLORA_DATA_CHAT_ROWS_H
#define CLORA_DATA_CHAT_ROWS_H

#include <jansson.h>

#include "chat/chat.h"
#include "data/dataset.h"

/* A row as text and ids by the builder's chat template, which it must have. *out is the caller's to give to
 * chat_text_finish(), also after an error. */
clora_status dataset_encode_chat(clora_chat_text *out, dataset_builder *builder, const json_t *row,
                                 const clora_chat_options *options, size_t line);

/* Add a row that holds a conversation, by the builder's chat template. What is too long loses ids from its right. */
clora_status dataset_add_chat(dataset_builder *builder, const json_t *object, size_t line);

#endif
