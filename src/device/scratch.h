#ifndef CLORA_DEVICE_SCRATCH_H
#define CLORA_DEVICE_SCRATCH_H

#include "device/tensor.h"

/*
 * One f32 scratch of the context, for weights that are formed anew before a product, slice by slice: those of 16
 * bits on the CLBlast path, and sums with a low-rank term. It is as large as its users said when they came (planned
 * memory), grows when one takes more after all, and goes with the last of them.
 */
clora_status scratch_join(clora_context *context, size_t elements); /* 0: perhaps later */
void scratch_leave(clora_context *context);

/* The scratch, of at least so many elements, for this thread alone until scratch_give: from filling it to the enqueue
 * of what reads it. After a failure there is nothing to give. */
clora_status scratch_take(clora_tensor **out, clora_context *context, size_t elements);
void scratch_give(clora_context *context);

size_t scratch_bytes(const clora_context *context);

#endif
