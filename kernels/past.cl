// What stands before each sequence's own tokens and is the same for all, and its gradient, which is a sum over them.
//
// Keys and values, for attention:
//   past_join:   kv row b*(P+T) + s = past row s for s < P, else x row b*T + s - P
//   past_split:  dx the transposed copy; dpast row s += sum of dkv's rows b*(P+T) + s, in order of b
//   past, dpast (P, W)   x, dx (B*T, W)   kv, dkv (B*(P+T), W)
//
// Rows in the place of embeddings, of ids from N on:
//   past_embed:  x row m = past row ids[m] - N where that is one; the others stay
//   past_embed_backward: dpast row s += sum of dx's rows m with ids[m] = N + s, in order of m
//   past, dpast (P, W)   x, dx (M, W)   ids (M)
//
// One work-group makes one row; each of its WG items takes vectors of VW columns in turn. Bandwidth bound.

static inline void copy_row(__global float *to, __global const float *from, const int W) {
    const int whole = W / VW * VW;
    for (int c = get_local_id(0) * VW; c < whole; c += WG * VW)
        STORE(LOAD(from + c), to + c);
    for (int c = whole + get_local_id(0); c < W; c += WG)
        to[c] = from[c];
}

static inline void add_row(__global float *to, __global const float *from, const int W) {
    const int whole = W / VW * VW;
    for (int c = get_local_id(0) * VW; c < whole; c += WG * VW)
        STORE(LOAD(to + c) + LOAD(from + c), to + c);
    for (int c = whole + get_local_id(0); c < W; c += WG)
        to[c] += from[c];
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
past_join(TENSOR(float, kv), const int kv_stride, TENSOR(const float, past), const int past_stride,
          TENSOR(const float, x), const int x_stride, const int P, const int T, const int W) {
    AT(kv);
    AT(past);
    AT(x);
    const size_t row = get_group_id(0);
    const int s = row % (P + T), b = row / (P + T);
    copy_row(kv + row * kv_stride, s < P ? past + (size_t)s * past_stride : x + ((size_t)b * T + (s - P)) * x_stride,
             W);
}

// The first `sums` groups, P or none, make dpast, the others dx.
__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
past_split(TENSOR(float, dpast), const int dpast_stride, TENSOR(float, dx), const int dx_stride,
           TENSOR(const float, dkv), const int dkv_stride, const int B, const int P, const int T, const int W,
           const int sums) {
    AT(dpast);
    AT(dx);
    AT(dkv);
    const int group = get_group_id(0);
    if (group < sums) {
        for (int b = 0; b < B; b++)
            add_row(dpast + (size_t)group * dpast_stride, dkv + ((size_t)b * (P + T) + group) * dkv_stride, W);
    } else {
        const int m = group - sums, b = m / T;
        copy_row(dx + (size_t)m * dx_stride, dkv + ((size_t)b * (P + T) + P + m % T) * dkv_stride, W);
    }
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
past_embed(TENSOR(float, x), const int x_stride, TENSOR(const float, past), const int past_stride,
           TENSOR(const int, ids), const int N, const int P, const int W) {
    AT(x);
    AT(past);
    AT(ids);
    const size_t m = get_group_id(0);
    const int s = ids[m] - N;
    if (s >= 0 && s < P)
        copy_row(x + m * x_stride, past + (size_t)s * past_stride, W);
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
past_embed_backward(TENSOR(float, dpast), const int dpast_stride, TENSOR(const float, dx), const int dx_stride,
                    TENSOR(const int, ids), const int M, const int N, const int W) {
    AT(dpast);
    AT(dx);
    AT(ids);
    const int s = get_group_id(0);
    for (int m = 0; m < M; m++)
        if (ids[m] == N + s)
            add_row(dpast + (size_t)s * dpast_stride, dx + (size_t)m * dx_stride, W);
}
