#ifndef CLORA_BASE_DTYPE_H
#define CLORA_BASE_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <clora/dtype.h>

size_t dtype_size(clora_dtype dtype);      /* bytes of one element */
const char *dtype_name(clora_dtype dtype); /* "f32", "f16", "bf16", "i32" */

float dtype_f16_to_f32(uint16_t h);
uint16_t dtype_f32_to_f16(float f); /* round to nearest even; overflow becomes infinity */
float dtype_bf16_to_f32(uint16_t h);
uint16_t dtype_f32_to_bf16(float f); /* round to nearest even; NaN stays NaN */

/* out[i] = in[i] for n elements; exact when widening, rounded to nearest even when narrowing. f32, f16 and
 * bf16 only. */
void dtype_to_f32(float *out, const void *in, clora_dtype dtype, size_t n);
void dtype_from_f32(void *out, clora_dtype dtype, const float *in, size_t n);

/* Whether none of n elements is an infinity or a NaN; f32, f16 and bf16 only. */
bool dtype_all_finite(const void *values, clora_dtype dtype, size_t n);

#endif
