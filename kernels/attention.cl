// Causal grouped-query attention, forward, without a matrix of size (T, T); attention_lanes.cl has the equation.
//
// The lanes are queries, the keys stream past, and the softmax runs along: a running maximum and sum for each lane.
// Cost: 4 D flops a visible pair, (2 D + BK + MR) * LANES floats of local memory.

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
attention(TENSOR(float, y), const int y_stride, TENSOR(float, lse), TENSOR(const float, q), const int q_stride,
          TENSOR(const float, k), const int k_stride, TENSOR(const float, v), const int v_stride,
          TENSOR(const int, past), TENSOR(const int, first), const int T, const int S, const int H, const int G,
          const float scale, const float cap, TENSOR(const int, pages), const int page_count, const int page_bits,
          TENSOR(const int, last), const int prefix, const int with_lse) {
    __local V qt[D * NV * WG], ot[D * NV * WG];
    __local V st[(BK + MR) * NV * WG]; // the tile of a stretch may end MR - 1 rows after the block
    V most[NV], sum[NV], shrink[NV];
    size_t at[NV * VW];
    AT(y);
    AT(lse);
    AT(q);
    AT(k);
    AT(v);
    AT(past);
    AT(first);
    AT(pages);
    AT(last);
    const cache_pages in_pages = {pages, page_count, page_bits, S};
    const int g = get_global_id(1), b = get_global_id(2);
    const int base = (get_num_groups(0) - 1 - get_group_id(0)) * LANES; // the longest rows first
    queries r;

    find_queries(&r, first, last, past[b], prefix, T, S, b, g, H / G, base);

    places(at, &r, q_stride);
    gather(qt, q, at, scale);
    clear(ot);
    FOR_VECTORS(n) {
        most[n] = (V)(-INFINITY);
        sum[n] = (V)(0.0f);
    }
    for (int key = first_block(&r); key < r.to; key = next_block(&r, key)) {
        const int n = min(BK, r.to - key);
        for (int j = 0, count; j < n; j += count) {
            count = page_stretch(&in_pages, key + j, n - j);
            dots(&st[j * NV * WG], k + page_row(&in_pages, b, key + j) * k_stride + g * D, k_stride, count, qt);
        }
        cap_scores(st, n, cap);
        hide(st, &r, key, n);
        FOR_VECTORS(c) {
            V top = most[c], part = (V)(0.0f);
            for (int j = 0; j < n; j++)
                top = fmax(top, TILE(st, j, c));
            // Until a lane has seen its first key its maximum is -infinity, and the difference must not become NaN.
            const V safe = fmax(top, (V)(-FLT_MAX));
            for (int j = 0; j < n; j++) {
                const V p = exponential(TILE(st, j, c) - safe);
                TILE(st, j, c) = p;
                part += p;
            }
            shrink[c] = exponential(most[c] - safe);
            sum[c] = fma(sum[c], shrink[c], part);
            most[c] = top;
        }
        for (int j = 0, count; j < n; j += count) {
            count = page_stretch(&in_pages, key + j, n - j);
            accumulate(ot, shrink, &st[j * NV * WG], count, v + page_row(&in_pages, b, key + j) * v_stride + g * D,
                       v_stride);
            FOR_VECTORS(c)
                shrink[c] = (V)(1.0f);
        }
    }
    FOR_VECTORS(c) { // a lane that sees no key has sum 0: zeros then
        const V inverse = sum[c] == 0.0f ? (V)(0.0f) : 1.0f / sum[c];
        for (int d = 0; d < D; d++)
            TILE(ot, d, c) *= inverse;
        most[c] += log(sum[c]);
    }
    places(at, &r, y_stride);
    scatter(y, at, ot, r.real, 1.0f);
    FOR_LANES(c, i)
        if (with_lse && r.real[c * VW + i])
            lse[r.m[c * VW + i] * H + r.head[c * VW + i]] = ((const float *)&most[c])[i];
}
