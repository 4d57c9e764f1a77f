#ifndef CLORA_METHODS_LORA_PARTS_H
#define CLORA_METHODS_LORA_PARTS_H

#include "methods/lora_adapter.h"

/* The parts of an adapter between a host's rows, as files have them, and the device. */

/* All of a projection's term. first: the projection's first target. */
clora_status lora_upload(lora_adapter *lora, int p, int first, peft_source source, void *user);

/* The same part of other terms on the same modules. */
clora_status lora_download_term(float *out, const lora_adapter *lora, lowrank *const *terms, int module,
                                peft_part part);

/* A peft_source: one part of one target. Waits. */
clora_status lora_download(void *lora, float *out, int module, peft_part part);

#endif
