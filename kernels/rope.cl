// Rotary position embedding in place (Su et al. 2021; halves as in the Hugging Face models).
//
//   per head of x (M, heads*D), halves a and b:  (a, b) -> (a cos - b sin, b cos + a sin) at positions[m]
//
// table (P, D) holds cos (D/2) then sin (D/2) of every position. sign = -1 rotates back: the gradient. One work-group
// makes one row; each of its WG items takes vectors of VW pairs in turn. Bandwidth bound.


__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void rope(TENSOR(float, x), const int x_stride,
                                                                   TENSOR(const int, positions),
                                                                   TENSOR(const float, table), const int heads,
                                                                   const int D, const float sign) {
    AT(x);
    AT(positions);
    AT(table);
    const size_t m = get_group_id(0);
    const int pairs = D / 2, whole = pairs / VW, vectors = heads * whole, rest = pairs - whole * VW;
    __global const float *cosine = table + (size_t)positions[m] * D, *sine = cosine + pairs;
    x += m * x_stride;
    for (int i = get_local_id(0); i < vectors; i += WG) {
        const int at = i % whole * VW;
        __global float *a = x + i / whole * D + at, *b = a + pairs;
        const V va = LOAD(a), vb = LOAD(b), c = LOAD(cosine + at), s = LOAD(sine + at) * sign;
        STORE(fma(va, c, -vb * s), a);
        STORE(fma(vb, c, va * s), b);
    }
    for (int i = get_local_id(0); i < heads * rest; i += WG) {
        const int at = whole * VW + i % rest;
        __global float *a = x + i / rest * D + at, *b = a + pairs;
        const float va = *a, vb = *b, c = cosine[at], s = sine[at] * sign;
        *a = fma(va, c, -vb * s);
        *b = fma(vb, c, va * s);
    }
}
