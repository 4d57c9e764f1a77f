#ifndef CLORA_DATA_CHAT_ROWS_H
#define CLORA_DATA_CHAT_ROWS_H

#include <jansson.h>

#include "data/dataset.h"

/* Add a row that holds a conversation, by the builder's chat template. What is too long loses ids from its right. */
clora_status dataset_add_chat(dataset_builder *builder, const json_t *object, size_t line);

#endif
