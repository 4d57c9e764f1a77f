#ifndef CLORA_DEVICE_FORK_H
#define CLORA_DEVICE_FORK_H

#include <stdbool.h>

#include "base/status.h"

/*
 * OpenCL does not survive fork(): its threads are not in the child, where calls that wait for them would wait for ever.
 * These make an error of that.
 */

/* OpenCL is going to be used in this process; an error in the child of one that had used it. */
clora_status fork_use_opencl(void);

/* In the child of a process that had used OpenCL; and the same as an error. */
bool fork_is_child(void);
clora_status fork_check(void);

#endif
