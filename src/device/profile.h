#ifndef CLORA_DEVICE_PROFILE_H
#define CLORA_DEVICE_PROFILE_H

#include "device/context.h"

/* Device time by kernel name, from the queue's events. Off until clora_context_profile. */
typedef struct profile profile;

void profile_free(profile *p);

/* Take over an event of a kernel's launch. The name lives as long as the program. */
void profile_add(profile *p, const char *kernel, cl_event event);

#endif
