#ifndef CLORA_REF_REF_H
#define CLORA_REF_REF_H

/*
 * The specification: the operations of ops/ops.h on dense host arrays, in plain C with double sums. No OpenCL, no tricks.
 * Names, argument order and the words "overwritten" and "accumulates" are those of ops.h; W0 here is row major (N, K), A (R, K),
 * b (N, R), all float. Checked by finite differences in tests/test_ref.c.
 */

#endif
