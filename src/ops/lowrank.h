#ifndef CLORA_OPS_LOWRANK_H
#define CLORA_OPS_LOWRANK_H

#include "ops/weight.h"

/*
 * The low-rank term of one frozen weight: for its module i with rank R_i and scale s_i,  y_i += s_i * (x * A_i^T) *
 * B_i^T.
 *
 * Factors are kept as panels of NR columns by R rows, the form in which the panel kernels stream them:
 *     A, all modules' rows stacked (R, K): element (r, k) at (k / NR * R + r) * NR + k % NR,       R = sum of R_i
 *     B_i transposed (R_i, N_i): lane n of W0's panel p at b_offset(p) + r * NR + n % NR
 * Lanes past K or past the module's N are zero and stay zero (gradients there are zero). u (M, R) = s * x * A^T carries
 * the scale, so that y += u * B^T, dB = dy^T * u, du = s * dy * B, dA = du^T * x need none.
 */
typedef struct lowrank_module {
    int R;       /* 0: this module has no adapter */
    int row;     /* first row in A, first column in u */
    float scale; /* alpha / r, or alpha / sqrt(r) */
    size_t b;    /* first element of this module's panels in b */
} lowrank_module;

typedef struct lowrank {
    clora_context *context;
    const weight *base; /* borrowed: shapes, panels, columns */
    int R;              /* all modules */
    int modules;
    lowrank_module module[WEIGHT_MODULES];
    size_t a_count, b_count; /* elements of a and b, padding included */
    clora_tensor a, b;       /* views that the owner sets: f32, dense */
    /* What a term may have besides for each column of the product, views f32 (1, N) too; no buffer: it has not. */
    clora_tensor magnitude; /* DoRA's: the norms that the rows of W0 + s B A are scaled to */
    clora_tensor bias;      /* B's: y += s * bias */
    clora_tensor applied;   /* of the one: magnitude / norm; of the other: W0's bias + s * bias (methods/dora.h) */
    clora_tensor slope;     /* d applied / d magnitude or bias: 1 / norm, s; 0 in modules without an adapter */
    clora_tensor *table;    /* i32 (panels, 3): first element in b, rank, first column of u for each panel of W0 */
    clora_tensor *scales;   /* f32 (R) */
    bool uses_scratch;      /* counted among the users of the context's scratch */
    bool merged;            /* the term is in the base's values already: it is not to be added */
} lowrank;

/* Describe the term: ranks and scales per module of base; sets counts and tables, not the storage a and b. Where the
 * tuned parameters have products with the merged weight W0 + s B A, the context's scratch holds a slice of it from then
 * on. */
clora_status lowrank_create(lowrank **out, const weight *base, const int *R, const float *scale);
/* Device memory besides the factors. */
size_t lowrank_bytes(const lowrank *lr);

void lowrank_free(lowrank *lr);

/* What `table` and `scales` hold. The caller frees; NULL without memory. */
int32_t *lowrank_list_table(const lowrank *lr);
float *lowrank_list_scales(const lowrank *lr);

/* Panels of W0 in a slice of the merged weight, and elements that a slice takes. */
int lowrank_merged_panels(const weight *base);
size_t lowrank_merged_elements(const weight *base);

/* Elements of scratch that the tuned parameters ask for, for a term of R ranks in all: those of a slice, or none. */
size_t lowrank_scratch_elements(const weight *base, int R);

/* Pack and unpack between the files' row-major forms A (R_i, K), B (N_i, R_i) and a host image of the panels
 * (a_count or b_count floats; lanes of padding are set to zero by pack). */
void lowrank_pack_a(const lowrank *lr, int module, float *panels, const float *a);
void lowrank_pack_b(const lowrank *lr, int module, float *panels, const float *b);
void lowrank_unpack_a(const lowrank *lr, int module, float *a, const float *panels);
void lowrank_unpack_b(const lowrank *lr, int module, float *b, const float *panels);

#endif
