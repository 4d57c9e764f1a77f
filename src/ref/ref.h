#ifndef CLORA_REF_REF_H
#define CLORA_REF_REF_H

/*
 * The specification: the operations of ops/ops.h on dense host arrays, in plain C with double sums. No OpenCL, no
 * tricks. Names, files, argument order, equations and the words "overwritten" and "accumulates" are those of ops.h; W0
 * here is row major (N, K), A (R, K), b (N, R), all float. Checked by finite differences in tests/test_ref*.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- products with a frozen weight (matmul.c) ---- */

/* y (M,N) overwritten = [residual] + x (M,K) * w^T + [bias]; y may be residual */
void ref_matmul(float *y, const float *x, const float *w, const float *residual, const float *bias, int M, int N,
                int K);

/* dx (M,K) = dy (M,N) * w; overwritten, or accumulates */
void ref_matmul_dx(float *dx, const float *dy, const float *w, bool accumulate, int M, int N, int K);

/* dw (N,K) accumulates += dy (M,N)^T * x (M,K)
 * dbias (N) accumulates += sums of dy's columns */
void ref_matmul_dw(float *dw, const float *dy, const float *x, int M, int N, int K);
void ref_matmul_dbias(float *dbias, const float *dy, int M, int N);

/* ---- low-rank products of one module (lowrank.c): a stride is the distance between rows in a fused matrix ---- */

/* u (M,R) overwritten = s * x (M,K) * a^T */
void ref_lowrank_down(float *u, int u_stride, const float *x, const float *a, float s, int M, int K, int R);

/* y (M,N) accumulates += u * b^T */
void ref_lowrank_up(float *y, int y_stride, const float *u, int u_stride, const float *b, int M, int N, int R);

/* du (M,R) overwritten = s * dy * b */
void ref_lowrank_down_grad(float *du, int du_stride, const float *dy, int dy_stride, const float *b, float s, int M,
                           int N, int R);

/* dx (M,K) accumulates += du * a */
void ref_lowrank_dx(float *dx, const float *du, int du_stride, const float *a, int M, int K, int R);

/* da (R,K) accumulates += du^T * x
 * db (N,R) accumulates += dy^T * u */
void ref_lowrank_grad_a(float *da, const float *du, int du_stride, const float *x, int M, int K, int R);
void ref_lowrank_grad_b(float *db, const float *dy, int dy_stride, const float *u, int u_stride, int M, int N, int R);

/* w (N,K) accumulates += s * b * a, rounded once */
void ref_lowrank_merge(float *w, const float *a, const float *b, float s, int N, int K, int R);

/* norms (N) overwritten: of the rows of w + s * b * a */
void ref_lowrank_norms(float *norms, const float *w, const float *a, const float *b, float s, int N, int K, int R);

/* ---- columns (columns.c) ---- */

/* y (M,C) overwritten = [residual] + [bias (C)] + factors (C) * x; y may be x or the residual */
void ref_scale_columns(float *y, const float *x, const float *residual, const float *bias, const float *factors, int M,
                       int C);

/* d (C) accumulates += factors (C) * sum over rows of dy * [x] */
void ref_column_dots(float *d, const float *dy, const float *x, const float *factors, int M, int C);

/* ---- embedding (embedding.c) ---- */

/* y (M,K) overwritten: row m is scale * row ids[m] of w (N,K), NaN where ids[m] is none */
void ref_embedding(float *y, const int32_t *ids, const float *w, float scale, int M, int N, int K);

/* dw (N,K) accumulates: row ids[m] += scale * row m of dy (M,K), where ids[m] is one */
void ref_embedding_dw(float *dw, const float *dy, const int32_t *ids, float scale, int M, int N, int K);

/* x (M,C) accumulates += row first + positions[m] of table (P,C), NaN where there is none */
void ref_add_positions(float *x, const float *table, const int32_t *positions, int first, int M, int P, int C);

/* ---- normalisation (norm.c) ---- */

