#ifndef CLORA_DEVICE_OPENCL_H
#define CLORA_DEVICE_OPENCL_H

#define CL_TARGET_OPENCL_VERSION 120 /* all devices that are taken have it */
#include <clora/opencl.h>

#include "base/status.h"

const char *opencl_error_name(cl_int error); /* "CL_OUT_OF_RESOURCES" */

/* clora_fail with the name of an OpenCL error. CL_MEM_OBJECT_ALLOCATION_FAILURE and kin become CLORA_ERROR_MEMORY. */
clora_status opencl_fail(cl_int error, const char *what);

struct pulse;

/* Wait until the queue is empty; its context's pulse (device/pulse.h) shows that. */
clora_status opencl_wait(cl_command_queue queue, struct pulse *pulse);

#endif
