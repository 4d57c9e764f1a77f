#ifndef CLORA_MODEL_KVCACHE_H
#define CLORA_MODEL_KVCACHE_H

#include "device/tensor.h"

/* Keys and values of all positions so far: per layer f32 (B * capacity, 2*G*D), keys first. A step works on sequences
 * from `first` on. */
typedef struct kv_cache {
    int B, capacity;
    int first;
    clora_tensor *kv; /* one view a layer */
} kv_cache;

#endif
