#ifndef CLORA_FILES_QUANTIZED_H
#define CLORA_FILES_QUANTIZED_H

#include "files/model_files.h"

/* Weights packed in fewer bits than 16 are refused for what they are, before a tensor's name or shape is blamed. */
clora_status quantized_refuse_config(const json_t *config, const char *path);
clora_status quantized_refuse_tensors(const model_files *set, const char *directory);

#endif
