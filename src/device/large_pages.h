#ifndef CLORA_DEVICE_LARGE_PAGES_H
#define CLORA_DEVICE_LARGE_PAGES_H

#include "device/context.h"

/*
 * Reading all weights for every token, a core spends a good part of its time on finding pages. With PoCL on a CPU a
 * buffer of 8 MB and more lies in large ones, where the system has some for who asks (Linux: madvise). NULL where that
 * is not the way: then the driver takes the memory. Its memory goes with the buffer.
 */
cl_mem large_pages_buffer(clora_context *context, size_t bytes);

#endif
