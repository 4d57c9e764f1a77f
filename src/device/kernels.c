#include "device/kernels.h"

#include <assert.h>
#include <string.h>

#include "device/devices.h"

/* Floats in a vector of the panel kernels: what the device computes at once, as far as OpenCL C and a panel go. */
static int panel_vector(const clora_context *context) {
    const int width = context->info.vector_width;
    return width >= 16 ? 16 : width >= 8 ? 8 : 4;
}

/* Two vectors of a CPU's own width (12 accumulators of 6 rows then fit its registers), what coalesces on GPUs. */
int kernel_panel_width(const clora_context *context) {
    return context->is_cpu ? 2 * panel_vector(context) : 32;
}

bool kernel_explicit_vectors(const clora_context *context) {
    return context->is_cpu && context->gemm != GEMM_TILE;
}

/* Floats in an explicit vector: the device's native width. */
static int rule_width(const clora_context *context) {
    int width = 1;

    while (kernel_explicit_vectors(context) && width < 16 && 2 * width <= context->info.vector_width)
        width *= 2;
    return width;
}

static int group_of(const clora_context *context, int wanted) {
    int group = wanted;

    if (kernel_explicit_vectors(context))
        return 1;
    while (group > 1 && (size_t)group > context->info.max_group)
        group /= 2;
    return group;
}

/* Work-items in a group where a group makes a row (of some hundred or some ten thousand columns), or where each makes a
 * few elements. */
static int rule_row(const clora_context *context) {
    return group_of(context, 128);
}
static int rule_long_row(const clora_context *context) {
    return group_of(context, 256);
}
static int rule_elements(const clora_context *context) {
    return group_of(context, 64);
}

/* Elements of a work-item: enough to pay for its start on CPUs, neighbours' loads side by side on GPUs. */
static int rule_block(const clora_context *context) {
    return kernel_explicit_vectors(context) ? 512 : 1;
}
static int rule_block_of_four(const clora_context *context) {
    return kernel_explicit_vectors(context) ? 512 : 4;
}

/* Attention: vectors of lanes in a work-item, work-items of one lane each, rows of the stream in registers, and rows
 * between two corrections of the maximum. */
static int rule_attention_vectors(const clora_context *context) {
    return kernel_explicit_vectors(context) ? 2 : 1;
}
static int rule_attention_tile(const clora_context *context) {
    return kernel_explicit_vectors(context) ? 6 : 4;
}
static int rule_attention_rows(const clora_context *context) {
    return kernel_explicit_vectors(context) ? 48 : 16;
}

/* Attention by rows: keys at a time, vectors of columns in registers. */
static int rule_row_keys(const clora_context *context) {
    return kernel_explicit_vectors(context) ? 64 : rule_row(context);
}
static int rule_row_columns(const clora_context *context) {
    return kernel_explicit_vectors(context) ? 4 : 1;
}

/* Items of a group along the columns and along the rows of a tile in local memory: 16 by 16, at least 8 by 8. */
static int rule_tile_columns(const clora_context *context) {
    return context->info.max_group >= 128 ? 16 : 8;
}
static int rule_tile_rows(const clora_context *context) {
    return context->info.max_group >= 256 ? 16 : 8;
}

/* Items that share a lane of a panel. */
static int rule_slices(const clora_context *context) {
    int slices = 8;

    while (slices > 1 && (size_t)(slices * kernel_panel_width(context)) > context->info.max_group)
        slices /= 2;
    return slices;
}

/* clang-format off */
#define VECTOR {"VW", rule_width, {16, 8, 4, 1}}
#define ROW_GROUP {"WG", rule_row, {1, 64, 128, 256}}
#define LONG_ROW_GROUP {"WG", rule_long_row, {1, 128, 256, 512}}
#define ELEMENT_GROUP {"WG", rule_elements, {1, 32, 64, 128, 256}}
#define BLOCK {"BLOCK", rule_block, {512, 128, 2048, 1}}
#define BLOCK_OF_FOUR {"BLOCK", rule_block_of_four, {512, 128, 2048, 4}}
#define ATTENTION {VECTOR, {"VECTORS", rule_attention_vectors, {1, 2, 3, 4}}, \
    {"ITEMS", rule_elements, {1, 32, 64, 128}}, {"MR", rule_attention_tile, {6, 4, 8}}, \
    {"BK", rule_attention_rows, {48, 24, 96, 16, 32, 64}}}
