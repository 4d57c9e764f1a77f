#ifndef CLORA_METHODS_MERGE_FILES_H
#define CLORA_METHODS_MERGE_FILES_H

#include "base/outdir.h"

/* Claims a directory for the merged model. Refuses one that is the base's or lies inside it, and, unless it is to be
 * written over, one that holds files. */
clora_status merge_output_open(outdir *out, const char *directory, const char *model, bool overwrite);

/*
 * Copy what makes the directory complete: tokenizer, generation settings, licence, model card. Not the weights of any
 * format, nor config.json, which the caller writes.
 */
clora_status merge_copy_others(outdir *output, const char *model);

/* The error that merge_copy_others would end with, before hours are spent: a link that leads nowhere, or out of the
 * directory to anything but the blobs of the Hugging Face cache that it lies in. */
clora_status merge_check_others(const char *model);

#endif
