#ifndef CLORA_DEVICE_CONTEXT_H
#define CLORA_DEVICE_CONTEXT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/shared.h"
#include "base/status.h"
#include "device/opencl.h"

struct program_cache;
struct profile;
struct pulse;
struct recorder;
struct tuning;

/* Which kernels make the W0 products: panel = explicit vectors, one work-item a group (CPUs); tile = local memory
 * (GPUs). */
typedef enum gemm_path { GEMM_PANEL, GEMM_TILE, GEMM_CLBLAST } gemm_path;

/* Products of pairs of bf16 on a CPU: device/dot.h. The numbers are kernels/dot.cl's. */
typedef enum dot_engine { DOT_NONE, DOT_EMULATED, DOT_INSTRUCTION, DOT_TILES, DOT_UNKNOWN } dot_engine;

/* What was checked of a device: kept by autotune/self_check.c. */
typedef struct self_check_state {
    pthread_mutex_t lock;
    struct json_t *passed;
    unsigned groups_asked; /* of all calls */
    int head_dim_asked;
    atomic_bool tape_is_wrong; /* then no step is one launch */
} self_check_state;

/* All machine knowledge: device, queue, limits, programs, parameters. */
struct clora_context {
    shared shared; /* held by the program, tensors, models and plans */
    cl_context cl;
    cl_device_id device;
    cl_command_queue queue;
    clora_device_info info;
    _Atomic gemm_path gemm; /* a self-check may change it while others launch */
    bool gemm_is_forced;    /* by CLORA_GEMM: then for every weight */
    bool is_cpu;
    dot_engine dot;       /* ask context_dot */
    dot_engine dot_most;  /* that may be chosen */
    size_t address_align; /* bytes; CL_DEVICE_MEM_BASE_ADDR_ALIGN */
    atomic_size_t memory_now, memory_peak;
    struct program_cache *programs;
    struct tuning *tuning;
    struct recorder *recorder;      /* NULL: launches are not noted */
    struct profile *profile;        /* NULL: off */
    struct pulse *pulse;            /* device/pulse.h; NULL: an outline's, or no memory */
    unsigned launches;              /* so far: every so many are sent on (ops/launch.c) */
    atomic_uint updates;            /* of values that train: what was made of them before is not what they give now */
    bool borrowed;                  /* the queue is the caller's */
    struct clora_context *outlined; /* the one that this is the outline of, held; NULL: none */
    pthread_mutex_t lock;           /* held from launch_begin to launch_run: clSetKernelArg is not thread-safe */
    self_check_state check;
    clora_tensor *scratch; /* device/scratch.h; and how many use it, and the lock of both */
    int scratch_users;
    pthread_mutex_t scratch_lock;
};

/* A context but for its tuned parameters, on the device that `device` means or on the caller's queue. The destructor is
 * called when its last holder lets go; it ends with context_close. */
clora_status context_open(clora_context **out, const char *device, void (*destroy)(shared *context));
clora_status context_adopt(clora_context **out, cl_context cl, cl_command_queue queue, void (*destroy)(shared *));

/* The outline of a context: it has the device's limits, chooses as the context does and counts memory, but tensors have
 * none, what is read from them is zero, and nothing is written or run. What a use would take is learnt by making it on
 * an outline. */
clora_status context_outline(clora_context **out, clora_context *context);

/* Wait for the device and free all that device/ has in it. NULL is allowed. */
void context_close(clora_context *context);

#endif