/* clang-format on */

/* Rows of so many panels that fit half the local memory: a CPU's is its second cache, which holds activations too. */
static int rows_in_local_memory(const clora_context *context, int panels) {
    enum { MOST = 512 << 10 };
    const size_t half = context->info.local_memory / 2, local = half < MOST ? half : MOST;
    return (int)(local / sizeof(float)) / (panels * kernel_panel_width(context));
}

/* Rows whose sums stand in registers at once: processors with vectors of 16 have twice as many registers. */
static int rule_panel_rows(const clora_context *context) {
    return panel_vector(context) == 16 ? 8 : 6;
}

/* 16-bit weights are widened by every tile of rows, or once a block where conversions compete with the products and
 * there are enough tiles to share them. */
static int rule_widen(const clora_context *context) {
    return panel_vector(context) == 16 ? 2 : 1;
}
static int widen_by_rows(const clora_context *context, int M) {
    enum { FEW_TILES = 8 };
    return M <= FEW_TILES * rule_panel_rows(context) ? 1 : rule_widen(context);
}

/* Steps of a block, which 16-bit weights may be widened in. */
static int panel_steps(const clora_context *context) {
    enum { MOST = 640 };
    const int rows = rows_in_local_memory(context, 1);
    return rows >= MOST ? MOST : rows < 2 ? 2 : rows / 2 * 2;
}

/* Panels over K that are turned together, and rows of W0 in them; the last panel's lanes may reach NR further. */
static int turned_panels(const clora_context *context) {
    enum { MOST = 8 };
    return rows_in_local_memory(context, MOST) >= 4 * kernel_panel_width(context) ? MOST : 1;
}

static int turned_rows(const clora_context *context) {
    enum { MOST = 384 };
    const int NR = kernel_panel_width(context), rows = rows_in_local_memory(context, turned_panels(context)) - NR;
    return rows >= MOST ? MOST : rows < NR ? NR : rows / NR * NR;
}

/* Rows of x and of dy that lie in local memory as pairs of bf16, by KC and NB: half of it, as above. */
static int rule_dot_rows(const clora_context *context) {
    enum { MOST = 360, KC = 640 };
    const int rows = (int)(context->info.local_memory / 2 / sizeof(uint32_t)) / (KC / 2);
    return rows >= MOST ? MOST : rows < 1 ? 1 : rows;
}

/* Rows of W0 whose pairs lie there too, of one panel over K in half of it; and panels in a quarter. */
static int panels_of_pairs(const clora_context *context, size_t memory, int rows) {
    const int NR = kernel_panel_width(context);
    return (int)(memory / sizeof(uint32_t)) / ((rows + NR) / 2 * NR);
}
static int rule_dot_block(const clora_context *context) {
    enum { MOST = 384, LESS = 128 };
    const size_t half = context->info.local_memory / 2;
    return panels_of_pairs(context, half, MOST)   ? MOST
           : panels_of_pairs(context, half, LESS) ? LESS
                                                  : kernel_panel_width(context);
}
static int rule_dot_panels(const clora_context *context) {
    enum { MOST = 4 };
    const int panels = panels_of_pairs(context, context->info.local_memory / 4, rule_dot_block(context));
    return panels >= MOST ? MOST : panels < 1 ? 1 : panels;
}

/* The sum with the low-rank term: vectors of lanes in an item, columns in a group. */
static int rule_sum_vectors(const clora_context *context) {
    return kernel_explicit_vectors(context) ? 2 : 1;
}
static int rule_sum_block(const clora_context *context) {
    return kernel_explicit_vectors(context) ? 256 : 32;
}

