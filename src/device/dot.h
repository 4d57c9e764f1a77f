#ifndef CLORA_DEVICE_DOT_H
#define CLORA_DEVICE_DOT_H

#include "device/context.h"

/*
 * How the device multiplies pairs of bf16 with float sums (kernels/dot.cl). Found out once, when it is first asked:
 * the instruction counts only where the processor has it, the compiler takes it, and a kernel computes with it what it
 * should. CLORA_BF16_DOT: off, or emulate for the same in floats. CPUs only.
 */
/* What the environment asks for: DOT_UNKNOWN leaves it to the device. */
clora_status dot_setting(dot_engine *out);

dot_engine context_dot(clora_context *context);

#endif
