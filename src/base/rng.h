#ifndef CLORA_BASE_RNG_H
#define CLORA_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/*
 * Counter-based random numbers: value i of stream (seed, stream) is a pure function of the three, so that nothing
 * is stored and any order gives the same numbers. Philox-4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
 * easy as 1, 2, 3"), which kernels/dropout.cl computes too.
 */
void rng_philox(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);

/* 32 random bits: word index % 4 of block index / 4 of the stream. */
uint32_t rng_bits(uint64_t seed, uint32_t stream, uint64_t index);

/* Uniform in [0, 1) from the upper 24 bits. */
float rng_uniform(uint64_t seed, uint32_t stream, uint64_t index);

/* Standard normal (Box-Muller; elements 2i and 2i + 1 of the stream make value pair i). */
float rng_normal(uint64_t seed, uint32_t stream, uint64_t index);

/* A uniform permutation of 0..n-1 (Fisher-Yates). */
void rng_permutation(size_t *out, size_t n, uint64_t seed, uint32_t stream);

#endif
