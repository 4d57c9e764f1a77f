#ifndef CLORA_OPS_ATTENTION_H
#define CLORA_OPS_ATTENTION_H

#include "ops/launch.h"
#include "ops/ops.h"

/* By the kernel that makes rows of y, not blocks of lanes: when the rows of a sequence fill less than half
 * the lanes. */
bool attention_by_rows(clora_context *context, attention_shape s);

#endif
