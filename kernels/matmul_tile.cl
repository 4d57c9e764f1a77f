// Products with a frozen weight packed as panels, in tiles of local memory: for GPUs.
//
//   matmul_tile      y (M, N)  = [residual or y] + x (M, K) * W0^T + bias + u (M, R) * B^T
//   matvec_tile      the same for few rows
//   matmul_tile_dx   dx (M, K) = [dx] + dy (M, N) * W0 + du (M, R) * A
//   matmul_tile_dw   dw (N, K) += dy (M, N)^T * x (M, K)
//
// A group of WX x WY items makes a tile of TM x TN outputs, each item TM / WY rows by TN / WX columns that lie WX
// apart. It brings STEP columns of the left matrix and STEP rows of the right one into local memory and multiplies
// them; neighbouring items read neighbouring elements of both. The low-rank term is more such steps into the same
// accumulators. Rows and columns past the edges are zero in local memory and not stored.

#ifndef TM
#define TM 64 // rows of a tile
#endif
#ifndef TN
#define TN 64 // columns of a tile; a multiple of NR
#endif
#ifndef TK
#define TK 16 // steps in local memory at once; a power of two
#endif
#ifndef WX
#define WX 16 // items of a group along the columns
#endif
#ifndef WY
#define WY 16 // items of a group along the rows
#endif
#define STEP (TK < NR ? TK : NR)
#define ITEMS (WX * WY)
#define RM (TM / WY)
#define RN (TN / WX)
#if TN % NR != 0 || TM % WY != 0 || TN % WX != 0
#error "TN must be a multiple of NR and WX, TM of WY"
#endif
// sum += left (STEP, TM)^T * right (STEP, TN), both in local memory.
INLINE void multiply(float sum[RM][RN], __local const float (*left)[TM + 1], __local const float (*right)[TN + 1]) {
    const int lx = get_local_id(0), ly = get_local_id(1);
    for (int step = 0; step < STEP; step++) {
        float a[RM], b[RN];
        UNROLL for (int i = 0; i < RM; i++) a[i] = left[step][ly + i * WY];
        UNROLL for (int j = 0; j < RN; j++) b[j] = right[step][lx + j * WX];
        UNROLL for (int i = 0; i < RM; i++) UNROLL for (int j = 0; j < RN; j++) sum[i][j] = fma(a[i], b[j], sum[i][j]);
    }
}

// left[step][row] = a[m + row][step], zero past `rows` rows and `steps` steps.
INLINE void load_left(__local float (*left)[TM + 1], __global const float *a, const int stride, const int m,
                      const int rows, const int steps) {
    for (int e = get_local_id(1) * WX + get_local_id(0); e < TM * STEP; e += ITEMS) {
        const int row = e / STEP, step = e % STEP;
        left[step][row] = m + row < rows && step < steps ? a[(size_t)(m + row) * stride + step] : 0.0f;
    }
}

