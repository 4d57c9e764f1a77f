// Rows of keys or values into their places in the cache.
//
//   cache row b*S + past[b] + t = row b*T + t of x      x (B*T, W)   cache (B*S, W)
//
// One work-group copies one row. Rows past the capacity S are not written.

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void cache_store(TENSOR(float, cache), const int cache_stride,
                                                                          TENSOR(const float, x), const int x_stride,
                                                                          TENSOR(const int, past), const int T,
                                                                          const int S, const int W) {
    AT(cache);
    AT(x);
    AT(past);
    const int t = get_group_id(0), b = get_global_id(1), s = past[b] + t, whole = W / VW * VW;
    if (s < 0 || s >= S)
        return;
    cache += ((size_t)b * S + s) * cache_stride;
    x += ((size_t)b * T + t) * x_stride;
    for (int c = get_local_id(0) * VW; c < whole; c += WG * VW)
        STORE(LOAD(x + c), cache + c);
    for (int c = whole + get_local_id(0); c < W; c += WG)
        cache[c] = x[c];
}
