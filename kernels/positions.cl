// Learned embeddings of positions: x[m] += table[first + positions[m]].
//
//   x (M, C)   table (P, C)   positions (M)
//
// One work-group makes one row. A position outside of 0 .. P makes NaN, so that a mistake shows. Bandwidth bound.

// The row of one position, by the items of a group.
static inline void add_position(__global float *x, __global const float *table, const int table_stride, const int p,
                                const int P, const int C) {
    __global const float *row = table + (size_t)p * table_stride;
    const bool known = p >= 0 && p < P;
    int c = get_local_id(0) * VW;
    for (; known && c + VW <= C; c += WG * VW)
        STORE(LOAD(x + c) + LOAD(row + c), x + c);
    for (c = (known ? C / VW * VW : 0) + get_local_id(0); c < C; c += WG)
        x[c] += known ? row[c] : NAN;
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
add_positions(TENSOR(float, x), const int x_stride, TENSOR(const float, table), const int table_stride,
              TENSOR(const int, positions), const int first, const int P, const int C) {
    AT(x);
    AT(table);
    AT(positions);
    const size_t m = get_group_id(0);
    add_position(x + m * x_stride, table, table_stride, first + positions[m], P, C);
}
