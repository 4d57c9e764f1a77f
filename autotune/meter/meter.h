#ifndef CLORA_AUTOTUNE_METER_METER_H
#define CLORA_AUTOTUNE_METER_METER_H

#include "cases/case.h"
#include "tuning/tuning.h"

/*
 * Measures configurations of one kernel at one key on a context of its own process. A configuration counts only after
 * its results were checked on odd sizes.
 */

/* How a configuration did. Times are those of one run of the operation, in seconds. */
typedef struct measurement {
    bool usable;   /* built, right and timed; else `why` says what was wrong */
    bool is_wrong; /* it ran, and its results are wrong */
    bool was_cut;  /* over twice the limit at its first run: `median` is that run alone */
    double median, minimum, spread;
    int count;
    char why[256];
} measurement;

typedef struct meter {
    clora_context *context;
    double (*clock)(void);                       /* seconds; tests plant their own */
    void (*phase)(void *user, const char *name); /* "compile", "run": what is about to begin; may be NULL */
    void *user;
    const kernel_row *row;
    kernel_key key;
    const op_case **op_of; /* by row of the registry, once it was looked for */
    const op_case *op;
    const kernel_row *forced; /* a choice that is made so that the case launches the kernel; NULL: none */
    op_shape shape;
    case_run *runs; /* the same operation on different memory, so that weights are cold */
    int runs_count, turn;
} meter;

void meter_init(meter *m, clora_context *context);
void meter_finish(meter *m);

/*
 * Lay out the kernel's operation at the key, in as many copies as make `cold` bytes.
 * CLORA_ERROR_UNSUPPORTED when no case launches the kernel at this key.
 */
clora_status meter_prepare(meter *m, const kernel_row *row, const kernel_key *key, double cold);

/* Operations and bytes of one run. */
void meter_cost(const meter *m, double *flops, double *bytes);

/*
 * Build, check when asked to, and time a configuration. What is wrong with a configuration is in `out`, not in the
 * status.
 */
clora_status meter_measure(measurement *out, meter *m, const int *values, bool check, double limit);

/* Time configurations in turns: samples[i * rounds + round] of configuration i. */
clora_status meter_compare(double *samples, meter *m, const int (*values)[KERNEL_PARAMETERS], int count, int rounds);

/* Middle of n values, which are sorted in place; their spread (quarter to three quarters over the median). */
double meter_median(double *values, int n);
double meter_spread(const double *sorted, int n);

#endif