/* plus_one: the gain is g + 1 */
void ref_rmsnorm(float *y, float *rstd, const float *x, const float *g, float eps, bool plus_one, int M, int C);
void ref_rmsnorm_apply(float *y, const float *x, const float *rstd, const float *g, bool plus_one, int M, int C);

/* dx accumulates */
void ref_rmsnorm_backward(float *dx, const float *dy, const float *x, const float *rstd, const float *g, bool plus_one,
                          int M, int C);

/* dg (C) accumulates += sum over rows of dy * x * rstd */
void ref_rmsnorm_dg(float *dg, const float *dy, const float *x, const float *rstd, int M, int C);

/* moments (M,2): of each row mean and rstd, or NULL */
void ref_layernorm(float *y, float *moments, const float *x, const float *g, const float *b, float eps, int M, int C);
void ref_layernorm_apply(float *y, const float *x, const float *moments, const float *g, const float *b, int M, int C);

/* dx accumulates */
void ref_layernorm_backward(float *dx, const float *dy, const float *x, const float *moments, const float *g, int M,
                            int C);

/* dg (C) accumulates += sum over rows of dy * (x - mean) * rstd */
void ref_layernorm_dg(float *dg, const float *dy, const float *x, const float *moments, int M, int C);

/* ---- rotary position embedding (rope.c) ---- */

/* x (M, heads*D) in place, the first W columns of each head; table (P, W) */
void ref_rope(float *x, const int32_t *positions, const float *table, int M, int heads, int D, int W, bool inverse);

/* row past[b] + t of the sequence's S rows in cache (B*S, W) overwritten = row b*T + t of x (B*T, W) */
void ref_cache_store(float *cache, const float *x, const int32_t *past, int B, int T, int S, int W);

/* ---- what stands before a sequence's own tokens (past.c) ---- */

void ref_past_join(float *kv, const float *past, const float *x, int B, int P, int T, int W);

/* dpast accumulates, or NULL */
void ref_past_split(float *dpast, float *dx, const float *dkv, int B, int P, int T, int W);

void ref_past_embed(float *x, const float *past, const int32_t *ids, int M, int N, int P, int W);

/* dpast accumulates */
void ref_past_embed_backward(float *dpast, const float *dx, const int32_t *ids, int M, int N, int P, int W);

/* ---- attention (attention.c) ---- */

/* Rows of W columns in pages: row s of sequence b is row s % page of page pages[b][s / page]; `count` pages a sequence.
 * read: x (B*S, W) overwritten with them; write: they with x. */
void ref_pages_read(float *x, const float *in, const int32_t *pages, int count, int page, int B, int S, int W);
void ref_pages_write(float *in, const float *x, const int32_t *pages, int count, int page, int B, int S, int W);

/* Sizes as in ops.h's attention_shape; a query that sees no key gives y = 0 and lse = -infinity. lse may be NULL. */
typedef struct ref_attention_shape {
    int B, T, S, H, G, D, prefix;
    bool partial;
    float scale, cap;
} ref_attention_shape;

/* last: of each key, or NULL where none is hidden from later queries */

void ref_attention(float *y, float *lse, const float *q, const float *k, const float *v, const int32_t *past,
                   const int32_t *first, const int32_t *last, ref_attention_shape shape);
void ref_attention_backward(float *dq, float *dk, float *dv, float *delta, const float *dy, const float *y,
                            const float *q, const float *k, const float *v, const float *lse, const int32_t *past,
                            const int32_t *first, const int32_t *last, ref_attention_shape shape);

/* ---- activations (activation.c) ---- */

/* gu (M, 2F) holds g then u; the activation is silu, or gelu by tanh */
void ref_swiglu(float *y, const float *gu, bool gelu, int M, int F);
void ref_swiglu_backward(float *dgu, const float *dy, const float *gu, bool gelu, int M, int F);

/* y (M,F) overwritten = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) */
void ref_gelu(float *y, const float *x, int M, int F);

/* dx (M,F) overwritten; may be x */
void ref_gelu_backward(float *dx, const float *dy, const float *x, int M, int F);

