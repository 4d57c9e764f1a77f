#ifndef CLORA_DATA_PREFERENCES_H
#define CLORA_DATA_PREFERENCES_H

#include <jansson.h>

#include "data/dataset.h"

/* Encode a prompt with its answers and add a sequence for each. */
clora_status dataset_add_preference(dataset_builder *builder, dataset_text prompt, dataset_text chosen,
                                    dataset_text rejected, size_t line);
clora_status dataset_add_unpaired(dataset_builder *builder, dataset_text prompt, dataset_text completion,
                                  bool desirable, size_t line);

/* The same of lists of messages under these names in a row, by the builder's chat template. */
clora_status dataset_add_preference_messages(dataset_builder *builder, const json_t *row, size_t line);
clora_status dataset_add_unpaired_messages(dataset_builder *builder, const json_t *row, bool desirable, size_t line);

#endif
