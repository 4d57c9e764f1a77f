#ifndef CLORA_METHODS_LAYER_H
#define CLORA_METHODS_LAYER_H

#include <clora/lowrank.h>

#include "base/shared.h"
#include "methods/lora.h"

/* Four buffers of the same layout, a, then b: parameters, gradients, moments. */
struct clora_lowrank {
    shared *base; /* the weight, held */
    lowrank *lr;
    clora_tensor *parameters, *gradients, *m, *v;
    clora_tensor *scale;   /* (2): gradients are taken as they are */
    clora_tensor *clipped; /* (2), of op_clip_scale; NULL before the first clipping */
    bool is_clipped;       /* the next update takes the gradients so */
    clora_tensor *du;      /* (M, R) scratch; grows with the largest M seen */
};

/* What one of the buffers has for A and for B, row major; either may be NULL. Waits. Values to be written are finite,
 * or none is written. */
clora_status layer_read_factors(const clora_lowrank *l, const clora_tensor *from, float *a, float *b);
clora_status layer_write_factors(clora_lowrank *l, clora_tensor *to, const float *a, const float *b);

#endif