/* Rows and ranks whose sums stand in registers at once, of which processors with vectors of 16 have twice as many. The
 * more rows, the less often the factor is read; of few rows there are more ranks. */
static int rule_down_rows(const clora_context *context) {
    return panel_vector(context) == 16 ? 6 : 3;
}
static int rule_down_ranks(const clora_context *context) {
    (void)context;
    return 4;
}
static int down_ranks_by_rows(const clora_context *context, int M) {
    return 2 * M <= rule_down_rows(context) && panel_vector(context) == 16 ? 8 : rule_down_ranks(context);
}
static int rule_grad_ranks(const clora_context *context) {
    return panel_vector(context) == 16 ? 8 : 6;
}

/* Rows that the kernels for few of them hold in registers, a power of two as rows in keys are. */
static int few_rows(const clora_context *context) {
    return !kernel_explicit_vectors(context) ? 8 : panel_vector(context) == 16 ? 8 : 4;
}

/* PoCL's compiler has ways that OpenCL C has not: to ask for a cache line, and atomics that order all memory. */
static bool has_compilers_ways(const clora_context *context) {
    return kernel_explicit_vectors(context) && device_is_pocl_cpu(context);
}
bool kernel_runs_layers(const clora_context *context) {
    return has_compilers_ways(context);
}

/* Cache lines that a core asks for in advance. */
enum { NO_LINES = 1 };
static int rule_ahead(const clora_context *context) {
    return has_compilers_ways(context) ? 32 : NO_LINES;
}

/* Rules that look at the shape, which kernel_default and fits do, or at the path. */
static int rule_path_rows(const clora_context *context) {
    (void)context;
    return PATH_MANY_ROWS;
}
static int rule_layer(const clora_context *context) {
    return kernel_runs_layers(context) ? LAYER_TOGETHER : LAYER_APART;
}
static int rule_layout(const clora_context *context) {
    return context->gemm == GEMM_CLBLAST ? LAYOUT_PLAIN : LAYOUT_PANEL;
}
static int rule_term(const clora_context *context) {
    (void)context;
    return TERM_FUSED;
}
static int rule_dx_term(const clora_context *context) {
    (void)context;
    return TERM_FUSED;
}

