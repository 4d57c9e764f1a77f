#ifndef CLORA_OPS_ATTENTION_H
#define CLORA_OPS_ATTENTION_H

#include <math.h>

#include "ops/launch.h"
#include "ops/ops.h"

/* The rows that a work-group has in its lanes, where local memory holds them. */
int attention_lanes(clora_context *context, attention_shape s);

/* By the kernel that makes rows of y, not blocks of lanes: when the rows of a sequence fill less than half
 * the lanes. */
bool attention_by_rows(clora_context *context, attention_shape s);

/* Of the products of queries and keys. */
static inline float attention_scale(attention_shape s) {
    return s.scale > 0.0f ? s.scale : 1.0f / sqrtf((float)s.D);
}

#endif
