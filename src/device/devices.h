#ifndef CLORA_DEVICE_DEVICES_H
#define CLORA_DEVICE_DEVICES_H

#include "device/context.h"

typedef struct device_entry {
    cl_platform_id platform;
    cl_device_id id;
    clora_device_info info;
} device_entry;

/* Fail because there is no device at all, saying why: which platforms are there and what they lack, or none. */
clora_status device_none(void);

/* The device that a number, a type, a part of a name or NULL (CLORA_DEVICE, else the default) means. */
clora_status device_choose(device_entry *out, const char *wanted);

void device_query(clora_device_info *out, cl_platform_id platform, cl_device_id device);

/* CLORA_ERROR_NOT_FOUND for a device that cannot build our kernels: one before OpenCL 1.2. */
clora_status device_check_version(const clora_device_info *info);

/* Has it the ways of PoCL's compiler and threads? PoCL's devices for GPUs have others. */
bool device_is_pocl_cpu(const clora_context *context);

/* The path of the W0 products: by the device's type, or what CLORA_GEMM forces. */
clora_status device_gemm_path(gemm_path *out, bool is_cpu);
/* CLORA_MAX_GROUP takes work-items from the groups that kernels are built for, where a driver allows one fewer than the
 * device. All kernels can do with DEVICE_LEAST_GROUP. */
enum { DEVICE_LEAST_GROUP = 64 };
clora_status device_limit_group(size_t *most);

const char *gemm_path_name(gemm_path path);

#endif
