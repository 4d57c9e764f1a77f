#include "device/rules.h"

static bool has_vectors(const kernel_at *at) {
    return kernel_explicit_vectors(at->context);
}

/* Processors with vectors of 16 have twice as many registers. */
static bool has_many_registers(const kernel_at *at) {
    return kernel_panel_vector(at->context) == 16;
}

/* ---- vectors and groups ---- */

int rule_width(const kernel_at *at) {
    int width = 1;

    while (has_vectors(at) && width < 16 && 2 * width <= at->context->info.vector_width)
        width *= 2;
    return width;
}

int rule_panel_vector(const kernel_at *at) {
    return kernel_panel_vector(at->context);
}

static int group_of(const kernel_at *at, int wanted) {
    int group = wanted;

    if (has_vectors(at))
        return 1;
    while (group > 1 && (size_t)group > at->most_items)
        group /= 2;
    return group;
}

int rule_row(const kernel_at *at) {
    return group_of(at, 128);
}
int rule_long_row(const kernel_at *at) {
    return group_of(at, 256);
}
int rule_elements(const kernel_at *at) {
    return group_of(at, 64);
}

int rule_block(const kernel_at *at) {
    return has_vectors(at) ? 512 : 1;
}
int rule_block_of_four(const kernel_at *at) {
    return has_vectors(at) ? 512 : 4;
}

int rule_tile_columns(const kernel_at *at) {
    return at->most_items >= 128 ? 16 : 8;
}
int rule_tile_rows(const kernel_at *at) {
    return at->most_items >= 256 ? 16 : 8;
}

int rule_slices(const kernel_at *at) {
    int slices = 8;

    while (slices > 1 && (size_t)(slices * kernel_panel_width(at->context)) > at->most_items)
        slices /= 2;
    return slices;
}

/* ---- attention ---- */

int rule_attention_vectors(const kernel_at *at) {
    return has_vectors(at) ? 2 : 1;
}
int rule_attention_tile(const kernel_at *at) {
    return has_vectors(at) ? 6 : 4;
}
int rule_attention_rows(const kernel_at *at) {
    return has_vectors(at) ? 48 : 16;
}

int rule_row_keys(const kernel_at *at) {
    return has_vectors(at) ? 64 : rule_row(at);
}
int rule_row_columns(const kernel_at *at) {
    return has_vectors(at) ? 4 : 1;
}

/* ---- products on panels ---- */

/* Rows of so many panels that fit half the local memory: a CPU's is its second cache, which holds activations too. */
static int rows_in_local_memory(const kernel_at *at, int panels) {
    enum { MOST = 512 << 10 };
    const size_t half = at->context->info.local_memory / 2, local = half < MOST ? half : MOST;
    return (int)(local / sizeof(float)) / (panels * kernel_panel_width(at->context));
}

int rule_panel_rows(const kernel_at *at) {
    return has_many_registers(at) ? 8 : 6;
}

int rule_panel_steps(const kernel_at *at) {
    enum { MOST = 640 };
    const int rows = rows_in_local_memory(at, 1);
    return rows >= MOST ? MOST : rows < 4 ? 4 : rows / 4 * 4;
}

/* Once a block where conversions compete with the products and there are enough tiles to share them. */
int rule_widen(const kernel_at *at) {
    enum { FEW_TILES = 8 };
    return has_many_registers(at) && at->key->M > FEW_TILES * rule_panel_rows(at) ? 2 : 1;
}

int rule_turned_panels(const kernel_at *at) {
    enum { MOST = 8 };
    return rows_in_local_memory(at, MOST) >= 4 * kernel_panel_width(at->context) ? MOST : 1;
}

/* The last panel's lanes may reach NR further. */
int rule_turned_rows(const kernel_at *at) {
    enum { MOST = 384 };
    const int NR = kernel_panel_width(at->context), rows = rows_in_local_memory(at, rule_turned_panels(at)) - NR;
    return rows >= MOST ? MOST : rows < NR ? NR : rows / NR * NR;
}

int rule_laid_tile(const kernel_at *at) {
    return has_many_registers(at) ? 12 : 6;
}

/* LAID_COLUMNS of x, the last tile filled up, and a panel of dy in half the local memory, as above. */
int rule_laid_rows(const kernel_at *at) {
    enum { MOST = 256 };
    const int NR = kernel_panel_width(at->context), all = LAID_COLUMNS + rule_laid_tile(at) + NR;
    const int rows = rows_in_local_memory(at, 1) * NR / all;
    return rows >= MOST ? MOST : rows < 1 ? 1 : rows;
}