/* y (M,C) overwritten = cap * tanh(x / cap); may be x */
void ref_softcap(float *y, const float *x, float cap, int M, int C);

/* dx (M,C) in place *= 1 - tanh(x / cap)^2 */
void ref_softcap_backward(float *dx, const float *x, float cap, int M, int C);

/* ---- bottleneck adapter (bottleneck.c): swish or relu between two small products ---- */

/* a (M, R+1) overwritten = [act(z + bias), 1] */
void ref_activate(float *a, const float *z, const float *bias, bool swish, int M, int R);

/* dz (M,R) overwritten = the first R columns of da (M, R+1) * act'(z + bias) */
void ref_activate_backward(float *dz, const float *da, const float *z, const float *bias, bool swish, int M, int R);

/* down (R,C), bias (R), up (C, R+1): its last column is the bias of the way up */
typedef struct ref_bottleneck_values {
    const float *down, *bias, *up;
    bool swish;
} ref_bottleneck_values;

typedef struct ref_bottleneck_gradients {
    float *down, *bias, *up;
} ref_bottleneck_gradients;

/* y (M,C) = [start +] a * up^T, with z (M,R) = x * down^T and a (M, R+1) as above: all overwritten */
void ref_bottleneck(float *y, float *z, float *a, const float *start, const float *x, const ref_bottleneck_values *b,
                    int M, int C, int R);

/* dx (M,C) = [start +] dz * down, dz (M,R) and da (M, R+1) overwritten, the gradients in d accumulate */
void ref_bottleneck_backward(float *dx, const ref_bottleneck_gradients *d, float *dz, float *da, const float *start,
                             const float *dy, const float *x, const float *z, const float *a,
                             const ref_bottleneck_values *b, int M, int C, int R);

/* ---- loss (loss.c) ---- */

/* logits (M, V) in place when gradient; weights (M), or NULL: all 1; smoothing of the labels, 0 to 1 */
void ref_cross_entropy(float *nll, float *hit, float *logits, const int32_t *targets, const float *weights,
                       float smoothing, int M, int V, bool gradient);

/* ---- dropout (dropout.c) ---- */

void ref_dropout(float *y, const float *x, float p, uint64_t seed, uint32_t stream, size_t n);
void ref_dropout_add(float *y, const float *x, float p, uint64_t seed, uint32_t stream, size_t n);
void ref_dropout_rest(float *y, const float *x, float p, uint64_t seed, uint32_t stream, size_t n);

/* ---- updates of parameters (update.c) ---- */

float ref_sum_squares(const float *x, size_t n);
void ref_clip_scale(float scale[2], const float *sums, int n, float factor, float clip);

typedef struct ref_adamw_options {
    float lr, beta1, beta2, eps, weight_decay;
    int step;
} ref_adamw_options;

void ref_adamw(float *p, float *m, float *v, const float *g, float scale, ref_adamw_options options, size_t n);

/* What the 256 codes stand for: parts of a block's largest magnitude, ascending (bitsandbytes' create_dynamic_map). */
void ref_dynamic_map(double map[256], bool is_signed);

/* m and v as codes: blocks of 256 with their largest magnitudes, ceil(n / 256) of each. */
typedef struct ref_moments {
    uint8_t *m, *v;
    float *m_most, *v_most;
} ref_moments;

void ref_adamw8bit(float *p, const ref_moments *state, const float *g, float scale, ref_adamw_options options,
                   size_t n);

void ref_sgd(float *p, float *b, const float *g, float scale, float lr, float momentum, float weight_decay, size_t n);

/* ---- conversion (convert.c) ---- */

void ref_scale(float *x, float factor, size_t n);
void ref_scale_rows(float *x, const float *factors, int M, int C);

/* ---- rows by their numbers (rows.c) ---- */

void ref_gather_rows(float *y, const float *x, const int32_t *rows, int n, int W);
void ref_scatter_rows(float *y, const float *x, const int32_t *rows, int n, int W);

#endif
