#ifndef CLORA_TESTS_FAKE_CONTEXT_H
#define CLORA_TESTS_FAKE_CONTEXT_H

#include "device/context.h"

/* A context without OpenCL that tuned parameters may be kept for: a device of two units, a cache of its own. */
clora_context *fake_context_create(void);
void fake_context_free(clora_context *context);

#endif