const kernel_row kernel_rows[] = {
    {"adamw", "adamw", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"add", "convert", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"attention", "attention_lanes attention", ATTENTION},
    {"attention_backward", "attention_lanes attention_backward", ATTENTION},
    {"attention_delta", "attention_lanes attention_backward", {VECTOR, ROW_GROUP}},
    {"attention_dq", "attention_lanes attention_backward", ATTENTION},
    {"attention_row",
     "attention_row",
     {VECTOR, ROW_GROUP, {"BK", rule_row_keys, {64, 128}}, {"NC", rule_row_columns, {4, 8, 1}}}},
    {"clip_scale", "reduce", {VECTOR, LONG_ROW_GROUP}},
    {"cross_entropy", "loss", {VECTOR, LONG_ROW_GROUP}},
    {"decode_layers",
     "norm panel matvec lowrank_panel rope attention_row decode_layers",
     {{"VW", panel_vector, {0}}}}, /* else those of its parts, and never while these are tuned */
    {"dropout", "dropout", {VECTOR, ELEMENT_GROUP, BLOCK_OF_FOUR}},
    {"dropout_add", "dropout", {VECTOR, ELEMENT_GROUP, BLOCK_OF_FOUR}},
    {"embedding", "embedding", {{"WG", NULL, {64, 32, 128, 256}}}},
    {"lowrank_panel_down",
     "lowrank_panel",
     {{"VW", panel_vector, {4, 8, 16}},
      {"MOST_ROWS", rule_down_rows, {3, 2, 4, 6}},
      {"MOST_RANKS", rule_down_ranks, {4, 2, 3, 6, 8}}}},
    {"lowrank_panel_grad",
     "lowrank_panel",
     {{"VW", panel_vector, {4, 8, 16}},
      {"MOST_RANKS", rule_grad_ranks, {6, 4, 8, 12}},
      {"AHEAD", rule_ahead, {0}}}}, /* wherever there is a way */
    {"lowrank_sum",
     "lowrank_sum",
     {{"VW", rule_width, {16, 8, 4, 1}},
      {"NV", rule_sum_vectors, {1, 2}},
      {"RK", NULL, {4, 8, 2}},
      {"BLOCK", rule_sum_block, {32, 64, 128, 256, 512}}}},
    {"lowrank_tile_down", "lowrank_tile", {{"TR", rule_tile_rows, {16, 8}}}},
    {"lowrank_tile_grad", "lowrank_tile", {{"GR", NULL, {8, 4, 16}}, {"SLICES", rule_slices, {8, 4, 16}}}},
    {"matmul_dot",
     "dot panel matmul_dot",
     {{"VW", panel_vector, {4, 8, 16}},
      {"MOST_ROWS", NULL, {8, 6, 10, 12}},
      {"KC", NULL, {640, 256, 384, 512, 768}},
      {"MB", rule_dot_rows, {360, 60, 120, 240}},
      {"PB", NULL, {4, 1, 2, 8}}}},
    {"matmul_dot_dx",
     "dot panel matmul_dot_dx",
     {{"VW", panel_vector, {4, 8, 16}},
      {"MOST_ROWS", NULL, {8, 6, 10, 12}},
      {"NB", rule_dot_block, {384, 128, 256, 512}},
      {"MB", rule_dot_rows, {360, 120, 240, 480}},
      {"PB", rule_dot_panels, {4, 1, 2, 8}}}},
    {"matmul_panel",
     "panel matmul_panel",
     {{"VW", panel_vector, {4, 8, 16}},
      {"MOST_ROWS", rule_panel_rows, {6, 4, 8, 12}},
      {"KC", panel_steps, {640, 256, 384, 512, 768, 1024}},
      {"MB", NULL, {240, 60, 120, 480, 960}},
      {"PB", NULL, {4, 1, 2, 8}},
      {"WIDEN", rule_widen, {1, 2}}}},
    {"matmul_panel_dx",
     "panel matmul_panel_dx",
     {{"VW", panel_vector, {4, 8, 16}},
      {"MOST_ROWS", NULL, {6, 4, 8, 12}},
      {"NB", turned_rows, {384, 128, 256, 512, 768, 1024}},
      {"MB", NULL, {960, 120, 240, 480}},
      {"PB", turned_panels, {8, 1, 2, 4}}}},
    {"matmul_tile",
     "matmul_tile",
     {{"TM", NULL, {64, 32, 128}},
      {"TN", NULL, {64, 32, 128}},
      {"TK", NULL, {16, 8, 32}},
      {"WX", rule_tile_columns, {16, 8, 32}},
      {"WY", rule_tile_rows, {16, 8}}}},
    {"matmul_tile_dx",
     "matmul_tile",
     {{"TM", NULL, {64, 32, 128}},
      {"TN", NULL, {64, 32, 128}},
      {"TK", NULL, {16, 8, 32}},
      {"WX", rule_tile_columns, {16, 8, 32}},
      {"WY", rule_tile_rows, {16, 8}}}},
    {"matvec_tile", "matmul_tile", {{"SLICES", rule_slices, {8, 4, 16}}}},
    {"matvec_panel",
     "panel matvec matvec_panel",
     {{"VW", panel_vector, {4, 8, 16}},
      {"MOST_STREAMS", NULL, {4, 1, 2, 3, 6}},
      {"AHEAD", rule_ahead, {32, NO_LINES}}}},
    {"path_dx_term", NULL, {{"PATH", rule_dx_term, {TERM_FUSED, TERM_APART, TERM_SUM}}}},
    {"path_layer", NULL, {{"PATH", rule_layer, {LAYER_APART, LAYER_TOGETHER}}}},
    {"path_rows", NULL, {{"PATH", rule_path_rows, {PATH_FEW_ROWS, PATH_MANY_ROWS}}}},
    {"path_term", NULL, {{"PATH", rule_term, {TERM_FUSED, TERM_APART, TERM_SUM}}}},
    {"rmsnorm", "norm", {VECTOR, ROW_GROUP}},
    {"rmsnorm_apply", "norm", {VECTOR, ROW_GROUP}},
    {"rmsnorm_backward", "norm", {VECTOR, ROW_GROUP}},
    {"rope", "rope", {VECTOR, ROW_GROUP}},
    {"rope_store", "rope", {VECTOR, ROW_GROUP}},
    {"square_parts", "reduce", {VECTOR, LONG_ROW_GROUP}},
    {"square_total", "reduce", {VECTOR, LONG_ROW_GROUP}},
    {"swiglu", "activation", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"swiglu_backward", "activation", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"weight_layout", NULL, {{"LAYOUT", rule_layout, {LAYOUT_PANEL, LAYOUT_PLAIN}}}},
    {"widen", "convert", {VECTOR, ELEMENT_GROUP, BLOCK}},
};
const size_t kernel_rows_count = sizeof(kernel_rows) / sizeof(kernel_rows[0]);

