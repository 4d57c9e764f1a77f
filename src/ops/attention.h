#ifndef CLORA_OPS_ATTENTION_H
#define CLORA_OPS_ATTENTION_H

#include "ops/launch.h"
#include "ops/ops.h"

/* Queries a sequence, keys (in buckets, for they grow), head size, queries that share a key. */
kernel_key attention_key(attention_shape s);

/* By the kernel that makes rows of y, not blocks of lanes: when the rows of a sequence fill less than half
 * the lanes. */
bool attention_by_rows(clora_context *context, attention_shape s);

/* Heads that a work-group of it makes from one reading of their keys: as many as leave four groups for each compute
 * unit. */
int attention_heads_together(const clora_context *context, attention_shape s);

#endif
