#include "exchange/combine_svd.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/ints.h"

/*
 * sum w s B A = P^T Q with the rows of P (T, N) and Q (T, K) stacked from all terms. With P^T = U Rp and Q^T = W Rq,
 * where U and W have orthonormal columns, the sum is U (Rp Rq^T) W^T: the SVD of the small matrix in the middle, taken
 * between U and W, is that of the sum. U has p columns and W has q, at most T and no more than their length.
 */
typedef struct svd_room {
    int T, N, K, p, q;
    double *u, *w;   /* (T, N) and (T, K): P and Q; then the first p and q rows are U^T and W^T */
    double *rp, *rq; /* (p, T) and (q, T) */
    double *g;       /* (q, p): row k is column k of the middle; in the end one of U's rotated, times its value */
    double *v;       /* (q, q): the rotations */
    double *norm;    /* (q) singular values */
    int *order;      /* (q) largest first */
} svd_room;

static double dot(const double *x, const double *y, int n) {
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

/* y += s x */
static void add(double *y, double s, const double *x, int n) {
    for (int i = 0; i < n; i++)
        y[i] += s * x[i];
}

/*
 * Gram-Schmidt, each row twice: of the rows of x (T, n) those that are independent become orthonormal ones, in front;
 * row j was sum over i of r[i][j] times the i-th of these. Returns how many there are: least(T, n) at most.
 */
static int orthonormalise(double *x, double *r, int T, int n) {
    const size_t width = (size_t)n;
    int found = 0;

    for (int j = 0; j < T; j++) {
        double *row = x + (size_t)j * width;
        const double before = sqrt(dot(row, row, n));
        for (int pass = 0; pass < 2; pass++)
            for (int i = 0; i < found; i++) {
                const double along = dot(x + (size_t)i * width, row, n);
                r[(size_t)i * (size_t)T + (size_t)j] += along;
                add(row, -along, x + (size_t)i * width, n);
            }
        const double left = sqrt(dot(row, row, n));
        if (found == n || !(left > 16 * T * DBL_EPSILON * before))
            continue;
        r[(size_t)found * (size_t)T + (size_t)j] = left;
        for (int i = 0; i < n; i++)
            x[(size_t)found * width + (size_t)i] = row[i] / left;
        found++;
    }
    return found;
}

/* x, y = c x - s y, s x + c y */
static void rotate(double *x, double *y, double c, double s, int n) {
    for (int i = 0; i < n; i++) {
        const double a = x[i], b = y[i];
        x[i] = c * a - s * b;
        y[i] = s * a + c * b;
    }
}

/* One-sided Jacobi: rotate pairs of rows of g (q, p), and of v (q, q) with them, until those of g are orthogonal. */
static void diagonalise(double *g, double *v, int q, int p) {
    enum { SWEEPS = 60 }; /* ten are many */
    bool turned = true;

    for (int sweep = 0; sweep < SWEEPS && turned; sweep++) {
        turned = false;
        for (int k = 0; k < q; k++)
            for (int l = k + 1; l < q; l++) {
                double *x = g + (size_t)k * (size_t)p, *y = g + (size_t)l * (size_t)p;
                const double a = dot(x, x, p), b = dot(y, y, p), c = dot(x, y, p);
                if (!(fabs(c) > p * DBL_EPSILON * sqrt(a) * sqrt(b)))
                    continue;
                const double zeta = (b - a) / (2 * c);
                const double t = copysign(1, zeta) / (fabs(zeta) + hypot(1, zeta)), cosine = 1 / hypot(1, t);
                rotate(x, y, cosine, cosine * t, p);
                rotate(v + (size_t)k * (size_t)q, v + (size_t)l * (size_t)q, cosine, cosine * t, q);
                turned = true;
            }
    }
}

/* P has the weights; rows of P are columns of the terms' b. */
static void stack(svd_room *room, const weighted_terms *terms) {
    int row = 0;

    for (int i = 0; i < terms->count; i++) {
        const lowrank_term *t = terms->term[i];
        for (int r = 0; r < t->R; r++, row++) {
            double *p = room->u + (size_t)row * (size_t)room->N, *q = room->w + (size_t)row * (size_t)room->K;
            for (int n = 0; n < room->N; n++)
                p[n] = terms->weight[i] * (double)t->b[(size_t)n * (size_t)t->R + (size_t)r];
            for (int k = 0; k < room->K; k++)
                q[k] = (double)t->a[(size_t)r * (size_t)room->K + (size_t)k];
        }
    }
}

/* g[k][i] = (Rp Rq^T)[i][k]; v = 1 */
static void middle(svd_room *room) {
    const size_t p = (size_t)room->p, q = (size_t)room->q, T = (size_t)room->T;

    for (size_t k = 0; k < q; k++) {
        room->v[k * q + k] = 1;
        for (size_t i = 0; i < p; i++)
            room->g[k * p + i] = dot(room->rp + i * T, room->rq + k * T, room->T);
    }
}

static void sort_values(svd_room *room, int R, svd_share *share) {
    for (int k = 0; k < room->q; k++) {
        const double *row = room->g + (size_t)k * (size_t)room->p;
        int at = k;
        room->norm[k] = sqrt(dot(row, row, room->p));
        for (; at > 0 && room->norm[room->order[at - 1]] < room->norm[k]; at--)
            room->order[at] = room->order[at - 1];
        room->order[at] = k;
    }
    for (int k = 0; k < room->q; k++) {
        const double square = room->norm[room->order[k]] * room->norm[room->order[k]];
        share->whole += square;
        share->lost += k < R ? 0 : square;
    }
}

/* out (n) = sum of factor[i] times row i of rows (count, n) */
static void mix(double *out, const double *factor, const double *rows, int count, int n) {
    for (int i = 0; i < n; i++)
        out[i] = 0;
    for (int i = 0; i < count; i++)
        add(out, factor[i], rows + (size_t)i * (size_t)n, n);
}

/* Column r of out's b and row r of its a, from row k of g and v; row (N or K) is room for one. */
static void put(lowrank_term *out, const svd_room *room, int r, int k, double *row) {
    mix(row, room->g + (size_t)k * (size_t)room->p, room->u, room->p, room->N);
    for (int n = 0; n < room->N; n++)
        out->b[(size_t)n * (size_t)out->R + (size_t)r] = (float)row[n];
    mix(row, room->v + (size_t)k * (size_t)room->q, room->w, room->q, room->K);
    for (int j = 0; j < room->K; j++)
        out->a[(size_t)r * (size_t)room->K + (size_t)j] = (float)row[j];
}

static clora_status room_init(svd_room *room, int T, int N, int K) {
    const size_t t = (size_t)T, p = (size_t)least(T, N), q = (size_t)least(T, K);

    *room = (svd_room){.T = T, .N = N, .K = K};
    room->u = alloc_array(t, (size_t)N * sizeof(double));
    room->w = alloc_array(t, (size_t)K * sizeof(double));
    room->rp = alloc_array(p, t * sizeof(double));
    room->rq = alloc_array(q, t * sizeof(double));
    room->g = alloc_array(q, p * sizeof(double));
    room->v = alloc_array(q, q * sizeof(double));
    room->norm = alloc_array(q, sizeof(double));
    room->order = alloc_array(q, sizeof(int));
    if (room->u && room->w && room->rp && room->rq && room->g && room->v && room->norm && room->order)
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_MEMORY, "no memory for the singular values of a sum of %d ranks", T);
}

static void room_finish(svd_room *room) {
    free(room->u);
    free(room->w);
    free(room->rp);
    free(room->rq);
    free(room->g);
    free(room->v);
    free(room->norm);
    free(room->order);
}

clora_status combine_svd(lowrank_term *out, const weighted_terms *terms, svd_share *share) {
    double *row = alloc_array((size_t)(out->N > out->K ? out->N : out->K), sizeof(*row));
    clora_status status = CLORA_OK;
    svd_room room;
    int T = 0;

    for (int i = 0; i < terms->count; i++)
        T += terms->term[i]->R;
    TRY(room_init(&room, T, out->N, out->K));
    if (!row)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a row of %s", out->module));
    stack(&room, terms);
    room.p = orthonormalise(room.u, room.rp, T, room.N);
    room.q = orthonormalise(room.w, room.rq, T, room.K);
    middle(&room);
    diagonalise(room.g, room.v, room.q, room.p);
    sort_values(&room, out->R, share);
    for (int r = 0; r < out->R && r < room.q; r++)
        put(out, &room, r, room.order[r], row);
done:
    room_finish(&room);
    free(row);
    return status;
}
