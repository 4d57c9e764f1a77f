#ifndef CLORA_METHODS_LORA_ORIGIN_H
#define CLORA_METHODS_LORA_ORIGIN_H

#include "methods/lora_adapter.h"

/*
 * Adapters that begin as a part of W0 (PiSSA, OLoRA). What they began as is taken away again by terms that do not
 * train, so that W0 stays as it is:
 *
 *     y = x W0^T + s (x A^T) B^T - s (x A0^T) B0^T
 *
 * On disk both are one term of rank 2 R, plain LoRA with A over A0 and B beside -B0.
 */

/* From checked settings and choices to factors on the device, and the terms that are taken away. */
clora_status lora_origin_build(lora_adapter *lora);

/* Settings, choices and factors as they are on disk; the caller frees the first two. */
clora_status lora_origin_settings(json_t **config, target_choice **choice, const lora_adapter *lora);
clora_status lora_origin_download(void *lora, float *out, int module, peft_part part);

#endif
