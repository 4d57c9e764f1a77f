#ifndef CLORA_METHODS_BOTTLENECK_ADAPTER_H
#define CLORA_METHODS_BOTTLENECK_ADAPTER_H

#include <clora/bottleneck.h>

#include "base/json.h"
#include "methods/method.h"

/* Bottlenecks after sublayers. All values lie side by side in one f32 buffer, so that the optimizer is one launch. */
typedef struct bottleneck_adapter {
    clora_adapter adapter; /* its bottlenecks' values are views of the buffer */
    clora_tensor *values;  /* (1, n) */
    int bottlenecks;
    clora_bottleneck_info info;
    json_t *config; /* what adapter_config.json says (methods/bottleneck_config.h) */
} bottleneck_adapter;

clora_status bottleneck_adapter_create(clora_adapter **out, const base_model *base,
                                       const clora_bottleneck_options *options);

#endif
