/**
 * @file clora/dtype.h
 * @brief Tier 0: how numbers are stored.
 */
#ifndef CLORA_DTYPE_H
#define CLORA_DTYPE_H

#include <clora/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier0
 * @{
 */

/** Element types of tensors. Arithmetic is always float; f16 and bf16 are storage. */
typedef enum clora_dtype {
    CLORA_DTYPE_F32 = 0,  /**< IEEE binary32 */
    CLORA_DTYPE_F16 = 1,  /**< IEEE binary16 */
    CLORA_DTYPE_BF16 = 2, /**< the upper half of a binary32 */
    CLORA_DTYPE_I32 = 3   /**< signed 32-bit integers: token ids, positions */
} clora_dtype;

/** Storage types of frozen weights. Those that are element types too have the same values. */
typedef enum clora_storage {
    CLORA_STORAGE_F32 = CLORA_DTYPE_F32,
    CLORA_STORAGE_F16 = CLORA_DTYPE_F16,
    CLORA_STORAGE_BF16 = CLORA_DTYPE_BF16,
    CLORA_STORAGE_Q8_0 = 4, /**< blocks of 32 along a row: 8-bit integers times a scale in f16. Made when a model is
                                 loaded; matrices whose rows are not whole blocks keep their files' type */
    CLORA_STORAGE_END       /**< no type, but the end of the numbers; CLORA_DTYPE_I32 is among them and none either */
} clora_storage;

/**
 * The name of a storage type, such as "bf16". All lie from 0 up to CLORA_STORAGE_END.
 *
 * @param[in] storage  any number
 *
 * @return a static text, NULL when there is no such type
 */
CLORA_API const char *clora_storage_name(clora_storage storage);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
