#include "ref/ref.h"

#include <math.h>

/* Element (row, col) of a matrix whose rows are `stride` apart. */
static size_t place(int row, int stride, int col) {
    return (size_t)row * (size_t)stride + (size_t)col;
}

void ref_lowrank_down(float *u, int u_stride, const float *x, const float *a, float s, int M, int K, int R) {
    for (int m = 0; m < M; m++)
        for (int r = 0; r < R; r++) {
            double sum = 0.0;
            for (int k = 0; k < K; k++)
                sum += (double)x[place(m, K, k)] * (double)a[place(r, K, k)];
            u[place(m, u_stride, r)] = (float)((double)s * sum);
        }
}

void ref_lowrank_up(float *y, int y_stride, const float *u, int u_stride, const float *b, int M, int N, int R) {
    for (int m = 0; m < M; m++)
        for (int n = 0; n < N; n++) {
            double sum = (double)y[place(m, y_stride, n)];
            for (int r = 0; r < R; r++)
                sum += (double)u[place(m, u_stride, r)] * (double)b[place(n, R, r)];
            y[place(m, y_stride, n)] = (float)sum;
        }
}

void ref_lowrank_down_grad(float *du, int du_stride, const float *dy, int dy_stride, const float *b, float s, int M,
                           int N, int R) {
    for (int m = 0; m < M; m++)
        for (int r = 0; r < R; r++) {
            double sum = 0.0;
            for (int n = 0; n < N; n++)
                sum += (double)dy[place(m, dy_stride, n)] * (double)b[place(n, R, r)];
            du[place(m, du_stride, r)] = (float)((double)s * sum);
        }
}

void ref_lowrank_dx(float *dx, const float *du, int du_stride, const float *a, int M, int K, int R) {
    for (int m = 0; m < M; m++)
        for (int k = 0; k < K; k++) {
            double sum = (double)dx[place(m, K, k)];
            for (int r = 0; r < R; r++)
                sum += (double)du[place(m, du_stride, r)] * (double)a[place(r, K, k)];
            dx[place(m, K, k)] = (float)sum;
        }
}

void ref_lowrank_grad_a(float *da, const float *du, int du_stride, const float *x, int M, int K, int R) {
    for (int r = 0; r < R; r++)
        for (int k = 0; k < K; k++) {
            double sum = (double)da[place(r, K, k)];
            for (int m = 0; m < M; m++)
                sum += (double)du[place(m, du_stride, r)] * (double)x[place(m, K, k)];
            da[place(r, K, k)] = (float)sum;
        }
}

void ref_lowrank_grad_b(float *db, const float *dy, int dy_stride, const float *u, int u_stride, int M, int N, int R) {
    for (int n = 0; n < N; n++)
        for (int r = 0; r < R; r++) {
            double sum = (double)db[place(n, R, r)];
            for (int m = 0; m < M; m++)
                sum += (double)dy[place(m, dy_stride, n)] * (double)u[place(m, u_stride, r)];
            db[place(n, R, r)] = (float)sum;
        }
}

void ref_lowrank_merge(float *w, const float *a, const float *b, float s, int N, int K, int R) {
    for (int n = 0; n < N; n++)
        for (int k = 0; k < K; k++) {
            double sum = 0.0;
            for (int r = 0; r < R; r++)
                sum += (double)b[place(n, R, r)] * (double)a[place(r, K, k)];
            w[place(n, K, k)] = (float)((double)w[place(n, K, k)] + (double)s * sum);
        }
}

void ref_lowrank_norms(float *norms, const float *w, const float *a, const float *b, float s, int N, int K, int R) {
    for (int n = 0; n < N; n++) {
        double squares = 0.0;
        for (int k = 0; k < K; k++) {
            double sum = 0.0;
            for (int r = 0; r < R; r++)
                sum += (double)b[place(n, R, r)] * (double)a[place(r, K, k)];
            sum = (double)w[place(n, K, k)] + (double)s * sum;
            squares += sum * sum;
        }
        norms[n] = (float)sqrt(squares);
    }
}
