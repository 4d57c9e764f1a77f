#ifndef CLORA_METHODS_PEFT_CONFIG_H
#define CLORA_METHODS_PEFT_CONFIG_H

#include <clora/adapter.h>

#include "methods/target.h"

/*
 * adapter_config.json as a JSON object that holds exactly the keys that clora writes, checked and complete: whatever
 * stands in it can be applied. Alphabetical order, patterns in their own order.
 */

enum { PEFT_CONFIG_BYTES = 16 << 20 /* the most that a file may have */ };

/* Read a file. Anything that would make the adapter another function than plain LoRA is refused by its key. */
clora_status peft_config_load(json_t **out, const char *path, const target_module *modules, int count);

/* The settings of a fresh adapter. */
clora_status peft_config_create(json_t **out, const clora_adapter_options *options, const target_module *modules,
                                int count);

/* All keys that clora writes, in their order; those that are not given get PEFT's defaults. */
clora_status peft_config_complete(json_t **out, const json_t *given);

/* base_name NULL keeps the name that the settings have; one that is not UTF-8, which JSON cannot hold, becomes null. */
clora_status peft_config_save(const json_t *config, const char *path, const char *base_name);

clora_status peft_config_set_dropout(json_t *config, float dropout);

#endif
