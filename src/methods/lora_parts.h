#ifndef CLORA_METHODS_LORA_PARTS_H
#define CLORA_METHODS_LORA_PARTS_H

#include "methods/lora_adapter.h"
#include "methods/peft.h"

/* The factors of an adapter between a host's rows, as files have them, and the device. */

/* Both of a projection's term. first: the projection's first target. */
clora_status lora_upload(lora_adapter *lora, int p, int first, peft_source source, void *user);

/* A peft_source: one factor of one target. Waits. */
clora_status lora_download(void *lora, float *out, int module, bool is_b);

#endif
