#ifndef CLORA_REF_REF_H
#define CLORA_REF_REF_H

/*
 * The specification: the operations of ops/ops.h on dense host arrays, in plain C with double sums. No OpenCL, no tricks.
 * Names, argument order and the words "overwritten" and "accumulates" are those of ops.h; W0 here is row major (N, K), A (R, K),
 * b (N, R), all float. Checked by finite differences in tests/test_ref.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- products with a frozen weight (dense.c) ---- */

/* y (M,N) overwritten = [residual] + x (M,K) * w^T + [bias];   y may be residual */
void ref_matmul(float *y, const float *x, const float *w, const float *residual, const float *bias, int M, int N,
                int K);

/* dx (M,K) = dy (M,N) * w; overwritten, or accumulates */
void ref_matmul_dx(float *dx, const float *dy, const float *w, bool accumulate, int M, int N, int K);

/* y (M,K) overwritten: row m is row ids[m] of w (N,K), NaN where ids[m] is none */
void ref_embedding(float *y, const int32_t *ids, const float *w, int M, int N, int K);

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

/* da (R,K) accumulates += du^T * x;   db (N,R) accumulates += dy^T * u */
void ref_lowrank_grad_a(float *da, const float *du, int du_stride, const float *x, int M, int K, int R);
void ref_lowrank_grad_b(float *db, const float *dy, int dy_stride, const float *u, int u_stride, int M, int N, int R);

#endif
