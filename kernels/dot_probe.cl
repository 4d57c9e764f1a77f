// Do the instructions compute what dot.cl says?
//
//   vectors: pairs = x in bf16, c += the products of pairs with themselves
//   tiles:   c (32, NR) = pairs, 32 rows of 16, times pairs, 16 of NR lanes

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void dot_probe(__global float *c, __global uint *pairs,
                                                                       __global const float *x) {
#if DOT == 3
    tiles_begin();
    tile_sums((ulong)c, (ulong)pairs, TILE_PAIRS, (ulong)pairs, 0, TILE_PAIRS);
    tiles_end();
#else
    const VU both = pairs_of(LOAD(x), LOAD(x + VW));
    V sum = LOAD(c);

    DOT_STEP(sum, both, both);
    STORE(sum, c);
    STORE_PAIRS(both, pairs);
#endif
}
