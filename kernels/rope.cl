// Rotary position embedding in place (Su et al. 2021; halves as in the Hugging Face models).
//
//   per head of x (M, heads*D), halves a and b:  (a, b) -> (a cos - b sin, b cos + a sin) at positions[m]
//
// table (P, D) holds cos (D/2) then sin (D/2) of every position. sign = -1 rotates back: the gradient. One work-group
// makes one row; each of its WG items takes vectors of VW pairs in turn. Bandwidth bound.


#ifndef D
#define D 64 // head size
#endif

enum { PAIRS = D / 2, WHOLE = PAIRS / VW, REST = PAIRS - WHOLE * VW }; // WHOLE vectors of a head and REST single pairs

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void rope(TENSOR(float, x), const int x_stride,
                                                                   TENSOR(const int, positions),
                                                                   TENSOR(const float, table), const int heads,
                                                                   const float sign) {
    AT(x);
    AT(positions);
    AT(table);
    const size_t m = get_group_id(0);
    __global const float *cosine = table + (size_t)positions[m] * D, *sine = cosine + PAIRS;
    x += m * x_stride;
    for (int i = get_local_id(0); i < heads * WHOLE; i += WG) {
        const int at = i % max(WHOLE, 1) * VW;
        __global float *a = x + i / max(WHOLE, 1) * D + at, *b = a + PAIRS;
        const V va = LOAD(a), vb = LOAD(b), c = LOAD(cosine + at), s = LOAD(sine + at) * sign;
        STORE(fma(va, c, -vb * s), a);
        STORE(fma(vb, c, va * s), b);
    }
    for (int i = get_local_id(0); i < heads * REST; i += WG) {
        const int at = WHOLE * VW + i % max(REST, 1);
        __global float *a = x + i / max(REST, 1) * D + at, *b = a + PAIRS;
        const float va = *a, vb = *b, c = cosine[at], s = sine[at] * sign;
        *a = fma(va, c, -vb * s);
        *b = fma(vb, c, va * s);
    }
}
