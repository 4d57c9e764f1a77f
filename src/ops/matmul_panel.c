#include "ops/matmul.h"

#include "base/ints.h"
#include "device/dot.h"
#include "ops/tape_note.h"

/* The largest number that cuts `all` into as many parts as `most` does, and is a multiple of `unit`. */
static int even_share(int all, int most, int unit) {
    return divide_up(divide_up(all, divide_up(all, most)), unit) * unit;
}

/* Rows and panels of one work-item. */
typedef struct share {
    int rows, panels;
} share;

/* The time that items of this share take on all cores, which take one at a time. An item brings each row into its
 * cache, and brings (or turns) each panel: an eighth of a row's product with a panel, and 16 of them. */
static long long time_of(share s, int M, int panels, int cores) {
    enum { UNIT = 8, ROW = 1, PANEL = 16 * UNIT };
    const int rounds = divide_up(divide_up(M, s.rows) * divide_up(panels, s.panels), cores);

    return (long long)rounds * (s.rows * (UNIT * s.panels + ROW) + s.panels * PANEL);
}

/* As the parameters allow, so that no core stands idle at the end for long. */
static share share_out(const clora_context *context, const launch *l, int M, int panels, int MR) {
    enum { PARTS_PER_CORE = 4 };
    const int cores = context->info.compute_units > 0 ? context->info.compute_units : 1;
    const int most_rows = launch_parameter(l, "MB") / MR * MR, fewest = divide_up(M, most_rows);
    const int most_parts = least(divide_up(M, MR), fewest + PARTS_PER_CORE * cores);
    share best = {even_share(M, most_rows, MR), 1};

    for (int p = least(launch_parameter(l, "PB"), panels); p > 0; p--)
        for (int parts = fewest; parts <= most_parts; parts++) {
            const share s = {even_share(M, divide_up(M, parts), MR), p};
            if (time_of(s, M, panels, cores) < time_of(best, M, panels, cores))
                best = s;
        }
    return best;
}

/* How pairs of a weight's elements are multiplied, where they lie in pairs and the device has a way. It rounds, so it
 * is a matter of the rows alone, and not of what was tuned: a GEMV, by either kernel, is not rounded. */
static dot_engine dot_of(clora_context *context, const weight *w, int M) {
    return w && w->storage->pairs && M > GEMV_MOST_ROWS ? context_dot(context) : DOT_NONE;
}

/* Rows of a register tile, a definition: with few rows an even cut, so that the last tile is not computed in vain; with
 * many always the most, so that every length takes the same program. A processor's tiles have the rows that they have,
 * and pass through registers in parts. */
static int tile_rows(launch *l, int M, dot_engine dot) {
    enum { TILES = 32, PART = 8 };
    const int most = least(launch_parameter(l, "MOST_ROWS"), launch_parameter(l, "MB"));
    const int rows = M > 4 * most ? most : even_share(M, most, 1);

    if (dot)
        launch_define(l, "DOT", dot);
    launch_define(l, "MR", dot == DOT_TILES ? PART : rows);
    return dot == DOT_TILES ? TILES : rows;
}

/* Blocks of K begin where a load does, of types with two steps in one or with more. */
static int whole_loads(const weight *w) {
    return w && w->storage->steps > 2 ? w->storage->steps : 2;
}

static void define_panel(launch *l, const weight *w, clora_context *context) {
    launch_define(l, "NR", kernel_panel_width(context));
    launch_define(l, "STORAGE", w ? (int)w->storage->id : 0);
}

/* As a phase, with the parameters of the product's own kernel. */
static bool note_gemv(const forward_product *p, const weight_part *part) {
    clora_context *context = p->y->context;
    const kernel_key key = forward_key(p);
    const int each = p->gated ? 2 : 1, most = tuning_value(context, "matvec_panel", "MOST_STREAMS", &key);
    const int panels = (part ? part->panels : p->panels) / each;

    if (!part && p->lr)
        return false;
    return tape_note_product(p, part, matmul_panels_together(context, most, p, panels) * each,
                             tuning_value(context, "matvec_panel", "AHEAD", &key));
}

/* One launch makes the columns of one part of the weight, or of all panels when there is no weight. */
static clora_status forward_part(const forward_product *p, const weight_part *part) {
    clora_context *context = p->y->context;
    const int panels = (part ? part->panels : p->panels) / (p->gated ? 2 : 1);
    const kernel_key key = forward_key(p);
    const bool gemv = matmul_is_gemv(p);
    const dot_engine dot = dot_of(context, p->w, p->M);
    share each = {p->M, 1};
    int block = 0;
    launch l;

    if (gemv && note_gemv(p, part))
        return CLORA_OK;
    launch_begin(&l, context, gemv ? "matvec_panel" : dot ? "matmul_dot" : "matmul_panel", key);
    if (gemv) {
        each.panels = matmul_panels_together(context, launch_parameter(&l, "MOST_STREAMS"), p, panels);
        launch_define(&l, "ROWS", matmul_program_rows(p->M));
        launch_define(&l, "STREAMS", each.panels * (p->gated ? 2 : 1));
        launch_define(&l, "GATED", p->gated);
        if (p->gated && p->gelu)
            launch_define(&l, "GELU", 1);
    } else {
        const int MR = tile_rows(&l, p->M, dot);
        each = share_out(context, &l, p->M, panels, MR);
        block = even_share(p->K ? p->K : 1, launch_parameter(&l, "KC"), whole_loads(p->w));
    }
    define_panel(&l, p->w, context);
    matmul_arguments(&l, p, part, panels);
    launch_int(&l, each.rows);
    launch_int(&l, each.panels);
    launch_int(&l, block);
    return launch_run(&l, (size_t)divide_up(panels, each.panels), (size_t)divide_up(p->M, each.rows), 1, 1, 1, 1);
}

clora_status matmul_panel_forward(const forward_product *p) {
    clora_status status = p->w ? CLORA_OK : forward_part(p, NULL);

    for (int i = 0; p->w && i < p->w->parts && status == CLORA_OK; i++)
        status = forward_part(p, &p->w->part[i]);
    return status;
}

clora_status matmul_panel_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                             const clora_tensor *du, bool accumulate) {
    const int M = (int)tensor_rows(dx), panels = divide_up(w->K, w->NR);
    const dot_engine dot = dot_of(w->context, w, M);
    clora_status status = CLORA_OK;

    for (int i = 0; i < w->parts && status == CLORA_OK; i++) {
        launch l;

        launch_begin(&l, w->context, dot ? "matmul_dot_dx" : "matmul_panel_dx", dx_key(w, i == 0 ? lr : NULL, M));
        const int MR = tile_rows(&l, M, dot);
        const share each = share_out(w->context, &l, M, panels, MR);
        define_panel(&l, w, w->context);
        matmul_dx_arguments(&l, dx, dy, w, i, lr, du, accumulate);
        launch_int(&l, each.rows);
        launch_int(&l, each.panels);
        status = launch_run(&l, (size_t)divide_up(panels, each.panels), (size_t)divide_up(M, each.rows), 1, 1, 1, 1);
    }
    return status;
}
