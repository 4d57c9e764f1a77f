#ifndef CLORA_DEVICE_PULSE_H
#define CLORA_DEVICE_PULSE_H

#include "device/opencl.h"

/*
 * What shows from outside that a driver does not come back. OpenCL has no wait with a limit and no way out of a call,
 * so that who waits cannot end the wait; clora_devices_stalled() lets another thread see it. For the waiting thread
 * that costs two additions to a counter. A pulse is a context's: which calls are in the driver, and that something
 * came to its end.
 */
typedef struct pulse pulse;

/* NULL without memory: then nothing is seen. It outlives its context, since a driver may still call back, and becomes
 * another's. */
pulse *pulse_take(void);
void pulse_give(pulse *p); /* NULL is allowed here and below */

/* A call that may take long goes to the driver; it has come back. The name is a literal. */
void pulse_enter(pulse *p, const char *call);
void pulse_leave(pulse *p);

/* A sign of life when the event's command is done. */
void pulse_mark(pulse *p, cl_event event);

#endif
