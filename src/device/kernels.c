#include "device/kernels.h"

#include <assert.h>
#include <string.h>

#include "device/rules.h"

/* clang-format off */
#define VECTOR {"VW", rule_width, {16, 8, 4, 1}}
#define ROW_GROUP {"WG", rule_row, {1, 64, 128, 256}}
#define LONG_ROW_GROUP {"WG", rule_long_row, {1, 128, 256, 512}}
#define ELEMENT_GROUP {"WG", rule_elements, {1, 32, 64, 128, 256}}
#define BLOCK {"BLOCK", rule_block, {512, 128, 2048, 1}}
#define BLOCK_OF_FOUR {"BLOCK", rule_block_of_four, {512, 128, 2048, 4}}
#define ATTENTION {VECTOR, {"VECTORS", rule_attention_vectors, {1, 2, 3, 4}, LAUNCHED}, \
    {"ITEMS", rule_elements, {1, 32, 64, 128}, LAUNCHED}, {"MR", rule_attention_tile, {6, 4, 8}}, \
    {"BK", rule_attention_rows, {48, 24, 96, 16, 32, 64}}}
/* clang-format on */

/* A column that is left out is 0: compiled, and all values may be chosen. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

const kernel_row kernel_rows[] = {
    {"activate", "bottleneck", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"activate_backward", "bottleneck", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"add_positions", "positions", {VECTOR, ROW_GROUP}},
    {"adamw", "adamw", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"adamw8bit", "adamw8bit", {VECTOR, ELEMENT_GROUP}},
    {"add", "storage convert", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"attention", "attention_lanes pages attention", ATTENTION},
    {"attention_backward", "attention_lanes attention_backward", ATTENTION},
    {"attention_delta", "attention_lanes attention_backward", {VECTOR, ROW_GROUP}},
    {"attention_dq", "attention_lanes attention_backward", ATTENTION},
    {"attention_row",
     "pages attention_row",
     {VECTOR, ROW_GROUP, {"BK", rule_row_keys, {64, 128}}, {"NC", rule_row_columns, {4, 8, 1}}}},
    {"clip_scale", "reduce", {VECTOR, LONG_ROW_GROUP}},
    {"column_dots", "column_sums", {VECTOR, ROW_GROUP}},
    {"cross_entropy", "loss", {VECTOR, LONG_ROW_GROUP}},
    {"dropout", "dropout", {VECTOR, ELEMENT_GROUP, BLOCK_OF_FOUR}},
    {"dropout_add", "dropout", {VECTOR, ELEMENT_GROUP, BLOCK_OF_FOUR}},
    {"dropout_rest", "dropout", {VECTOR, ELEMENT_GROUP, BLOCK_OF_FOUR}},
    {"embedding", "storage embedding", {{"WG", NULL, {64, 32, 128, 256}}}},
    {"embedding_dw", "embedding_dw", {ELEMENT_GROUP}},
    {"gather_rows", "rows", {ROW_GROUP}},
    {"gelu", "gelu", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"gelu_backward", "gelu", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"layernorm", "norm layernorm", {VECTOR, ROW_GROUP}},
    {"layernorm_apply", "norm layernorm", {VECTOR, ROW_GROUP}},
    {"layernorm_backward", "norm layernorm", {VECTOR, ROW_GROUP}},
    {"layernorm_dg", "column_sums", {VECTOR, ROW_GROUP}},
    {"lowrank_each_down",
     "storage panel lowrank_panel lowrank_each",
     {{"VW", rule_panel_vector, {4, 8, 16}}, {"RANKS", rule_each_ranks, {4, 8, 16}}}},
    {"lowrank_each_up", "storage panel lowrank_panel lowrank_each", {{"VW", rule_panel_vector, {4, 8, 16}}}},
    {"lowrank_merge",
     "storage lowrank_merge",
     {{"VW", rule_width, {16, 8, 4, 1}},
      {"NV", rule_merge_vectors, {1, 2}},
      {"RK", NULL, {4, 8, 2}},
      {"BLOCK", rule_merge_block, {32, 64, 128, 256, 512}}}},
    {"lowrank_norms",
     "storage lowrank_norms",
     {{"VW", rule_width, {16, 8, 4, 1}},
      {"NV", rule_merge_vectors, {1, 2}},
      {"RK", NULL, {4, 8, 2}},
      {"SLICES", rule_norm_slices, {1, 8, 4, 16}}}},
    {"lowrank_panel_down",
     "lowrank_panel",
     {{"VW", rule_panel_vector, {4, 8, 16}},
      {"MOST_ROWS", rule_down_rows, {3, 2, 4, 6}, LAUNCHED},
      {"MOST_RANKS", rule_down_ranks, {4, 2, 3, 6, 8}, LAUNCHED}}},
    {"lowrank_panel_grad",
     "lowrank_panel",
     {{"VW", rule_panel_vector, {4, 8, 16}},
      {"MOST_RANKS", rule_grad_ranks, {6, 4, 8, 12}, LAUNCHED},
      {"AHEAD", rule_ahead, {0}}}}, /* wherever there is a way */
    {"lowrank_tile_down", "lowrank_tile", {{"TR", rule_tile_rows, {16, 8}}}},
    {"lowrank_tile_grad", "lowrank_tile", {{"GR", NULL, {8, 4, 16}}, {"SLICES", rule_slices, {8, 4, 16}}}},
    {"matmul_dbias", "column_sums", {VECTOR, ROW_GROUP}},
    {"matmul_dot",
     "dot tiles storage panel matmul_dot",
     {{"VW", rule_panel_vector, {4, 8, 16}},
      {"MOST_ROWS", NULL, {8, 6, 10, 12}, LAUNCHED},
      {"KC", NULL, {DOT_STEPS, 256, 384, 512, 768}},
      {"MB", rule_dot_rows, {360, 60, 120, 240}},
      {"PB", rule_dot_columns, {4, 1, 2, 8, 16}, LAUNCHED}}},
    {"matmul_dot_dx",
     "dot tiles storage panel matmul_dot_dx",
     {{"VW", rule_panel_vector, {4, 8, 16}},
      {"MOST_ROWS", NULL, {8, 6, 10, 12}, LAUNCHED},
      {"NB", rule_dot_block, {384, 128, 256, 512}},
      {"MB", rule_dot_rows, {360, 120, 240, 480}},
      {"PB", rule_dot_panels, {4, 1, 2, 8, 16}}}},
    {"matmul_panel",
     "storage panel matmul_panel",
     {{"VW", rule_panel_vector, {4, 8, 16}},
      {"MOST_ROWS", rule_panel_rows, {6, 4, 8, 12}, LAUNCHED},
      {"KC", rule_panel_steps, {640, 256, 384, 512, 768, 1024}},
      {"MB", NULL, {240, 60, 120, 480, 960}, LAUNCHED},
      {"PB", NULL, {4, 1, 2, 8}, LAUNCHED},
      {"WIDEN", rule_widen, {1, 2}}}},
    {"matmul_panel_dw",
     "storage panel matmul_panel_dw",
     {{"VW", rule_panel_vector, {4, 8, 16}},
      {"MR", rule_laid_tile, {6, 4, 8, 12}},
      {"MB", rule_laid_rows, {256, 128, 512}},
      {"KB", NULL, {LAID_COLUMNS, 96, 384}},
      {"PB", NULL, {16, 4, 8, 32}, LAUNCHED}}},
    {"matmul_panel_dx",
     "storage panel matmul_panel_dx",
     {{"VW", rule_panel_vector, {4, 8, 16}},
      {"MOST_ROWS", NULL, {6, 4, 8, 12}, LAUNCHED},
      {"NB", rule_turned_rows, {384, 128, 256, 512, 768, 1024}},
      {"MB", NULL, {960, 120, 240, 480}, LAUNCHED},
      {"PB", rule_turned_panels, {8, 1, 2, 4}}}},
    {"matmul_tile",
     "storage matmul_tile",
     {{"TM", NULL, {64, 32, 128}},
      {"TN", NULL, {64, 32, 128}},
      {"TK", NULL, {16, 8, 32}},
      {"WX", rule_tile_columns, {16, 8, 32}},
      {"WY", rule_tile_rows, {16, 8}}}},
    {"matmul_tile_dw",
     "storage matmul_tile",
     {{"TM", NULL, {64, 32, 128}},
      {"TN", NULL, {64, 32, 128}},
      {"TK", NULL, {16, 8, 32}},
      {"WX", rule_tile_columns, {16, 8, 32}},
      {"WY", rule_tile_rows, {16, 8}}}},
    {"matmul_tile_dx",
     "storage matmul_tile",
     {{"TM", NULL, {64, 32, 128}},
      {"TN", NULL, {64, 32, 128}},
      {"TK", NULL, {16, 8, 32}},
      {"WX", rule_tile_columns, {16, 8, 32}},
      {"WY", rule_tile_rows, {16, 8}}}},
    {"matvec_tile", "storage matmul_tile", {{"SLICES", rule_slices, {8, 4, 16}}}},
    {"matvec_panel",
     "storage panel matvec matvec_panel",
     {{"VW", rule_panel_vector, {4, 8, 16}},
      {"MOST_STREAMS", NULL, {4, 1, 2, 3, 6}, LAUNCHED},
      {"AHEAD", rule_ahead, {32, NO_LINES}, .allows = allows_ahead}}},
    {"past_embed", "past", {VECTOR, ROW_GROUP}},
    {"past_embed_backward", "past", {VECTOR, ROW_GROUP}},
    {"past_join", "past", {VECTOR, ROW_GROUP}},
    {"past_split", "past", {VECTOR, ROW_GROUP}},
    {"path_dx_term", NULL, {{"PATH", NULL, {TERM_FUSED, TERM_APART, TERM_MERGED}, .allows = allows_dx_term}}},
    {"path_rows", NULL, {{"PATH", rule_path_rows, {PATH_GEMV, PATH_GEMM}}}},
    {"path_tape", NULL, {{"PATH", rule_path_tape, {TAPE_APART, TAPE_TOGETHER}, .allows = allows_path_tape}}},
    {"path_term", NULL, {{"PATH", NULL, {TERM_FUSED, TERM_APART, TERM_MERGED}, .allows = allows_term}}},
    {"rmsnorm", "norm", {VECTOR, ROW_GROUP}},
    {"rmsnorm_apply", "norm", {VECTOR, ROW_GROUP}},
    {"rmsnorm_backward", "norm", {VECTOR, ROW_GROUP}},
    {"rmsnorm_dg", "column_sums", {VECTOR, ROW_GROUP}},
    {"rope", "pages rope", {VECTOR, ROW_GROUP}},
    {"rope_store", "pages rope", {VECTOR, ROW_GROUP}},
    {"scale_columns", "storage convert", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"scale", "storage convert", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"scale_rows", "storage convert", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"scatter_rows", "rows", {ROW_GROUP}},
    {"sgd", "sgd", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"softcap", "softcap", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"softcap_backward", "softcap", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"square_parts", "reduce", {VECTOR, LONG_ROW_GROUP}},
    {"square_total", "reduce", {VECTOR, LONG_ROW_GROUP}},
    {"swiglu", "activation", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"swiglu_backward", "activation", {VECTOR, ELEMENT_GROUP, BLOCK}},
    {"tape",
     "norm layernorm gelu positions activation storage panel matvec lowrank_panel lowrank_each pages rope "
     "attention_row "
     "embedding bottleneck convert tape_phase.h tape",
     {{"VW", rule_panel_vector, {0}}}}, /* else those of its parts, and never while these are tuned */
    {"weight_layout", NULL, {{"LAYOUT", rule_layout, {LAYOUT_PANEL, LAYOUT_PLAIN}, .tries = tries_layout}}},
    {"weight_merge",
     "storage rounding weight_merge",
     {{"VW", rule_width, {16, 8, 4, 1}},
      {"NV", rule_merge_vectors, {1, 2}},
      {"RK", rule_merge_columns, {4, 8, 2}},
      {"BLOCK", rule_merge_block, {32, 64, 128, 256, 512}}}},
    {"weight_merge_plain", "storage rounding weight_merge", {ELEMENT_GROUP}},
    {"weight_round", "storage rounding weight_values", {ELEMENT_GROUP, BLOCK}},
    {"weight_values", "storage rounding weight_values", {ELEMENT_GROUP, BLOCK}},
    {"widen", "storage convert", {VECTOR, ELEMENT_GROUP, BLOCK}},
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

