#ifndef CLORA_DEVICE_PROCESSOR_H
#define CLORA_DEVICE_PROCESSOR_H

#include <stdbool.h>

/* Vectors of pairs of bf16 (AVX512_BF16). */
bool processor_multiplies_pairs(void);

/* Tiles of pairs of bf16 (AMX). Their state is so large that the system gives it only to a process that asks: this
 * asks, for all threads; without leave an instruction of these would end the process. */
bool processor_gives_tiles(void);

#endif
