#ifndef CLORA_OPS_OPS_H
#define CLORA_OPS_OPS_H

/*
 * All device mathematics, on one page. src/ref/ref.h has the same names on host arrays and is the specification.
 *
 *   B batch   T time   M = B*T rows   K inputs   N outputs   R rank
 *   V vocabulary   H heads   G key/value heads   D head size
 *
 * Outputs come first, then inputs, then sizes and options. Tensors are f32 matrices (rows, columns) whose stride may
 * exceed their columns, unless a line says otherwise. A name that begins with d is a gradient. Each output is
 * "overwritten" or "accumulates"; outputs do not overlap inputs unless a line allows it. Every call checks its shapes,
 * enqueues and returns. The same call on the same device gives the same bits: no sum is made in an order that depends
 * on timing.
 */

#include <stdint.h>

#include "device/tensor.h"
#include "ops/bottleneck.h"
#include "ops/lowrank.h"
#include "ops/weight.h"

/* ---- products with a frozen weight (matmul.c) ---- */

/* y (M,N) overwritten = [residual (M,N)] + x (M,K) * W0^T + bias + [u (M,R) * B^T]
 * residual: NULL, or the same tensor as y (then y accumulates).
 * bias: W0's, or what a term with a bias of its own makes of it; none with magnitudes (op_scale_columns adds it).
 * lr, u: both NULL, or the term and op_lowrank_down's output for this x, or with `dropped` for another one. */
clora_status op_matmul(clora_tensor *y, const clora_tensor *x, const weight *w, const clora_tensor *residual,
                       const lowrank *lr, const clora_tensor *u, bool dropped);

/* y (M,N) accumulates += u (M,R) * B^T: the term alone, where it is no part of W0's product */
clora_status op_lowrank_up(clora_tensor *y, const clora_tensor *u, const lowrank *lr);

/*
 * What comes before and after a product: in its launch where that is a GEMV and a launch costs more than the work (a
 * CPU), or in launches of their own.
 *   gain (K) or NULL   the input is rmsnorm(x), normed (M,K) scratch, and with lr u (M,R) is made here, of that input
 *   gu (M,N) or NULL   scratch: y (M,N/2) overwritten = swiglu(product)
 * plus_one and gelu as for op_rmsnorm and op_swiglu.
 */
typedef struct matmul_fusion {
    const clora_tensor *gain;
    float eps;
    bool plus_one, gelu;
    clora_tensor *normed, *gu;
} matmul_fusion;

clora_status op_matmul_fused(clora_tensor *y, const clora_tensor *x, const weight *w, const lowrank *lr,
                             clora_tensor *u, const matmul_fusion *fusion);

/* dx (M,K) = dy (M,N) * W0 + [du (M,R) * A]; overwritten, or accumulates when `accumulate`.
 * du: op_lowrank_down_grad's output for this dy. */
clora_status op_matmul_dx(clora_tensor *dx, const clora_tensor *dy, const weight *w, const lowrank *lr,
                          const clora_tensor *du, bool accumulate);

/* dw accumulates += dy (M,N)^T * x (M,K), values of a span of w (ops/weight.h), whatever its storage
 * dbias (N) accumulates += sums of dy's columns (column_sums.c) */
clora_status op_matmul_dw(clora_tensor *dw, const clora_tensor *dy, const clora_tensor *x, const weight *w,
                          weight_span span);
clora_status op_matmul_dbias(clora_tensor *dbias, const clora_tensor *dy);

/* Rows [row, row + rows) of the products above, as the chunked head needs them: pass views of y and x. */

/* ---- low-rank products (lowrank_product.c, lowrank_merge.c) ---- */

/* u (M,R) overwritten = s * x (M,K) * A^T */
clora_status op_lowrank_down(clora_tensor *u, const clora_tensor *x, const lowrank *lr);

/* du (M,R) overwritten = s * dy (M,N) * B, module by module */
clora_status op_lowrank_down_grad(clora_tensor *du, const clora_tensor *dy, const lowrank *lr);

