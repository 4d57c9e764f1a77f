#ifndef CLORA_DEVICE_PROFILE_H
#define CLORA_DEVICE_PROFILE_H

#include "device/context.h"

/* Device time by kernel name, from the queue's events. Off until clora_context_profile. */
typedef struct profile profile;

/* Launches are timed into p from now on, or not at all with NULL; what they were timed into. Any thread may launch. */
profile *profile_attach(clora_context *context, profile *p);

void profile_free(profile *p);

/* Take over an event of a kernel's launch. The name lives as long as the program. */
void profile_add(profile *p, const char *kernel, cl_event event);

#endif
