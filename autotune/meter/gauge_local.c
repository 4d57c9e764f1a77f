#include "meter/gauge.h"

#include <stdlib.h>

static clora_status prepare(void *self, const kernel_row *row, const kernel_key *key, double cold, double *flops,
                            double *bytes) {
    clora_status status = meter_prepare(self, row, key, cold);

    if (status == CLORA_OK)
        meter_cost(self, flops, bytes);
    return status;
}

static clora_status measure(measurement *out, void *self, const int *values, bool check, double limit) {
    return meter_measure(out, self, values, check, limit);
}

static clora_status compare(double *samples, void *self, const int (*values)[KERNEL_PARAMETERS], int count,
                            int rounds) {
    return meter_compare(samples, self, values, count, rounds);
}

static void local_free(void *self) {
    meter_finish(self);
    free(self);
}

clora_status gauge_create_local(gauge *out, clora_context *context) {
    meter *m = malloc(sizeof(*m));

    if (!m)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to measure");
    meter_init(m, context);
    *out = (gauge){m, prepare, measure, compare, local_free};
    return CLORA_OK;
}