/* dx (M,K) = du (M,R) * A alone: for dropout, where the mask stands between the two terms of dx, and for a second term;
 * overwritten, or accumulates when `accumulate` */
clora_status op_lowrank_dx(clora_tensor *dx, const clora_tensor *du, const lowrank *lr, bool accumulate);

/* da (panels like lr->a) accumulates += du^T * x
 * db (panels like lr->b) accumulates += dy^T * u */
clora_status op_lowrank_grad_a(clora_tensor *da, const clora_tensor *du, const clora_tensor *x, const lowrank *lr);
clora_status op_lowrank_grad_b(clora_tensor *db, const clora_tensor *dy, const clora_tensor *u, const lowrank *lr);

/* merged (panels, K*NR) f32 overwritten = W0 + s * B * A: so many panels of a weight's part, from `panel` of the part
 * on, as those of an f32 weight (ops/weight.h). */
clora_status op_lowrank_merge(clora_tensor *merged, const lowrank *lr, int part, int panel);

/* One module of w in one part overwritten = W0 + s * B * A, summed in float and rounded once to w's storage type.
 * base: W0 of this part, which may be w's own. outside (i32, 1) becomes 1 where a sum is not finite in that type
 * (weight_merge.c) */
clora_status op_weight_merge(const weight *w, const clora_tensor *base, const lowrank *lr, int module, int part,
                             const clora_tensor *outside);

/* scale (N) overwritten = magnitude (N) / norm, inverse (N) overwritten = 1 / norm, with the norms of the rows of
 * W0 + s * B * A. begin: magnitude overwritten = the norms. Both are 0 for a row of zeros; a module without an adapter
 * has scale 1, inverse 0. (lowrank_norms.c) */
clora_status op_lowrank_norms(clora_tensor *scale, clora_tensor *inverse, clora_tensor *magnitude, const lowrank *lr,
                              bool begin);

/* ---- embedding (embedding.c) ---- */

/* y (M,K) overwritten: row m is scale * row ids[m] of W0, any layout and type.   ids i32 (M) */
clora_status op_embedding(clora_tensor *y, const clora_tensor *ids, const weight *w, float scale);

/* dw (values of a span of w) accumulates: row ids[m] += scale * row m of dy (M,K), in the order of the rows. */
clora_status op_embedding_dw(clora_tensor *dw, const clora_tensor *dy, const clora_tensor *ids, const weight *w,
                             weight_span span, float scale);

/* x (M,C) accumulates += row first + positions[m] of table (P,C), NaN where it has none.   positions i32 (M)
 * Its gradient is that of op_past_embed with N = -first. (positions.c) */
clora_status op_add_positions(clora_tensor *x, const clora_tensor *table, const clora_tensor *positions, int first);

/* ---- normalisation (norm.c) ---- */

/* y (M,P*C) overwritten = x * rstd * g, each of the P parts of a row apart, one or more; may be x
 * rstd (M,P) overwritten = 1 / sqrt(mean(x^2) + eps); may be NULL
 * g (C); with plus_one, here and below, g + 1 stands in its place: a gain that is kept as what it is beside 1 */
clora_status op_rmsnorm(clora_tensor *y, clora_tensor *rstd, const clora_tensor *x, const clora_tensor *g, float eps,
                        bool plus_one);

/* y (M,P*C) overwritten = x * rstd * g, with the rstd of the forward pass: the output again, not stored between
 * passes */
clora_status op_rmsnorm_apply(clora_tensor *y, const clora_tensor *x, const clora_tensor *rstd, const clora_tensor *g,
                              bool plus_one);

/* dx (M,P*C) overwritten, or accumulates when `accumulate` = the gradient of rmsnorm, each part's apart:
 * rstd * g * dy - x * rstd^3 / C * sum(dy * g * x). Overwritten, it may be dy. */
clora_status op_rmsnorm_backward(clora_tensor *dx, const clora_tensor *dy, const clora_tensor *x,
                                 const clora_tensor *rstd, const clora_tensor *g, bool plus_one, bool accumulate);

