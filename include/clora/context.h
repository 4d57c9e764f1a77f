/**
 * @file clora/context.h
 * @brief Tier 1: the OpenCL devices of this machine, and a context on one of them.
 *
 * A context is one device with its queue, its compiled programs and what is known about it. Work is enqueued and calls
 * return; only clora_context_finish() and the calls that say so wait.
 *
 * Environment variables steer a context too, for people who run a program that somebody else wrote:
 *
 * | variable | effect |
 * | --- | --- |
 * | CLORA_DEVICE | the device, where a program does not name one |
 * | CLORA_CACHE_DIR | where measured parameters and self-checks are kept (clora/tune.h) |
 * | CLORA_TUNE | off: do not use what was measured (clora/tune.h) |
 * | CLORA_SELF_CHECK | off: trust the device; force: check it again |
 * | CLORA_GEMM | panel, tile or clblast: the path of the matrix products |
 * | CLORA_BF16_DOT | on, pairs, off or emulate: the processor's products of pairs of bf16 (docs/kernels.md) |
 * | CLORA_MAX_GROUP | at most so many work-items in a group |
 * | CLORA_PROGRAM_CACHE | on, off: keep compiled kernels on disk; else what is known of the driver decides |
 * | CLORA_PARAM_KERNEL_NAME | one parameter of one kernel (docs/kernels.md) |
 * | CLORA_KERNEL_DIR | read the kernels' sources there, for work on them |
 */
#ifndef CLORA_CONTEXT_H
#define CLORA_CONTEXT_H

#include <stddef.h>