const kernel_row *kernel_find(const char *name) {
    for (size_t i = 0; i < kernel_rows_count; i++)
        if (strcmp(kernel_rows[i].name, name) == 0)
            return &kernel_rows[i];
    return NULL;
}

bool kernel_key_is(const kernel_key *a, const kernel_key *b) {
    return a->dtype == b->dtype && a->M == b->M && a->N == b->N && a->K == b->K && a->R == b->R;
}

int kernel_default(const clora_context *context, const kernel_parameter *parameter, const kernel_key *key) {
    if (parameter->rule == rule_path_rows)
        return key->M <= few_rows(context) ? PATH_FEW_ROWS : PATH_MANY_ROWS;
    if (parameter->rule == rule_widen)
        return widen_by_rows(context, key->M);
    if (parameter->rule == rule_down_ranks)
        return down_ranks_by_rows(context, key->M);
    return parameter->rule ? parameter->rule(context) : parameter->values[0];
}

/* The sum costs R operations an element of the weight, the term in the product R an element of the output: from K or N
 * rows on the sum may be less. (A fused weight's N counts all modules, each of which has its own ranks.) */
static bool fits(const clora_context *context, const kernel_parameter *parameter, const kernel_key *key, size_t index) {
    enum { MOST_MODULES = 4 };

    if (parameter->rule == rule_ahead)
        return has_compilers_ways(context) || parameter->values[index] == NO_LINES;
    if (parameter->rule == rule_layer)
        return parameter->values[index] == rule_layer(context) || parameter->values[index] == LAYER_APART;
    if (parameter->values[index] != TERM_SUM)
        return true;
    return parameter->rule == rule_term      ? key->M >= key->K
           : parameter->rule == rule_dx_term ? key->M >= key->N / MOST_MODULES
                                             : true;
}

/* CLBlast has kernels for GPUs: on CPUs they take many times as long (docs/tuning.md), and seconds to compile. */
bool kernel_tries(const clora_context *context, const kernel_parameter *parameter, const kernel_key *key,
                  size_t index) {
    const bool hopeless = parameter->rule == rule_layout && kernel_explicit_vectors(context);

    return fits(context, parameter, key, index) && (!hopeless || parameter->values[index] != LAYOUT_PLAIN);
}

bool kernel_allows(const clora_context *context, const kernel_parameter *parameter, const kernel_key *key, int value) {
    for (size_t i = 0; i < sizeof(parameter->values) / sizeof(parameter->values[0]) && parameter->values[i]; i++)
        if (parameter->values[i] == value && fits(context, parameter, key, i))
            return true;
    return value == kernel_default(context, parameter, key);
}

int kernel_parameter_index(const kernel_row *row, const char *parameter) {
    for (int i = 0; i < KERNEL_PARAMETERS && row->parameters[i].name; i++)
        if (strcmp(row->parameters[i].name, parameter) == 0)
            return i;
    assert(!"a registry name that does not exist");
    return 0;
}