/* dg (C) accumulates += sum over rows and their parts of dy * x * rstd: dy, x (M,P*C), rstd (M,P)
 * (column_sums.c) */
clora_status op_rmsnorm_dg(clora_tensor *dg, const clora_tensor *dy, const clora_tensor *x, const clora_tensor *rstd);

/* y (M,C) overwritten = (x - mean) * rstd * g + b
 * moments (M,2) overwritten = each row's mean and rstd = 1 / sqrt(mean((x - mean)^2) + eps); may be NULL
 * g, b (C) */
clora_status op_layernorm(clora_tensor *y, clora_tensor *moments, const clora_tensor *x, const clora_tensor *g,
                          const clora_tensor *b, float eps);

/* y (M,C) overwritten = (x - mean) * rstd * g + b, with the moments of the forward pass */
clora_status op_layernorm_apply(clora_tensor *y, const clora_tensor *x, const clora_tensor *moments,
                                const clora_tensor *g, const clora_tensor *b);

/* dx (M,C) accumulates += rstd * (g * dy - mean(g * dy) - n * mean(g * dy * n)), where n = (x - mean) * rstd */
clora_status op_layernorm_backward(clora_tensor *dx, const clora_tensor *dy, const clora_tensor *x,
                                   const clora_tensor *moments, const clora_tensor *g);

/* dg (C) accumulates += sum over rows of dy * (x - mean) * rstd (column_sums.c). b's is op_matmul_dbias. */
clora_status op_layernorm_dg(clora_tensor *dg, const clora_tensor *dy, const clora_tensor *x,
                             const clora_tensor *moments);

/* ---- rotary position embedding (rope.c) ---- */

/* x (M, heads*D) in place: per head, halves (a, b) of its first W columns become (a cos - b sin, b cos + a sin) at
 * positions[m] (i32 (M)).
 * table f32 (P, W): cos (W/2) then sin (W/2) of each position, W up to D.
 * inverse: the transposed rotation, which is the gradient. */
clora_status op_rope(clora_tensor *x, const clora_tensor *positions, const clora_tensor *table, int heads,
                     bool inverse);

/* ---- attention (attention.c) ---- */

/*
 * Causal grouped-query attention with a running softmax; nothing of size (T, T) exists. Scores are q k^T times `scale`,
 * or, where that is 0, 1/sqrt(D). With a cap above 0 they become cap * tanh(score / cap).
 *   y (B*T, H*D) overwritten   q (B*T, H*D)   k, v (B*S, G*D)   past i32 (B)   first i32 (B*T)
 *   lse (B*T, H) overwritten = log sum exp of the scores, or NULL
 * Query t of sequence b stands at index past[b] + t among the S keys of its sequence and sees the keys
 * first[b*T + t] <= s <= past[b] + t. S is the row distance between sequences in k and v: T in training, the capacity
 * with a cache.
 *   prefix: every query sees the keys s < prefix besides, and first and last count keys from there on
 *   partial: of the prefix only those s from first's second column on; first is i32 (B*T, 2) then
 *   forked: of the keys, query t sees only those with t <= last[s], so that parts of a row with a beginning in common
 *           do not see one another. Without it last may be NULL in op_attention.
 *   pages: i32 (B, count), forward alone: k and v are pages of `page` rows, a power of two, and the key at index s of
 *           sequence b is row s % page of page pages[b][s / page]; NULL: row b*S + s
 */
typedef struct attention_shape {
    int B, T, S, H, G, D, prefix;
    bool forked, partial;
    float scale, cap;
    const clora_tensor *pages;
    int page;
} attention_shape;

clora_status op_attention(clora_tensor *y, clora_tensor *lse, const clora_tensor *q, const clora_tensor *k,
                          const clora_tensor *v, const clora_tensor *past, const clora_tensor *first,
                          const clora_tensor *last, attention_shape shape);

