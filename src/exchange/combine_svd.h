#ifndef CLORA_EXCHANGE_COMBINE_SVD_H
#define CLORA_EXCHANGE_COMBINE_SVD_H

#include "exchange/term_list.h"

/* Terms at one module with their weights; all of one shape but for the rank. */
typedef struct weighted_terms {
    const lowrank_term **term;
    double *weight; /* w s */
    int count;
} weighted_terms;

/* The squares of Frobenius norms. */
typedef struct svd_share {
    double lost, whole;
} svd_share;

/*
 * out->b out->a = the best approximation of sum w s b a by out's rank: b has the singular values, a is orthonormal.
 * Adds to share what the rank has no room for, and the whole. Of T = the sum of ranks, it takes T^2 (N + K + T).
 */
clora_status combine_svd(lowrank_term *out, const weighted_terms *terms, svd_share *share);

#endif