#include <clora/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier1
 * @{
 */

/** One device and its programs. Free with clora_context_free(). */
typedef struct clora_context clora_context;

/** What OpenCL says of a device. Sizes in bytes; flags are 0 or 1. */
typedef struct clora_device_info {
    int index;           /**< Number for clora_context_create(). */
    int is_default;      /**< Taken when nothing is asked for: GPU before accelerator before CPU; of several the one
                              with most compute units times clock, then most memory. */
    char type[16];       /**< "gpu", "accelerator", "cpu" or "other". */
    char platform[128];  /**< Name of the OpenCL implementation. */
    char name[256];      /**< Name of the device. */
    char vendor[128];    /**< Maker of the device. */
    char driver[128];    /**< Version of the driver. */
    char version[128];   /**< OpenCL version, such as "OpenCL 1.2 pocl". */
    char c_version[128]; /**< OpenCL C version. */
    char gemm[16];     /**< Path of the matrix products here: "panel", "tile" or "clblast", may change in a self-check;
                          "none": too old, before OpenCL 1.2, and never taken. */
    int compute_units; /**< Cores of a CPU, multiprocessors of a GPU. */
    int vector_width;  /**< Native float vector width. */
    int clock_mhz;     /**< Highest clock. */
    size_t global_memory;   /**< Device memory. */
    size_t max_allocation;  /**< Largest single buffer; larger weights are split. */
    size_t local_memory;    /**< Memory shared by a work-group. */
    size_t max_group;       /**< Most work-items in a group. */
    int local_is_dedicated; /**< 1 when local memory is hardware of its own. */
    int fp16;               /**< 1 when kernels may compute in half (cl_khr_fp16); clora stores f16 without it. */
    int fp64;               /**< 1 when kernels may compute in double; clora does not. */
    int subgroups;          /**< 1 with cl_khr_subgroups or Intel's. */
} clora_device_info;

/**
 * List every device of every platform, in the order of their numbers. Any thread.
 *
 * @param[out] out    (count) pointers, yours to free with free(), all in one; NULL when there are none
 * @param[out] count  number of devices
 *
 * @return CLORA_OK, also when there are none
 */
CLORA_API clora_status clora_devices_list(const clora_device_info ***out, size_t *count);

/**
 * For how long a device has stood still while somebody waited for it.
 *
 * A driver that hangs does not come back, and OpenCL has no way out of its calls: who waits in one cannot be helped.
 * A program that must go on asks here now and then, from a thread of its own, and ends or begins again in another
 * process; the command does so (CLORA_DEVICE_TIMEOUT). A device that works is not taken for one that hangs, however
 * long its work takes: every call that comes back and every few launches that are done reset the count. Only one
 * build, or a few launches in a row, that take as long as that look the same.
 *
 * Never waits for a device. Any thread.
 *
 * @param[out] call  name of the OpenCL function that was called last there, static; NULL when nobody waits; NULL is
 *                   allowed
 *
 * @return seconds, of the context where they are most, counted from the first question that found it so; 0 when all
 * come on
 */
CLORA_API double clora_devices_stalled(const char **call);

/**
 * Make a context on a device.
 *
 * Whether the device computes rightly is not asked here but by what is about to rely on it: clora_model_load(),
 * clora_adapter_create(), clora_adapter_load(), clora_evaluate(), clora_trainer_create(), clora_weight_create() and
 * clora_lowrank_create(). At a device's first use these compare its operations with a reference, which waits and takes
 * a fraction of a second once the kernels are compiled; that it passed is kept in the cache directory of clora/tune.h.
 * Where one family of kernels is wrong the context takes the other (clora_device_info.gemm and clora_tune_set_log()
 * tell); where both are, the call fails with CLORA_ERROR_OPENCL, naming the operation. The variable CLORA_SELF_CHECK:
 * off trusts the device, force asks it again.
 *
 * @param[out] out     yours to free with clora_context_free()
 * @param[in]  device  a device's number, its type (gpu, cpu or accelerator: the default or else the first of them), a
 *                     part of its name or platform (any case), or NULL: the variable CLORA_DEVICE, else the default
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND when no device fits (the message lists those there are, or says which
 * platforms are installed that offer none) or the one asked for is older than OpenCL 1.2, CLORA_ERROR_ARGUMENT when
 * several fit or a variable above has a value that it cannot have
 */
CLORA_API clora_status clora_context_create(clora_context **out, const char *device);

/**
 * Free a context. What was made from it goes on working and keeps it until it is freed itself; the last to go waits for
 * the device.
 *
 * @param[in] context  NULL is allowed
 */
CLORA_API void clora_context_free(clora_context *context);

/**
 * Wait until the device has done all that was enqueued. Any thread.
 *
 * @param[in] context  not NULL
 *
 * @return CLORA_OK; CLORA_ERROR_OPENCL when the device failed at its work
 */
CLORA_API clora_status clora_context_finish(clora_context *context);

/**
 * What the device is.
 *
 * @param[in] context  NULL: zeros
 *
 * @return borrowed; lives as long as the context
 */
CLORA_API const clora_device_info *clora_context_device(const clora_context *context);

/**
 * Device memory that clora holds in this context. Any thread.
 *
 * @param[in]  context  NULL: zeros
 * @param[out] now      bytes held now; NULL is allowed
 * @param[out] peak     the most bytes ever held; NULL is allowed
 */
CLORA_API void clora_context_memory(const clora_context *context, size_t *now, size_t *peak);

/** Device time of one kernel since profiling began. */
typedef struct clora_profile_entry {
    const char *kernel; /**< name of the kernel function */
    long launches;      /**< how often it ran */
    double seconds;     /**< in all, from the device's own clock */
} clora_profile_entry;

/**
 * Measure the device time of every kernel from now on, or stop. Waits. Before other threads use the context.
 *
 * @param[in,out] context  gets a new queue; what was measured before is forgotten
 * @param[in]     on       1: measure; 0: stop
 *
 * @return CLORA_OK; CLORA_ERROR_UNSUPPORTED on a context made from the caller's queue
 */
CLORA_API clora_status clora_context_profile(clora_context *context, int on);

/**
 * What was measured, longest first. Waits for the kernels measured. One thread.
 *
 * @param[in]  context  NULL: NULL
 * @param[out] count    number of entries; 0 when profiling is off
 *
 * @return (count) pointers, borrowed with what they point to until the next call on the context; NULL when profiling is
 * off
 */
CLORA_API const clora_profile_entry *const *clora_context_profile_read(clora_context *context, size_t *count);

/**
 * Forget what was measured and go on measuring. Waits for the kernels measured. One thread.
 *
 * @param[in,out] context  NULL is allowed
 */
CLORA_API void clora_context_profile_reset(clora_context *context);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
