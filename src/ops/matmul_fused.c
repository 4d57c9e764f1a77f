#include "ops/matmul.h"
#include "ops/tape_note.h"

/* Both halves are equal, in one part, and begin on a panel, as modules do. */
static bool can_gate(const forward_product *p) {
    const weight *w = p->w;

    if (w->parts != 1)
        return false;
    return w->modules == 1 ? w->N % (2 * w->NR) == 0 : w->modules == 2 && w->module[0].N == w->module[1].N;
}

/* Only the GEMV kernel for panels knows how. */
static bool fuses(const forward_product *p, const matmul_fusion *f) {
    const kernel_key key = forward_key(p);

    if (p->w->layout != WEIGHT_PANEL || matmul_uses_tile(p->y->context) || !matmul_is_gemv(p))
        return false;
    if (f->gu && !can_gate(p))
        return false;
    return !p->u || tuning_choose(p->y->context, "path_term", &key) == TERM_FUSED;
}

static bool fits(const clora_tensor *y, const clora_tensor *x, const weight *w, const matmul_fusion *f) {
    const size_t M = tensor_rows(x);

    if (f->gu ? w->N % 2 != 0 || !matmul_is_shape(y, M, w->N / 2) || !matmul_is_shape(f->gu, M, w->N)
              : !matmul_is_shape(y, M, w->N))
        return false;
    return !f->gain || (clora_tensor_count(f->gain) == (size_t)w->K && matmul_is_shape(f->normed, M, w->K));
}

clora_status op_matmul_fused(clora_tensor *y, const clora_tensor *x, const weight *w, const lowrank *lr,
                             clora_tensor *u, const matmul_fusion *f) {
    const size_t M = tensor_rows(x);
    forward_product p = matmul_product(y, x, w, NULL, lr, u);
    clora_status status = CLORA_OK;

    if (!matmul_is_shape(x, M, w->K) || !fits(y, x, w, f) || !matmul_is_term(lr, u, w, M))
        return clora_fail(CLORA_ERROR_SHAPE, "matmul_fused: y%s x%s w(%d,%d) u%s gu%s", tensor_shape_text(y),
                          tensor_shape_text(x), w->N, w->K, tensor_shape_text(u), tensor_shape_text(f->gu));
    if (f->gain) {
        TRY(op_rmsnorm(f->normed, NULL, x, f->gain, f->eps, f->plus_one));
        p.x = f->normed;
        if (lr)
            TRY(op_lowrank_down(u, f->normed, lr));
    }
    if (fuses(&p, f)) {
        p.gated = f->gu != NULL;
        p.gelu = f->gelu;
        return matmul_forward(&p);
    }
    TRY(op_matmul(f->gu ? f->gu : y, p.x, w, NULL, lr, u, false));
    if (f->gu)
        TRY(op_swiglu(y, f->gu, f->gelu));
done:
    return status;
}
