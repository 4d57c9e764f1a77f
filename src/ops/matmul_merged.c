#include "device/scratch.h"
#include "ops/matmul.h"

/*
 * Products with the merged weight W0 + s B A: a slice of it is made in the context's scratch and multiplied as a weight
 * of its own, panels in f32 without a low-rank term; then the next. Every product makes it anew: A and B may have
 * changed.
 */
typedef clora_status (*slice_product)(void *call, const weight *slice, bool first);

static clora_status multiply_slice(slice_product product, void *call, clora_tensor *scratch, const lowrank *lr,
                                   int part, int panel, int panels) {
    const weight *w = lr->base;
    clora_tensor merged = tensor_slice(scratch, 0, panels, w->K * w->NR);
    weight_part only = {.data = &merged, .panel = w->part[part].panel + panel, .panels = panels};
    weight slice = *w;
    clora_status status = CLORA_OK;

    slice.storage = storage_of(CLORA_STORAGE_F32);
    slice.parts = 1;
    slice.part = &only;
    TRY(op_lowrank_merge(&merged, lr, part, panel));
    TRY(product(call, &slice, only.panel == 0));
done:
    return status;
}

static clora_status multiply_slices(slice_product product, void *call, const lowrank *lr) {
    const weight *w = lr->base;
    const int most = lowrank_merged_panels(w);
    clora_tensor *scratch;
    clora_status status = scratch_take(&scratch, w->context, lowrank_merged_elements(w));

    if (status != CLORA_OK)
        return status;
    for (int part = 0; part < w->parts; part++)
        for (int panel = 0; panel < w->part[part].panels; panel += most) {
            const int left = w->part[part].panels - panel;
            TRY(multiply_slice(product, call, scratch, lr, part, panel, left < most ? left : most));
        }
done:
    scratch_give(w->context);
    return status;
}

/* The slice's columns of y. */
static clora_status forward_slice(void *call, const weight *slice, bool first) {
    forward_product p = *(const forward_product *)call;

    (void)first;
    p.w = slice;
    p.u = p.b = p.table = NULL;
    p.R = 0;
    return matmul_forward(&p);
}

clora_status matmul_merged_forward(const forward_product *p, const lowrank *lr) {
    forward_product call = *p;
    return multiply_slices(forward_slice, &call, lr);
}

typedef struct dx_call {
    clora_tensor *dx;
    const clora_tensor *dy;
    bool accumulate;
} dx_call;

/* What the slice's rows add to dx. */
static clora_status dx_slice(void *call, const weight *slice, bool first) {
    const dx_call *c = call;
    return matmul_dx(c->dx, c->dy, slice, NULL, NULL, c->accumulate || !first);
}

clora_status matmul_merged_dx(clora_tensor *dx, const clora_tensor *dy, const lowrank *lr, bool accumulate) {
    return multiply_slices(dx_slice, &(dx_call){dx, dy, accumulate}, lr);
}
