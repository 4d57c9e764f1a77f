#ifndef CLORA_LORA_MERGE_FILES_H
#define CLORA_LORA_MERGE_FILES_H

#include "base/outdir.h"

/* Claims a directory for the merged model. Refuses one that is the base's or lies inside it, and one that holds files.
 */
clora_status merge_output_open(outdir *out, const char *directory, const char *model);

/*
 * Copy what makes the directory complete: tokenizer, generation settings, licence, model card. Not the weights of any
 * format, nor config.json, which the caller writes.
 */
clora_status merge_copy_others(outdir *output, const char *model);

#endif