/*
 * dq, dk, dv overwritten, for S keys of which each sequence's queries are the rows from past[b] on: every key row s < S
 * gets a gradient (zero when nobody saw it).
 *   last i32 (B*(S - prefix))   the last query index t (0 to T-1) that may see the key, for packed and forked rows
 *   delta (B*T, H)   scratch, overwritten = sum(dy * y) per head
 *   parts            scratch, dense: op_attention_parts() matrices of the size of dq, for cores to add to side by side
 */
int op_attention_parts(const clora_context *context);
clora_status op_attention_backward(clora_tensor *dq, clora_tensor *dk, clora_tensor *dv, clora_tensor *delta,
                                   clora_tensor *parts, const clora_tensor *dy, const clora_tensor *y,
                                   const clora_tensor *q, const clora_tensor *k, const clora_tensor *v,
                                   const clora_tensor *lse, const clora_tensor *past, const clora_tensor *first,
                                   const clora_tensor *last, attention_shape shape);

/* What decoding does between qkv (B*T, (H+2G)*D) = [q, k, v] and attention: q rotated in place; the row of index
 * past[b] + t of the sequence in cache (2G*D columns, in pages or B*S rows) overwritten = [k rotated, v].
 * positions i32 (B*T) and table as for op_rope */
clora_status op_rope_store(clora_tensor *cache, clora_tensor *qkv, const clora_tensor *positions,
                           const clora_tensor *table, const clora_tensor *past, attention_shape shape);

/* ---- what stands before a sequence's own tokens, the same for all (past.c) ---- */

/* Keys and values: kv (B*(P+T), W) overwritten, each sequence's rows past's (P, W), then its own of x (B*T, W).
 * x NULL: T is 0. */
clora_status op_past_join(clora_tensor *kv, const clora_tensor *past, const clora_tensor *x, int B);

/* dx (B*T, W) overwritten with its rows of dkv (B*(P+T), W)
 * dpast (P, W) accumulates += the others' sum over the sequences, in order; or NULL */
clora_status op_past_split(clora_tensor *dpast, clora_tensor *dx, const clora_tensor *dkv, int P, int B);

/* Rows in the place of embeddings: row m of x (M, W) overwritten by row ids[m] - N of past (P, W) where there is one;
 * the others stay. */
clora_status op_past_embed(clora_tensor *x, const clora_tensor *past, const clora_tensor *ids, int N);

/* dpast (P, W) accumulates += dx's rows (M, W) that came from each, in order */
clora_status op_past_embed_backward(clora_tensor *dpast, const clora_tensor *dx, const clora_tensor *ids, int N);

/* ---- activations (activation.c) ---- */

/* y (M,F) overwritten = silu(g) * u, where gu (M,2F) holds g then u
 * gelu, here and below: with gelu by tanh in the place of silu (GeGLU) */
clora_status op_swiglu(clora_tensor *y, const clora_tensor *gu, bool gelu);

/* dgu (M,2F) overwritten; may be gu itself.
 * y (M,F) overwritten = the forward pass's, or NULL; may be dy itself. */
clora_status op_swiglu_backward(clora_tensor *dgu, clora_tensor *y, const clora_tensor *dy, const clora_tensor *gu,
                                bool gelu);

/* y (M,F) overwritten = gelu(x) = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) */
clora_status op_gelu(clora_tensor *y, const clora_tensor *x);

/* dx (M,F) overwritten = dy * gelu'(x); may be x itself.
 * y (M,F) overwritten = the forward pass's, or NULL; may be dy itself. */
clora_status op_gelu_backward(clora_tensor *dx, clora_tensor *y, const clora_tensor *dy, const clora_tensor *x);

/* y (M,C) overwritten = cap * tanh(x / cap); may be x itself */
clora_status op_softcap(clora_tensor *y, const clora_tensor *x, float cap);

/* dx (M,C) in place *= 1 - tanh(x / cap)^2, where x is what op_softcap was given */
clora_status op_softcap_backward(clora_tensor *dx, const clora_tensor *x, float cap);

/* ---- bottleneck adapter (bottleneck_product.c): act is relu or swish, the rest as in ops/bottleneck.h ---- */

