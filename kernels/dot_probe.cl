// pairs = x in bf16, c += the products of pairs with themselves: does the instruction compute what dot.cl says?

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void dot_probe(__global float *c, __global uint *pairs,
                                                                       __global const float *x) {
    const VU both = pairs_of(LOAD(x), LOAD(x + VW));
    V sum = LOAD(c);

    DOT_STEP(sum, both, both);
    STORE(sum, c);
    STORE_PAIRS(both, pairs);
}