/* By KC and NB: half the local memory, as above. */
int rule_dot_rows(const kernel_at *at) {
    enum { MOST = 360 };
    const int rows = (int)(at->context->info.local_memory / 2 / sizeof(uint32_t)) / (DOT_STEPS / 2);
    return rows >= MOST ? MOST : rows < 1 ? 1 : rows;
}

/* Panels over K whose pairs of so many rows of W0 lie in the memory. */
static int panels_of_pairs(const kernel_at *at, size_t memory, int rows) {
    const int NR = kernel_panel_width(at->context);
    return (int)(memory / sizeof(uint32_t)) / ((rows + NR) / 2 * NR);
}

/* Tiles multiply so fast that what feeds them takes longer: rows are rounded for more panels at once. */
static bool has_tiles(const kernel_at *at) {
    return at->context->dot == DOT_TILES && has_many_registers(at);
}

int rule_dot_columns(const kernel_at *at) {
    return has_tiles(at) ? 16 : 4;
}

/* One panel in half of it, several in a quarter. */
int rule_dot_block(const kernel_at *at) {
    enum { MOST = 384, LESS = 128 };
    const size_t half = at->context->info.local_memory / 2;
    return panels_of_pairs(at, half, MOST) && !has_tiles(at) ? MOST
           : panels_of_pairs(at, half, LESS)                 ? LESS
                                                             : kernel_panel_width(at->context);
}
int rule_dot_panels(const kernel_at *at) {
    const int most = rule_dot_columns(at);
    const int panels = panels_of_pairs(at, at->context->info.local_memory / 4, rule_dot_block(at));
    return panels >= most ? most : panels < 1 ? 1 : panels;
}

/* ---- low-rank products ---- */

int rule_merge_vectors(const kernel_at *at) {
    return has_vectors(at) ? 2 : 1;
}
int rule_merge_block(const kernel_at *at) {
    return has_vectors(at) ? 256 : 32;
}

/* Of the merged weight, with their vectors: the more, the less often the factors are read. */
int rule_merge_columns(const kernel_at *at) {
    return has_vectors(at) && has_many_registers(at) ? 8 : 4;
}

int rule_norm_slices(const kernel_at *at) {
    return has_vectors(at) ? 1 : rule_slices(at);
}

int rule_down_rows(const kernel_at *at) {
    return has_many_registers(at) ? 6 : 3;
}

/* The more rows, the less often the factor is read; of few rows there are more ranks. */
int rule_down_ranks(const kernel_at *at) {
    return has_many_registers(at) && 2 * at->key->M <= rule_down_rows(at) ? 8 : 4;
}
/* Of one row: a vector of sums each. */
int rule_each_ranks(const kernel_at *at) {
    return has_many_registers(at) ? 16 : 8;
}
int rule_grad_ranks(const kernel_at *at) {
    return has_many_registers(at) ? 8 : 6;
}

/* ---- ways ---- */

int rule_ahead(const kernel_at *at) {
    return kernel_has_compilers_ways(at->context) ? 32 : NO_LINES;
}
bool allows_ahead(const kernel_at *at, int value) {
    return kernel_has_compilers_ways(at->context) || value == NO_LINES;
}

/* The GEMV kernels hold them in registers: a power of two, as rows in keys are. */
int rule_path_rows(const kernel_at *at) {
    const int few = !has_vectors(at) || has_many_registers(at) ? 8 : 4;
    return at->key->M <= few ? PATH_GEMV : PATH_GEMM;
}

int rule_path_tape(const kernel_at *at) {
    return kernel_runs_tapes(at->context) ? TAPE_TOGETHER : TAPE_APART;
}
bool allows_path_tape(const kernel_at *at, int value) {
    return value == TAPE_APART || kernel_runs_tapes(at->context);
}

int rule_layout(const kernel_at *at) {
    return at->context->gemm == GEMM_CLBLAST ? LAYOUT_PLAIN : LAYOUT_PANEL;
}

/* CLBlast has kernels for GPUs: on CPUs they take many times as long (docs/tuning.md), and seconds to compile. */
bool tries_layout(const kernel_at *at, int value) {
    return value != LAYOUT_PLAIN || !has_vectors(at);
}

/* The merged weight costs R operations an element of the weight, the term in the product R an element of the output:
 * from K or N rows on it may be less. (A fused weight's N counts all modules, each of which has its own ranks.) */
bool allows_term(const kernel_at *at, int value) {
    return value != TERM_MERGED || at->key->M >= at->key->K;
}
bool allows_dx_term(const kernel_at *at, int value) {
    enum { MOST_MODULES = 4 };
    return value != TERM_MERGED || at->key->M >= at->key->N / MOST_MODULES;
}