__kernel __attribute__((reqd_work_group_size(WX, WY, 1))) void
matmul_tile(TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride, TENSOR(const stored, w),
            TENSOR(const float, residual), const int residual_stride, TENSOR(const float, bias),
            TENSOR(const int, columns), TENSOR(const float, u), const int u_stride, TENSOR(const float, b),
            TENSOR(const int, table), const int M, const int N, const int K, const int R, const int first,
            const int panels, const int given) {
    AT(y);
    AT(x);
    AT(w);
    AT_IF(RESIDUAL, residual);
    AT_IF(BIAS, bias);
    AT_IF(COLUMNS, columns);
    AT(u);
    AT(b);
    AT_IF(TABLE, table);
    __local float left[STEP][TM + 1], right[STEP][TN + 1];
    const int lx = get_local_id(0), ly = get_local_id(1), item = ly * WX + lx;
    const int part = get_group_id(0) * (TN / NR), m = get_group_id(1) * TM; // the group's first panel in this part
    const size_t size = panel_size(K);
    float sum[RM][RN];
    UNROLL for (int i = 0; i < RM; i++) UNROLL for (int j = 0; j < RN; j++) sum[i][j] = 0.0f;

    for (int k = 0; k < K; k += STEP) {
        load_left(left, x + k, x_stride, m, M, K - k);
        for (int e = item; e < TN * STEP; e += ITEMS) {
            const int n = e % TN, step = e / TN, p = part + n / NR;
            right[step][n] = p < panels && k + step < K ? element(w + p * size, k + step, n % NR) : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(sum, left, right);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    // The low-rank term: panels of one module share columns of u and go together, so usually there is one round.
    for (int q = 0; q < TN / NR; q++) {
        const int p = first + part + q;
        const int rank = part + q >= panels ? 0 : table ? table[3 * p + 1] : R;
        const int col = table && rank > 0 ? table[3 * p + 2] : 0;
        const bool done =
            rank == 0 || (q > 0 && (!table || (table[3 * (p - 1) + 1] == rank && table[3 * (p - 1) + 2] == col)));
        for (int r = 0; r < (done ? 0 : rank); r += STEP) {
            load_left(left, u + col + r, u_stride, m, M, rank - r);
            for (int e = item; e < TN * STEP; e += ITEMS) {
                const int n = e % TN, step = e / TN, panel = first + part + n / NR;
                const bool ours = part + n / NR < panels && r + step < rank &&
                                  (!table || (table[3 * panel + 1] == rank && table[3 * panel + 2] == col));
                const size_t from = !ours ? 0 : table ? (size_t)table[3 * panel] : (size_t)panel * NR * R;
                right[step][n] = ours ? b[from + (size_t)(r + step) * NR + n % NR] : 0.0f;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            multiply(sum, left, right);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
    UNROLL for (int j = 0; j < RN; j++) {
        const int n = lx + j * WX, p = first + part + n / NR, lane = n % NR;
        if (part + n / NR >= panels)
            continue;
        const int col = columns ? columns[2 * p] : p * NR, lanes = columns ? columns[2 * p + 1] : min(NR, N - p * NR);
        const float plus = bias && lane < lanes ? bias[col + lane] : 0.0f;
        UNROLL for (int i = 0; i < RM; i++) { // else `sum` leaves the registers
            const size_t row = m + ly + i * WY;
            if (row >= M || lane >= lanes)
                continue;
            float value = sum[i][j] + plus;
            if (residual)
                value += residual[row * residual_stride + col + lane];
            if (given & ACCUMULATE)
                value += y[row * y_stride + col + lane];
            y[row * y_stride + col + lane] = value;
        }
    }
}

__kernel __attribute__((reqd_work_group_size(WX, WY, 1))) void
matmul_tile_dx(TENSOR(float, dx), const int dx_stride, TENSOR(const float, dy), const int dy_stride,
               TENSOR(const stored, w), TENSOR(const int, columns), TENSOR(const float, du), const int du_stride,
               TENSOR(const float, a), const int M, const int K, const int R, const int first, const int panels,
               const int accumulate) {
    AT(dx);
    AT(dy);
    AT(w);
    AT(columns);
    AT(du);
    AT(a);
    __local float left[STEP][TM + 1], right[STEP][TN + 1];
    const int lx = get_local_id(0), ly = get_local_id(1), item = ly * WX + lx;
    const int k = get_group_id(0) * TN, m = get_group_id(1) * TM;
    const size_t size = panel_size(K);
    float sum[RM][RN];
    UNROLL for (int i = 0; i < RM; i++) UNROLL for (int j = 0; j < RN; j++) sum[i][j] = 0.0f;

    for (int p = 0; p < panels; p++) {
        const int col = columns[2 * (first + p)], lanes = columns[2 * (first + p) + 1];
        for (int lane = 0; lane < lanes; lane += STEP) {
            load_left(left, dy + col + lane, dy_stride, m, M, lanes - lane);
            for (int e = item; e < TN * STEP; e += ITEMS) {
                const int step = e % STEP, n = e / STEP; // lanes lie side by side in memory
                right[step][n] = k + n < K && lane + step < lanes ? element(w + p * size, k + n, lane + step) : 0.0f;
            }
            barrier(CLK_LOCAL_MEM_FENCE);
            multiply(sum, left, right);
            barrier(CLK_LOCAL_MEM_FENCE);
        }
    }
    for (int r = 0; r < R; r += STEP) {
        load_left(left, du + r, du_stride, m, M, R - r);
        for (int e = item; e < TN * STEP; e += ITEMS) {
            const int n = e % TN, step = e / TN;
            right[step][n] =
                k + n < K && r + step < R ? a[((size_t)((k + n) / NR) * R + r + step) * NR + n % NR] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(sum, left, right);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    UNROLL for (int i = 0; i < RM; i++) UNROLL for (int j = 0; j < RN; j++) {
        const size_t row = m + ly + i * WY;
        const int n = k + lx + j * WX;
        if (row < M && n < K)
            dx[row * dx_stride + n] = sum[i][j] + (accumulate ? dx[row * dx_stride + n] : 0.0f);
    }
}

// dw (N, K) += dy^T * x in panels of f32: rows of a tile are columns of x, a step is a row of x and dy.
__kernel __attribute__((reqd_work_group_size(WX, WY, 1))) void
matmul_tile_dw(TENSOR(float, dw), TENSOR(const float, dy), const int dy_stride, TENSOR(const float, x),
               const int x_stride, TENSOR(const int, columns), const int M, const int K, const int first,
               const int panels) {
    AT(dw);
    AT(dy);
    AT(x);
    AT(columns);
    __local float left[STEP][TM + 1], right[STEP][TN + 1];
    const int lx = get_local_id(0), ly = get_local_id(1), item = ly * WX + lx;
    const int part = get_group_id(0) * (TN / NR), k = get_group_id(1) * TM; // the group's first panel in this part
    float sum[RM][RN];
    UNROLL for (int i = 0; i < RM; i++) UNROLL for (int j = 0; j < RN; j++) sum[i][j] = 0.0f;

    for (int m = 0; m < M; m += STEP) {
        for (int e = item; e < TM * STEP; e += ITEMS) {
            const int row = e % TM, step = e / TM;
            left[step][row] = k + row < K && m + step < M ? x[(size_t)(m + step) * x_stride + k + row] : 0.0f;
        }
        for (int e = item; e < TN * STEP; e += ITEMS) {
            const int n = e % TN, step = e / TN, p = part + n / NR;
            const int ours = p < panels && m + step < M && n % NR < columns[2 * (first + min(p, panels - 1)) + 1];
            right[step][n] = ours ? dy[(size_t)(m + step) * dy_stride + columns[2 * (first + p)] + n % NR] : 0.0f;
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        multiply(sum, left, right);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    UNROLL for (int i = 0; i < RM; i++) UNROLL for (int j = 0; j < RN; j++) {
        const int row = k + ly + i * WY, n = lx + j * WX, p = part + n / NR;
        if (row < K && p < panels)
            dw[((size_t)p * K + row) * NR + n % NR] += sum[i][j];
    }
}

#ifndef ROWS
#define ROWS 1 // of matvec_tile: M
#endif
#ifndef SLICES
#define SLICES 8 // items that share a lane of matvec_tile, each with its part of K; a power of two
#endif

// One group makes one panel's columns of all rows: NR lanes read neighbouring weights, SLICES items share the steps of
// a lane and their sums meet in local memory, in a fixed order.
__kernel __attribute__((reqd_work_group_size(NR, SLICES, 1))) void
matvec_tile(TENSOR(float, y), const int y_stride, TENSOR(const float, x), const int x_stride, TENSOR(const stored, w),
            TENSOR(const float, residual), const int residual_stride, TENSOR(const float, bias),
            TENSOR(const int, columns), TENSOR(const float, u), const int u_stride, TENSOR(const float, b),
            TENSOR(const int, table), const int M, const int N, const int K, const int R, const int first,
            const int panels, const int given) {
    AT(y);
    AT(x);
    AT(w);
    AT_IF(RESIDUAL, residual);
    AT_IF(BIAS, bias);
    AT_IF(COLUMNS, columns);
    AT(u);
    AT(b);
    AT_IF(TABLE, table);
    __local float part[SLICES][NR];
    const int lane = get_local_id(0), slice = get_local_id(1), p = first + get_group_id(0);
    const int col = columns ? columns[2 * p] : p * NR, lanes = columns ? columns[2 * p + 1] : min(NR, N - p * NR);
    const int rank = table ? table[3 * p + 1] : R;
    const size_t size = panel_size(K);
    float sum[ROWS];
    UNROLL for (int i = 0; i < ROWS; i++) sum[i] = 0.0f;
    for (int k = slice; k < K; k += SLICES) {
        const float value = element(w + get_group_id(0) * size, k, lane);
        UNROLL for (int i = 0; i < ROWS; i++) sum[i] = fma(x[(size_t)i * x_stride + k], value, sum[i]);
    }
    u += table && rank > 0 ? table[3 * p + 2] : 0;
    b += table ? (size_t)table[3 * p] : (size_t)p * NR * R;
    for (int r = slice; r < rank; r += SLICES) {
        const float value = b[(size_t)r * NR + lane];
        UNROLL for (int i = 0; i < ROWS; i++) sum[i] = fma(u[(size_t)i * u_stride + r], value, sum[i]);
    }
    for (int i = 0; i < ROWS; i++) {
        barrier(CLK_LOCAL_MEM_FENCE);
        part[slice][lane] = sum[i];
        barrier(CLK_LOCAL_MEM_FENCE);
        if (slice == 0 && lane < lanes) {
            float value = bias ? bias[col + lane] : 0.0f;
            for (int s = 0; s < SLICES; s++)
                value += part[s][lane];
            if (residual)
                value += residual[(size_t)i * residual_stride + col + lane];
            if (given & ACCUMULATE)
                value += y[(size_t)i * y_stride + col + lane];
            y[(size_t)i * y_stride + col + lane] = value;
        }
    }
}
