#ifndef CLORA_METHODS_PEFT_CHECK_H
#define CLORA_METHODS_PEFT_CHECK_H

#include "base/json.h"

/* That a parsed adapter_config.json is plain LoRA with values of the right types and ranges; errors name path
 * and key. */
clora_status peft_check(const json_t *root, const char *path);

#endif
