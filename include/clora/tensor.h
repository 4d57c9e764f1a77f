/**
 * @file clora/tensor.h
 * @brief Tier 1: typed arrays on the device.
 *
 * A tensor has one to four dimensions, row major; the last is contiguous. Rows (all dimensions but the last) may lie
 * further apart than the last dimension is long: that distance is the stride, in elements.
 */
#ifndef CLORA_TENSOR_H
#define CLORA_TENSOR_H

#include <stddef.h>

#include <clora/context.h>
#include <clora/dtype.h>
#include <clora/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier1
 * @{
 */

/** An array on the device. One thread at a time. */
typedef struct clora_tensor clora_tensor;

/** Where a tensor lies in a program's own buffer (clora_tensor_from_opencl()). */
typedef struct clora_tensor_layout {
    size_t size;       /**< of this struct, as the caller knows it */
    clora_dtype dtype; /**< type of the elements (default CLORA_DTYPE_F32) */
    int ndim;          /**< number of dimensions, 1 to 4 (default 0: to be set) */
    const int *shape;  /**< (ndim) sizes, each at least 1; copied (default NULL: to be set) */
    size_t offset;     /**< bytes from the buffer's start to element 0; a multiple of the element's size (default 0) */
    int stride; /**< elements from one row to the next; at least the last dimension, or 0 for dense (default 0) */
} clora_tensor_layout;

/** The defaults of clora_tensor_layout. */
#define CLORA_TENSOR_LAYOUT_INIT \
    { sizeof(clora_tensor_layout), CLORA_DTYPE_F32, 0, NULL, 0, 0 }

/**
 * Make a dense tensor with unspecified contents.
 *
 * @param[out] out      yours to free with clora_tensor_free()
 * @param[in]  context  kept until the tensor is freed
 * @param[in]  dtype    type of the elements
 * @param[in]  ndim     number of dimensions, 1 to 4
 * @param[in]  shape    (ndim)  sizes, each at least 1; copied
 *
 * @return CLORA_OK; CLORA_ERROR_ARGUMENT for another type or number of dimensions, CLORA_ERROR_SHAPE for a size below
 * 1, CLORA_ERROR_MEMORY when the device has not that much memory or allows no buffer of that size
 */
CLORA_API clora_status clora_tensor_create(clora_tensor **out, clora_context *context, clora_dtype dtype, int ndim,
                                           const int *shape);

/**
 * Free a tensor. Does not wait: the device memory goes when the work that uses it is done.
 *
 * @param[in] tensor  NULL is allowed
 */
CLORA_API void clora_tensor_free(clora_tensor *tensor);

/**
 * Copy from host memory. Waits.
 *
 * @param[out] tensor  overwritten
 * @param[in]  data    dense, row major, in the tensor's own type
 *
 * @return CLORA_OK; CLORA_ERROR_OPENCL when the device fails
 */
CLORA_API clora_status clora_tensor_write(clora_tensor *tensor, const void *data);

/**
 * Copy to host memory. Waits for all work enqueued before.
 *
 * @param[in]  tensor  the source
 * @param[out] data    overwritten: dense, row major, in the tensor's own type
 *
 * @return CLORA_OK; CLORA_ERROR_OPENCL when the device fails
 */
CLORA_API clora_status clora_tensor_read(const clora_tensor *tensor, void *data);

/**
 * Copy a tensor on the device. Enqueued.
 *
 * @param[out] to    overwritten; as many elements as `from` has and of its type, none of them in the same place
 * @param[in]  from  not changed
 *
 * @return CLORA_OK; CLORA_ERROR_SHAPE for another number or type of elements, or rows that do not lie one after the
 * other; CLORA_ERROR_OPENCL when the device fails
 */
CLORA_API clora_status clora_tensor_copy(clora_tensor *to, const clora_tensor *from);

/**
 * Set every element to zero. Enqueued.
 *
 * @param[out] tensor  overwritten; what lies between its rows is not
 *
 * @return CLORA_OK; CLORA_ERROR_OPENCL when the device fails
 */
CLORA_API clora_status clora_tensor_zero(clora_tensor *tensor);

/**
 * Type of the elements.
 *
 * @param[in] tensor  NULL: CLORA_DTYPE_F32
 *
 * @return the type it was made with
 */
CLORA_API clora_dtype clora_tensor_dtype(const clora_tensor *tensor);

/**
 * Number of dimensions.
 *
 * @param[in] tensor  NULL: 0
 *
 * @return 1 to 4
 */
CLORA_API int clora_tensor_ndim(const clora_tensor *tensor);

/**
 * Sizes of the dimensions.
 *
 * @param[in] tensor  NULL: NULL
 *
 * @return (ndim) sizes; borrowed, live as long as the tensor
 */
CLORA_API const int *clora_tensor_shape(const clora_tensor *tensor);

/**
 * Number of elements: the product of the sizes.
 *
 * @param[in] tensor  NULL: 0
 *
 * @return elements, without what lies between rows
 */
CLORA_API size_t clora_tensor_count(const clora_tensor *tensor);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
