// AdamW as in adamw.cl whose moments are kept as codes of 8 bits (Dettmers et al. 2022, 8-bit Optimizers via Block-wise
// Quantization): 256 neighbours share the largest magnitude among them, and a code is a part of it.
//
// Codes lie closer where values are small. Between 10^-7 and 1 each decade has twice as many as the one before it, at
// the middles of equal steps; besides them there are 0 and 1. Of v, which is never negative, the first decade has FIRST
// = 2 codes, of m 1 on either side of 0. Magnitudes are numbered from FIRST - 1, which is 0, so that the i-th decade
// begins with number FIRST << i.
//
// n elements, one work-group a block; nothing changes when scale[0] is NaN. Bandwidth bound: 16 bytes an element.

#define BLOCK 256                               // part of what the state means
#define PER ((BLOCK + WG * VW - 1) / (WG * VW)) // vectors of a work-item
#define DECADES 7

#if VW == 1
#define READ_CODES(p) ((float)*(p))
#define WRITE_CODES(v, p) (*(p) = (uchar)(v))
#else
#define READ_CODES(p) JOIN(convert_float, VW)(JOIN(vload, VW)(0, p))
#define WRITE_CODES(v, p) JOIN(vstore, VW)(JOIN(convert_uchar, VW)(v), 0, p)
#endif

// What each decade ends at; the last is the code 1, whose decade begins there.
__constant float decade_end[DECADES + 1] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1.0f, 10.0f};

// The least magnitude that is nearer to the first code of a decade than to the code before it.
static inline float decade_bound(const int i, const int first) {
    return i == 0         ? 0.5e-6f * (0.1f + 0.45f / first)
           : i == DECADES ? 1.0f - 0.225f / (first << (DECADES - 1))
                          : decade_end[i - 1] * (1.0f + 0.9f / (first << (i - 1)));
}

// The magnitude of a number, and the number nearest to a magnitude from 0 to 1.
static inline V magnitude(const V number, const int first) {
    V low = (V)(1.0f), end = (V)(0.0f);
    UNROLL for (int i = 0; i <= DECADES; i++) {
        const float from = first << i;
        low = number >= from ? (V)(from) : low;
        end = number >= from ? (V)(decade_end[i]) : end;
    }
    return fmin(end * (0.1f + 0.9f * (number - low + 0.5f) / low), (V)(1.0f));
}

static inline V nearest(const V x, const int first) {
    V low = (V)(first - 1.0f), end = (V)(1.0f);
    UNROLL for (int i = 0; i <= DECADES; i++) {
        const float bound = decade_bound(i, first);
        low = x >= bound ? (V)(first << i) : low;
        end = x >= bound ? (V)(decade_end[i]) : end;
    }
    return low + fmax(fmin(floor((x / end - 0.1f) * low / 0.9f), low - 1.0f), (V)(0.0f));
}

// m: 127 is 0, those below it are negative, and -1 has no code. v: the numbers from 1.
static inline V read_m(__global const uchar *codes, const float most) {
    const V number = READ_CODES(codes) - 127.0f;
    return copysign(magnitude(fabs(number), 1), number) * most;
}

static inline void write_m(const V m, __global uchar *codes, const float most) {
    const V number = nearest(most > 0.0f ? fabs(m) / most : (V)(0.0f), 1);
    WRITE_CODES(m < 0.0f ? 127.0f - fmin(number, (V)(127.0f)) : 127.0f + number, codes);
}

static inline V read_v(__global const uchar *codes, const float most) {
    return magnitude(READ_CODES(codes) + 1.0f, 2) * most;
}

static inline void write_v(const V v, __global uchar *codes, const float most) {
    WRITE_CODES(nearest(most > 0.0f ? v / most : (V)(0.0f), 2) - 1.0f, codes);
}

// The first `left` of VW elements; the others are 0, and are not written.
static inline V load_some(__global const float *x, const int left) {
    float part[VW];
    if (left >= VW)
        return LOAD(x);
    for (int i = 0; i < VW; i++)
        part[i] = i < left ? x[i] : 0.0f;
    return LOAD(part);
}

static inline void store_some(const V v, __global float *x, const int left) {
    float part[VW];
    if (left >= VW) {
        STORE(v, x);
        return;
    }
    STORE(v, part);
    for (int i = 0; i < left; i++)
        x[i] = part[i];
}

__kernel __attribute__((reqd_work_group_size(WG, 1, 1))) void
adamw8bit(TENSOR(float, p), TENSOR(uint, m), TENSOR(uint, v), TENSOR(float, m_most), TENSOR(float, v_most),
          TENSOR(const float, g), TENSOR(const float, scale), const ulong n, const float keep, const float beta1,
          const float beta2, const float step_size, const float root, const float eps) {
    __local float space[WG];
    AT(p);
    AT(m);
    AT(v);
    AT(m_most);
    AT(v_most);
    AT(g);
    AT(scale);
    const ulong block = get_group_id(0), start = block * BLOCK;
    const int left = min(n - start, (ulong)BLOCK), first = get_local_id(0) * VW;
    const float factor = scale[0], m_before = m_most[block], v_before = v_most[block];
    __global uchar *m_codes = (__global uchar *)m + start, *v_codes = (__global uchar *)v + start;
    V mi[PER], vi[PER];
    float m_top = 0.0f, v_top = 0.0f;
    if (isnan(factor))
        return;
    for (int i = 0, at = first; i < PER && at < BLOCK; i++, at += WG * VW) {
        const V gi = load_some(g + start + at, left - at) * factor, before = read_m(m_codes + at, m_before);
        mi[i] = fma(gi - before, (V)(1.0f - beta1), before);
        vi[i] = fma(gi * (1.0f - beta2), gi, read_v(v_codes + at, v_before) * beta2);
        const V pi = load_some(p + start + at, left - at);
        store_some(pi * keep - step_size * (mi[i] / (sqrt(vi[i]) / root + eps)), p + start + at, left - at);
        m_top = fmax(m_top, max_lanes(fabs(mi[i])));
        v_top = fmax(v_top, max_lanes(vi[i]));
    }
    m_top = max_group(m_top, space);
    v_top = max_group(v_top, space);
    for (int i = 0, at = first; i < PER && at < BLOCK; i++, at += WG * VW) {
        write_m(mi[i], m_codes + at, m_top);
        write_v(vi[i], v_codes + at, v_top);
    }
    barrier(CLK_GLOBAL_MEM_FENCE); // all have read what the first now overwrites
    if (get_local_id(0) == 0) {
        m_most[block] = m_top;
        v_most[block] = v_top;
    }
}
