// How matmul_dot and matmul_dot_dx add up an item's rows: in registers (DOT_STEPS of dot.cl), or in the processor's
// tiles (AMX) where DOT is 3.

#if DOT == 3
// A tile is 16 rows of 64 bytes. 0 to 3 hold the sums of 32 rows by NR lanes; 4 and 5 take 16 pairs of those rows,
// 6 and 7 the same pairs of the lanes. The instructions stand by their bytes, since not every compiler that knows the
// vectors knows them; a compiler keeps nothing in tiles.
#define TILE_ROWS 32
#define TILE_PAIRS 16
#define TILE_BYTES(bytes, at, stride) __asm__ volatile(".byte " bytes : : "a"(at), "c"((ulong)(stride)) : "memory")
#define TILE_LOAD(sib, at, stride) TILE_BYTES("0xc4,0xe2,0x7b,0x4b," sib ",0x08", at, stride)
#define TILE_STORE(sib, at, stride) TILE_BYTES("0xc4,0xe2,0x7a,0x4b," sib ",0x08", at, stride)

// All eight tiles of 16 rows by 64 bytes. Tiles are let go of at the end: a core that holds some is slow to switch.
INLINE void tiles_begin(void) {
    __private uchar setting[64] __attribute__((aligned(64)));
    for (int i = 0; i < 64; i++)
        setting[i] = i == 0 ? 1 : i >= 16 && i < 32 ? (i % 2 == 0 ? 64 : 0) : i >= 48 && i < 56 ? 16 : 0;
    TILE_BYTES("0xc4,0xe2,0x78,0x49,0x00", (ulong)setting, 0);
}
INLINE void tiles_end(void) {
    __asm__ volatile(".byte 0xc4,0xe2,0x78,0x49,0xc0" : : : "memory");
}

// sums[row * NR + lane] = left[row * stride + step] * right[step * NR + lane] added up over `steps` pairs, at the
// addresses of the first. The last pairs that fill no tile lie at `rest`, filled up with zeros, as left's rows are.
INLINE void tile_sums(const ulong sums, const ulong left, const int stride, const ulong right, const ulong rest,
                      const int steps) {
    const ulong row = stride * sizeof(uint), lanes = NR * sizeof(uint), other = TILE_PAIRS * sizeof(uint);

    __asm__ volatile(".byte 0xc4,0xe2,0x7b,0x49,0xc0, 0xc4,0xe2,0x7b,0x49,0xc8;" // zeros
                     ".byte 0xc4,0xe2,0x7b,0x49,0xd0, 0xc4,0xe2,0x7b,0x49,0xd8");
    for (int step = 0; step < steps; step += TILE_PAIRS) {
        const ulong rows = left + step * sizeof(uint);
        const ulong pairs = step + TILE_PAIRS <= steps ? right + step * lanes : rest;
        TILE_LOAD("0x24", rows, row);
        TILE_LOAD("0x34", pairs, lanes);
        TILE_LOAD("0x3c", pairs + other, lanes);
        TILE_LOAD("0x2c", rows + 16 * row, row);
        __asm__ volatile(".byte 0xc4,0xe2,0x4a,0x5c,0xc4, 0xc4,0xe2,0x42,0x5c,0xcc;"  // 0 += 4 * 6, 1 += 4 * 7
                         ".byte 0xc4,0xe2,0x4a,0x5c,0xd5, 0xc4,0xe2,0x42,0x5c,0xdd"); // 2 += 5 * 6, 3 += 5 * 7
    }
    TILE_STORE("0x04", sums, lanes);
    TILE_STORE("0x0c", sums + other, lanes);
    TILE_STORE("0x14", sums + 16 * lanes, lanes);
    TILE_STORE("0x1c", sums + 16 * lanes + other, lanes);
}

// What a kernel keeps for its sums; MR divides TILE_ROWS.
#define DOT_BEGIN                       \
    __local float sums[TILE_ROWS * NR]; \
    __local uint rest[TILE_PAIRS * NR]; \
    tiles_begin()
#define DOT_END tiles_end()

// rest = the last pairs of a panel that fill no tile, filled up.
INLINE void tile_rest(__local uint *rest, __global const uint *right, const int steps) {
    const int whole = steps / TILE_PAIRS * TILE_PAIRS * NR;
    for (int i = 0; i < TILE_PAIRS * NR && whole < steps * NR; i++)
        rest[i] = whole + i < steps * NR ? right[whole + i] : 0u;
}

// c[i][j] += the sums of rows m, m + 1, ... of an item, which has the pairs of its rows at `left`.
#define DOT_ROWS(c, rows, m, count, left, stride, right, steps)                                               \
    if ((m) % TILE_ROWS == 0)                                                                                 \
        tile_sums((ulong)sums, (ulong)((left) + (m) * (stride)), stride, (ulong)(right), (ulong)rest, steps); \
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < NV; j++) c[i][j] +=                      \
        LOAD(sums + ((m) % TILE_ROWS + i) * NR + j * VW)
#else
#define TILE_ROWS 0
#define TILE_PAIRS 1
#define DOT_BEGIN
#define DOT_END
#define tile_rest(rest, right, steps)
#define DOT_ROWS(c, rows, m, count, left, stride, right, steps) \
    {                                                           \
        size_t from[rows];                                      \
        ROWS_FROM(from, rows, m, count, stride);                \
        DOT_STEPS(c, rows, left, from, right, steps);           \
    }
#endif

// Pairs of a row, and what rows of tiles are filled up to.
#define WHOLE_TILES(pairs) (((pairs) + TILE_PAIRS - 1) / TILE_PAIRS * TILE_PAIRS)

// Zeros where pairs fill no tile.
INLINE void fill_up(__local uint *pairs, const int from, const int to) {
    for (int i = from; i < to; i++)
        pairs[i] = 0u;
}
