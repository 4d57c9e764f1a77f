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

/* What kernels are told of pages (kernels/pages.cl); without pages count is 0. */
typedef struct page_arguments {
    int count, bits;
} page_arguments;

static inline page_arguments attention_pages(attention_shape s) {
    page_arguments out = {0};

    if (!s.pages)
        return out;
    out.count = tensor_cols(s.pages);
    while (1 << out.bits < s.page)
        out.bits++;
    return out;
}

/* The three arguments; without pages the tensor is any. */
void launch_pages(launch *l, attention_shape s, const clora_tensor *any);

/* Are these the rows of keys or values, and the pages such as can be? */
bool attention_has_rows(const clora_tensor *kv, attention_shape s);

/* Of the products of queries and keys. */
static inline float attention_scale(attention_shape s) {
    return s.scale > 0.0f ? s.scale : 1.0f / sqrtf((float)s.D);
}

#endif
