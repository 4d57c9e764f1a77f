#include "base/ints.h"
#include "ops/matmul.h"

bool matmul_is_gemv(const forward_product *p) {
    const kernel_key key = forward_key(p);

    return p->M <= GEMV_MOST_ROWS && tuning_choose(p->y->context, "path_rows", &key) == PATH_GEMV;
}

/* Panels of 32 columns have vectors of 16, and those processors twice as many registers. */
int matmul_gemv_sums(const clora_context *context) {
    return kernel_panel_width(context) >= 32 ? 12 : 6;
}

int matmul_program_rows(int M) {
    enum { EACH = 4 };
    return M <= EACH ? M : divide_up(M, 2) * 2;
}

int matmul_panels_together(const clora_context *context, int most, const forward_product *p, int panels) {
    const int cores = context->info.compute_units > 0 ? context->info.compute_units : 1;
    const int each = p->gated ? 2 : 1, rows = matmul_program_rows(p->M);
    int best = 1, least_work = divide_up(panels, cores);

    for (int s = 2; s * each <= most && s * each * rows <= matmul_gemv_sums(context); s++) {
        const int work = divide_up(divide_up(panels, s), cores) * s;
        if (work <= least_work) {
            best = s;
            least_work = work;
        }
    }
    return best;
}