int kernel_default(const kernel_at *at, const kernel_parameter *parameter) {
    return parameter->rule ? parameter->rule(at) : parameter->values[0];
}

void kernel_defaults(int values[KERNEL_PARAMETERS], const kernel_at *at, const kernel_row *row) {
    for (int i = 0; i < KERNEL_PARAMETERS; i++)
        values[i] = row->parameters[i].name ? kernel_default(at, &row->parameters[i]) : 0;
}

static bool fits(const kernel_at *at, const kernel_parameter *parameter, int value) {
    return !parameter->allows || parameter->allows(at, value);
}

bool kernel_tries(const kernel_at *at, const kernel_parameter *parameter, int value) {
    return fits(at, parameter, value) && (!parameter->tries || parameter->tries(at, value));
}

bool kernel_allows(const kernel_at *at, const kernel_parameter *parameter, int value) {
    for (size_t i = 0; i < KERNEL_VALUES && parameter->values[i]; i++)
        if (parameter->values[i] == value && fits(at, parameter, value))
            return true;
    return value == kernel_default(at, parameter);
}

int kernel_parameter_index(const kernel_row *row, const char *parameter) {
    for (int i = 0; i < KERNEL_PARAMETERS && row->parameters[i].name; i++)
        if (strcmp(row->parameters[i].name, parameter) == 0)
            return i;
    assert(!"a registry name that does not exist");
    return 0;
}
