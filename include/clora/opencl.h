/**
 * @file clora/opencl.h
 * @brief Tier 1: clora on the OpenCL objects of a program that has its own. The only header with OpenCL types.
 */
#ifndef CLORA_OPENCL_H
#define CLORA_OPENCL_H

/* Which OpenCL the program sees is its own choice, by CL_TARGET_OPENCL_VERSION; 120 is enough here. */
#include <CL/cl.h>

#include <clora/context.h>
#include <clora/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier1
 * @{
 */

/**
 * Make a context on the caller's queue.
 *
 * clora enqueues on it and nowhere else, so that the caller's own work on it keeps its order.
 *
 * @param[out] out    yours to free with clora_context_free()
 * @param[in]  cl     holds the queue's device; retained until the context goes
 * @param[in]  queue  in order (not CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE); retained until the context goes
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for an out-of-order queue or one of another context, CLORA_ERROR_NOT_FOUND for
 * a device older than OpenCL 1.2
 */
CLORA_API clora_status clora_context_from_opencl(clora_context **out, cl_context cl, cl_command_queue queue);

/**
 * Make a tensor of the caller's buffer, without a copy.
 *
 * @param[out] out      yours to free with clora_tensor_free()
 * @param[in]  context  kept until the tensor is freed
 * @param[in]  buffer   of the same cl_context; retained until the tensor is freed
 * @param[in]  layout   where it lies there
 *
 * @return CLORA_OK; CLORA_ERROR_SHAPE when the array would reach past the buffer's end or a size is below 1,
 * CLORA_ERROR_ARGUMENT for a buffer of another context or an offset between elements
 */
CLORA_API clora_status clora_tensor_from_opencl(clora_tensor **out, clora_context *context, cl_mem buffer,
                                                const clora_tensor_layout *layout);

/**
 * The queue that clora enqueues on.
 *
 * @param[in] context  NULL: NULL
 *
 * @return borrowed; clora_context_profile() replaces it
 */
CLORA_API cl_command_queue clora_context_queue(const clora_context *context);

/**
 * The buffer that holds a tensor. Rows may begin past its start and lie apart (clora_tensor_from_opencl()).
 *
 * @param[in] tensor  NULL: NULL
 *
 * @return borrowed; lives as long as the tensor
 */
CLORA_API cl_mem clora_tensor_buffer(const clora_tensor *tensor);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
