#ifndef CLORA_AUTOTUNE_SEARCH_SEARCH_H
#define CLORA_AUTOTUNE_SEARCH_SEARCH_H

#include "device/kernels.h"

/*
 * The search for the fastest configuration of one kernel at one key: coordinate descent from the best seed, then what a
 * model of the times so far promises most of. A pure function of the times it is told and of its seed.
 */

enum { SEARCH_VALUES = 9 };

/* What each parameter may be. */
typedef struct search_space {
    int dims;
    int count[KERNEL_PARAMETERS];
    int value[KERNEL_PARAMETERS][SEARCH_VALUES];
} search_space;

/* All values of a row at a key on this device, the default among them. */
void search_space_of(search_space *out, const clora_context *context, const kernel_row *row, const kernel_key *key);
double search_space_size(const search_space *space);

typedef struct search {
    const search_space *space;
    /* The time of a configuration; infinite when it cannot be used. What is over twice `best` may be cut short. */
    double (*evaluate)(void *user, const int *values, double best);
    bool (*may_go_on)(void *user); /* asked before every evaluation */
    void *user;
    const int (*seeds)[KERNEL_PARAMETERS]; /* the first is the default */
    int seeds_count;
    bool is_cheap[KERNEL_PARAMETERS]; /* parameters whose change compiles nothing: searched first */
    int most;                         /* evaluations; 0: no limit */
    int patience;                     /* proposals of the surrogate in a row that may bring nothing; 0: none is made */
    bool full;                        /* every configuration */
    uint64_t seed;
} search;

enum { SEARCH_BEST = 3 };

typedef struct search_result {
    int count; /* of best, the fastest first */
    int best[SEARCH_BEST][KERNEL_PARAMETERS];
    double time[SEARCH_BEST];
    int evaluations;
} search_result;

clora_status search_run(search_result *out, const search *s);

#endif
