#ifndef CLORA_DEVICE_DOT_H
#define CLORA_DEVICE_DOT_H

#include "device/context.h"

/* The most that CLORA_BF16_DOT allows: DOT_NONE (off), DOT_EMULATED (emulate), DOT_INSTRUCTION (pairs) or DOT_TILES. */
clora_status dot_setting(dot_engine *out);

/*
 * How the device multiplies pairs of bf16 with float sums (kernels/dot.cl); CPUs only. Found out once, when it is first
 * asked: instructions count only where the processor has them, the compiler takes them, and a kernel computes with them
 * what it should.
 */
dot_engine context_dot(clora_context *context);

#endif
