#ifndef CLORA_DEVICE_DOT_H
#define CLORA_DEVICE_DOT_H

#include "device/context.h"

/* What CLORA_BF16_DOT asks for: DOT_NONE (off), DOT_EMULATED (emulate), or DOT_UNKNOWN: what the device has. */
clora_status dot_setting(dot_engine *out);

/*
 * How the device multiplies pairs of bf16 with float sums (kernels/dot.cl); CPUs only. Found out once, when it is first
 * asked: the instruction counts only where the processor has it, the compiler takes it, and a kernel computes with it
 * what it should.
 */
dot_engine context_dot(clora_context *context);

#endif
