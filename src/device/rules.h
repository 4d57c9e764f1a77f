#ifndef CLORA_DEVICE_RULES_H
#define CLORA_DEVICE_RULES_H

#include "device/kernels.h"

/* The rules of the registry: defaults by what the device says of itself, the shape, and the most work-items that a
 * group of the kernel may have: none asks for more, if that is 64 at least. */

enum { DOT_STEPS = 640 };    /* of a block of pairs of bf16: KC of matmul_dot, which rule_dot_rows goes by */
enum { LAID_COLUMNS = 192 }; /* of x in an item's memory: KB of matmul_panel_dw, which rule_laid_rows goes by */
enum { NO_LINES = 1 };       /* AHEAD: no cache line is asked for in advance */

/* Floats in an explicit vector; in a vector of the kernels on panels. */
int rule_width(const kernel_at *at);
int rule_panel_vector(const kernel_at *at);

/* Work-items in a group where a group makes a row (of some hundred or some ten thousand columns), or where each makes a
 * few elements. */
int rule_row(const kernel_at *at);
int rule_long_row(const kernel_at *at);
int rule_elements(const kernel_at *at);

/* Elements of a work-item: enough to pay for its start on CPUs, neighbours' loads side by side on GPUs. */
int rule_block(const kernel_at *at);
int rule_block_of_four(const kernel_at *at);

/* Attention: vectors of lanes in a work-item, rows of the stream in registers, and rows between two corrections of the
 * maximum. */
int rule_attention_vectors(const kernel_at *at);
int rule_attention_tile(const kernel_at *at);
int rule_attention_rows(const kernel_at *at);

/* Attention by rows: keys at a time, vectors of columns in registers. */
int rule_row_keys(const kernel_at *at);
int rule_row_columns(const kernel_at *at);

/* Items of a group along the columns and along the rows of a tile in local memory: 16 by 16, at least 8 by 8. */
int rule_tile_columns(const kernel_at *at);
int rule_tile_rows(const kernel_at *at);

/* Items that share a lane of a panel. */
int rule_slices(const kernel_at *at);

/* Products on panels: rows in registers; steps of a block; whether weights of 16 bits are widened by every tile of rows
 * (1) or once a block (2); panels over K that are turned together, and rows of W0 in them. */
int rule_panel_rows(const kernel_at *at);
int rule_panel_steps(const kernel_at *at);
int rule_widen(const kernel_at *at);
int rule_turned_panels(const kernel_at *at);
int rule_turned_rows(const kernel_at *at);

/* A weight's gradient: columns of x in registers, and rows of x and dy that are laid aside at a time. */
int rule_laid_tile(const kernel_at *at);
int rule_laid_rows(const kernel_at *at);

/* Products of pairs of bf16: rows of x or dy in local memory; rows of W0, and panels over K, that are turned. */
int rule_dot_rows(const kernel_at *at);
int rule_dot_columns(const kernel_at *at);
int rule_dot_block(const kernel_at *at);
int rule_dot_panels(const kernel_at *at);

/* The merged weight: vectors of lanes in an item, columns in a group. */
int rule_merge_vectors(const kernel_at *at);
int rule_merge_block(const kernel_at *at);
int rule_merge_columns(const kernel_at *at);
int rule_norm_slices(const kernel_at *at);

/* Low-rank products on panels: rows and ranks in registers, of the way down and of the gradients. */
int rule_down_rows(const kernel_at *at);
int rule_down_ranks(const kernel_at *at);
int rule_each_ranks(const kernel_at *at);
int rule_grad_ranks(const kernel_at *at);

/* Cache lines that a core asks for in advance. */
int rule_ahead(const kernel_at *at);

/* Which way of several. */
int rule_path_rows(const kernel_at *at);
int rule_path_tape(const kernel_at *at);
int rule_layout(const kernel_at *at);

/* Which values may be chosen, whatever was measured: a way that the device has not, or one that costs more at this
 * shape, is none. */
bool allows_ahead(const kernel_at *at, int value);
bool allows_path_tape(const kernel_at *at, int value);
bool allows_term(const kernel_at *at, int value);
bool allows_dx_term(const kernel_at *at, int value);

/* Which are worth measuring. */
bool tries_layout(const kernel_at *at, int value);

#endif
