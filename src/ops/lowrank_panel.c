#include "base/ints.h"
#include "ops/matmul.h"

/* Ranks in one register tile: at most `most`, evenly over the tiles, so that few are computed in vain. */
static int even_tile(int R, int most) {
    return divide_up(R, divide_up(R, most));
}

static int cores(const clora_context *context) {
    return context->info.compute_units > 0 ? context->info.compute_units : 1;
}

clora_status lowrank_panel_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *f,
                                const clora_tensor *scales) {
    enum { ITEMS_PER_CORE = 8 };
    clora_context *context = u->context;
    const int M = (int)tensor_rows(u), R = tensor_cols(u);
    launch l;

    launch_begin(&l, context, "lowrank_panel_down", lowrank_key(u, x));
    const int DM = least(launch_parameter(&l, "MOST_ROWS"), M), DR = even_tile(R, launch_parameter(&l, "MOST_RANKS"));
    const int MB = divide_up(divide_up(M, ITEMS_PER_CORE * cores(context)), DM) * DM, blocks = divide_up(M, MB);
    const int RB = blocks >= cores(context) ? R : divide_up(divide_up(R, divide_up(cores(context), blocks)), DR) * DR;
    launch_define(&l, "NR", kernel_panel_width(context));
    launch_define(&l, "DM", DM);
    launch_define(&l, "DR", DR);
    launch_tensor(&l, u);
    launch_int(&l, u->stride);
    launch_tensor(&l, x);
    launch_int(&l, x->stride);
    launch_tensor(&l, f);
    launch_tensor(&l, scales);
    launch_int(&l, M);
    launch_int(&l, tensor_cols(x));
    launch_int(&l, R);
    launch_int(&l, MB);
    launch_int(&l, RB);
    return launch_run(&l, (size_t)blocks, (size_t)divide_up(R, RB), 1, 1, 1, 1);
}

clora_status lowrank_panel_grad(clora_tensor *f, const clora_tensor *d, const clora_tensor *x) {
    enum { CACHE = 24 << 10 /* bytes of x that stay in the first cache beside the sums */, ITEMS_PER_CORE = 4 };
    clora_context *context = f->context;
    const int NR = kernel_panel_width(context), R = tensor_cols(d), C = tensor_cols(x), panels = divide_up(C, NR);
    const int PB = least(8, divide_up(panels, ITEMS_PER_CORE * cores(context)));
    const int rows = CACHE / (int)sizeof(float) / (PB * NR);
    launch l;

    launch_begin(&l, context, "lowrank_panel_grad", lowrank_key(d, x));
    launch_define(&l, "NR", NR);
    launch_define(&l, "GR", even_tile(R, launch_parameter(&l, "MOST_RANKS")));
    launch_tensor(&l, f);
    launch_tensor(&l, d);
    launch_int(&l, d->stride);
    launch_tensor(&l, x);
    launch_int(&l, x->stride);
    launch_int(&l, (int)tensor_rows(x));
    launch_int(&l, C);
    launch_int(&l, R);
    launch_int(&l, PB);
    launch_int(&l, rows);
    return launch_run(&l, (size_t)divide_up(panels, PB), 1, 1, 1, 1, 1);
}