/* a (M, R+1) overwritten = [act(z + bias), 1]   z (M,R) */
clora_status op_activate(clora_tensor *a, const clora_tensor *z, const bottleneck *b);

/* dz (M,R) overwritten = the first R columns of da (M, R+1) * act'(z + bias); dz may be z */
clora_status op_activate_backward(clora_tensor *dz, const clora_tensor *da, const clora_tensor *z, const bottleneck *b);

/* y (M,C) = [start +] a * up^T, with z (M,R) = x * down^T and a (M, R+1) as above: all overwritten. z and a are what
 * the backward pass needs. start: x for the adapter with its residual, or NULL. */
clora_status op_bottleneck(clora_tensor *y, clora_tensor *z, clora_tensor *a, const clora_tensor *start,
                           const clora_tensor *x, const bottleneck *b);

/* dx (M,C) overwritten = [start +] dz * down, or NULL; may be start. start: dy with the residual, or NULL
 * d: up accumulates += a^T * dy, bias += the sum of dz's rows, down += dz^T * x
 * z (M,R) becomes dz; da (M, R+1) scratch */
clora_status op_bottleneck_backward(clora_tensor *dx, const bottleneck_values *d, clora_tensor *z, clora_tensor *da,
                                    const clora_tensor *start, const clora_tensor *dy, const clora_tensor *x,
                                    const clora_tensor *a, const bottleneck *b);

/* ---- loss (loss.c) ---- */

/* Per row m: nll[m] = weights[m] * (logsumexp(logits[m]) - (1-s) * logits[m][targets[m]] - s * mean(logits[m])),
 * where s is the label smoothing in [0, 1] (Szegedy et al. 2016); hit[m] = 1 when the target is the largest logit (the
 * lowest index wins a tie), both 0 when targets[m] < 0. f32 (M) each, overwritten. weights f32 (M), or NULL: all 1.
 * gradient: logits become d(sum of nll)/d(logits) in place (zero rows where targets[m] < 0). */
clora_status op_cross_entropy(clora_tensor *nll, clora_tensor *hit, clora_tensor *logits, const clora_tensor *targets,
                              const clora_tensor *weights, float smoothing, bool gradient);

/* ---- dropout (dropout.c) ---- */

/* y (M,C) overwritten = x * mask / (1 - p), where the mask of element i = m*C + c is 1 when
 * rng_uniform(seed, stream, i) >= p */
clora_status op_dropout(clora_tensor *y, const clora_tensor *x, float p, uint64_t seed, uint32_t stream);

/* y (M,C) accumulates += x * mask / (1 - p), the same mask */
clora_status op_dropout_add(clora_tensor *y, const clora_tensor *x, float p, uint64_t seed, uint32_t stream);

/* y (M,C) overwritten = x - x * mask / (1 - p), what the others leave out; may be x itself */
clora_status op_dropout_rest(clora_tensor *y, const clora_tensor *x, float p, uint64_t seed, uint32_t stream);

/* ---- updates of parameters (update.c) ---- */

/* sums f32 (tensors): sums[slot] overwritten = sum of squares of x, dense, in a fixed order; parts f32 (SQUARE_PARTS)
 * are overwritten */
enum { SQUARE_PARTS = 256 /* work-groups of square_parts: the kernel's PARTS */ };
clora_status op_sum_squares(clora_tensor *sums, int slot, clora_tensor *parts, const clora_tensor *x);

/* scale f32 (2) overwritten:
 *   scale[1] = norm = sqrt(sum of sums[0 .. n-1]) * factor
 *   scale[0] = factor * min(1, clip / (norm + 1e-6)); clip 0 is off; NaN when the norm is not finite */
clora_status op_clip_scale(clora_tensor *scale, const clora_tensor *sums, int n, float factor, float clip);

