#ifndef CLORA_FILES_DIRECTORY_H
#define CLORA_FILES_DIRECTORY_H

#include "base/status.h"

/*
 * What a path that is meant as a model or an adapter is instead, and what to do about it: a name of the Hugging Face
 * hub, the root of its cache, a file, weights in another format. Each of these fails with one line that says so.
 */

/* A directory with config.json, one with adapter_config.json, and one that may be of a tokenizer. */
clora_status directory_need_model(const char *path);
clora_status directory_need_adapter(const char *path);
clora_status directory_need_tokenizer(const char *path);

/* An error where the path that is meant as a data file is a directory or holds weights. */
clora_status directory_not_data(const char *path);

/* Always an error: the directory has no weights (no factors of an adapter) as safetensors. */
clora_status directory_without_weights(const char *path);
clora_status directory_without_factors(const char *path);

#endif
