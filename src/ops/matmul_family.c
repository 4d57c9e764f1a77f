#include "ops/matmul.h"

bool matmul_uses_tile(const clora_context *context) {
    return context->gemm == GEMM_TILE || (context->gemm == GEMM_CLBLAST && !context->is_cpu);
}

clora_status matmul_forward(const forward_product *p) {
    return matmul_uses_tile(p->y->context) ? matmul_tile_forward(p) : matmul_panel_forward(p);
}

clora_status matmul_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                       const clora_tensor *du, bool accumulate) {
    return matmul_uses_tile(w->context) ? matmul_tile_dx(dx, dy, w, lr, du, accumulate)
                                        : matmul_panel_dx(dx, dy, w, lr, du, accumulate);
}
