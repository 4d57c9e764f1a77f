#include "exchange/combine_task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"

static int descending(const void *x, const void *y) {
    const float a = *(const float *)x, b = *(const float *)y;

    return (a < b) - (a > b);
}

/* The k = density n largest magnitudes; of equal ones the first. */
static clora_status keep_largest(float *kept, const float *values, size_t n, double density) {
    const size_t k = (size_t)(density * (double)n);
    float *sorted = alloc_array(n, sizeof(*sorted));
    size_t above = 0;

    if (!sorted)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to combine adapters");
    for (size_t i = 0; i < n; i++)
        sorted[i] = fabsf(values[i]);
    qsort(sorted, n, sizeof(*sorted), descending);
    const float limit = k > 0 ? sorted[k - 1] : INFINITY;
    free(sorted);
    for (size_t i = 0; i < n; i++)
        above += fabsf(values[i]) > limit;
    for (size_t i = 0; i < n; i++) {
        const bool equal = fabsf(values[i]) == limit && above < k;
        above += equal;
        kept[i] = equal || fabsf(values[i]) > limit ? values[i] : 0.0f;
    }
    return CLORA_OK;
}

/* Each value with probability density, divided by it, so that the mean stays. */
static void keep_random(float *kept, const float *values, size_t n, double density, uint64_t seed, uint32_t stream) {
    for (size_t i = 0; i < n; i++)
        kept[i] = (double)rng_uniform(seed, stream, i) < density ? (float)((double)values[i] / density) : 0.0f;
}

static clora_status keep(float *kept, const combine_task *task, int i, const clora_combine_options *options) {
    const bool is_random = options->method == CLORA_COMBINE_DARE || options->method == CLORA_COMBINE_DARE_TIES;

    if (options->method == CLORA_COMBINE_SUM || options->density >= 1) {
        memcpy(kept, task->values[i], task->n * sizeof(*kept));
        return CLORA_OK;
    }
    if (!is_random)
        return keep_largest(kept, task->values[i], task->n, options->density);
    keep_random(kept, task->values[i], task->n, options->density, options->seed, task->stream + (uint32_t)i);
    return CLORA_OK;
}

static void add_up(float *out, const combine_task *task) {
    for (size_t e = 0; e < task->n; e++) {
        double sum = 0;
        for (int i = 0; i < task->count; i++)
            sum += task->weight[i] * (double)task->kept[(size_t)i * task->n + e];
        out[e] = (float)sum;
    }
}

static int sign(double x) {
    return (x > 0) - (x < 0);
}

/* The weighted mean of the values that have the sign of their sum, or of most; a tie is positive. */
static void elect(float *out, const combine_task *task, bool frequency) {
    for (size_t e = 0; e < task->n; e++) {
        double votes = 0, sum = 0;
        int agree = 0;
        for (int i = 0; i < task->count; i++) {
            const double x = (double)task->kept[(size_t)i * task->n + e];
            votes += frequency ? sign(x) : x;
        }
        for (int i = 0; i < task->count; i++) {
            const double x = (double)task->kept[(size_t)i * task->n + e];
            if (sign(x) != (votes >= 0 ? 1 : -1))
                continue;
            sum += task->weight[i] * x;
            agree++;
        }
        out[e] = (float)(sum / (agree > 0 ? agree : 1));
    }
}

clora_status combine_task_run(float *out, const combine_task *task, const clora_combine_options *options) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < task->count; i++)
        TRY(keep(task->kept + (size_t)i * task->n, task, i, options));
    if (options->method == CLORA_COMBINE_TIES || options->method == CLORA_COMBINE_DARE_TIES)
        elect(out, task, options->majority == CLORA_MAJORITY_FREQUENCY);
    else
        add_up(out, task);
done:
    return status;
}