/*
 * AdamW with decoupled weight decay (Loshchilov and Hutter 2019, in PyTorch's order of operations), update number step
 * from 1:
 *   g' = scale[0] * g      p -= lr*wd*p      m += (1-b1) * (g' - m)      v = b2*v + (1-b2) * g'^2
 *   p -= lr * (m / (1-b1^step)) / (sqrt(v / (1-b2^step)) + eps)
 * Nothing changes when scale[0] is NaN. Dense tensors of equal count; p, m, v in place.
 */
typedef struct adamw_options {
    float lr, beta1, beta2, eps, weight_decay;
    int step;
} adamw_options;

clora_status op_adamw(clora_tensor *p, clora_tensor *m, clora_tensor *v, const clora_tensor *g,
                      const clora_tensor *scale, adamw_options options);

/*
 * The same with m and v kept as codes of 8 bits, 256 neighbours from p's first on with one scale (Dettmers et al. 2022,
 * https://arxiv.org/abs/2110.02861; the codes are bitsandbytes' dynamic maps, signed for m, unsigned for v). Both are
 * widened, updated as above and rounded to the nearest code of their blocks' new largest magnitudes. p is updated by
 * what they were before that. state: the codes of m and of v, i32 (blocks * 64) of four codes each, and the largest
 * magnitudes of m and of v, f32 (blocks), where blocks = ceil(count / 256). All zero is a state of zeros.
 */
enum { ADAMW8BIT_BLOCK = 256, ADAMW8BIT_STATES = 4 };

clora_status op_adamw8bit(clora_tensor *p, clora_tensor state[ADAMW8BIT_STATES], const clora_tensor *g,
                          const clora_tensor *scale, adamw_options options);

/*
 * Gradient descent as torch.optim.SGD without dampening:
 *   g' = scale[0] * g + wd * p      b = momentum * b + g'      p -= lr * b
 * Nothing changes when scale[0] is NaN. Dense tensors of equal count; p and b in place. Without momentum b is g', and
 * NULL does.
 */
typedef struct sgd_options {
    float lr, momentum, weight_decay;
} sgd_options;

clora_status op_sgd(clora_tensor *p, clora_tensor *b, const clora_tensor *g, const clora_tensor *scale,
                    sgd_options options);

/* ---- conversion (convert.c) ---- */

/* y f32 overwritten = the values of plain rows of a storage type, dense */
clora_status op_widen(clora_tensor *y, const clora_tensor *rows, const storage *type);

/* values overwritten = those of a span of w
 * the span of w, in f16 or bf16, overwritten = values, rounded to nearest (weight_values.c) */
clora_status op_weight_values(clora_tensor *values, const weight *w, weight_span span);
clora_status op_weight_round(const weight *w, weight_span span, const clora_tensor *values);

/* y (M,C) accumulates += x */
clora_status op_add(clora_tensor *y, const clora_tensor *x);

/* x (M,C) in place *= factor; without a launch where that is 1 */
clora_status op_scale(clora_tensor *x, float factor);

/* x (M,C) in place *= factors f32 (M), row by row */
clora_status op_scale_rows(clora_tensor *x, const clora_tensor *factors);

/* y (M,C) overwritten = [residual] + [bias (C)] + factors (C) * x, column by column; y may be x or the residual */
clora_status op_scale_columns(clora_tensor *y, const clora_tensor *x, const clora_tensor *residual,
                              const clora_tensor *bias, const clora_tensor *factors);

/* d (C) accumulates += factors (C) * sum over rows of dy * [x] (column_sums.c) */
clora_status op_column_dots(clora_tensor *d, const clora_tensor *dy, const clora_tensor *x,
                            const clora_tensor *factors);

/* ---- rows by their numbers (rows.c): f32 or i32, rows i32 (n), which all differ ---- */

/* row i of y (n,W) overwritten = row rows[i] of x (M,W) */
clora_status op_gather_rows(clora_tensor *y, const clora_tensor *x, const clora_tensor *rows);

/* row rows[i] of y (M,W) overwritten = row i of x (n,W); the others stay */
clora_status op_scatter_rows(clora_tensor *y, const clora_tensor *x, const clora_tensor *rows);

#endif
