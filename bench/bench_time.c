#include "operations.h"

#include <stdlib.h>

#include "base/clock.h"

enum { SIDE_BY_SIDE = 16, ROUNDS = 99, MOST_LAUNCHES = 1000 };
static const size_t GROUP_BYTES = (size_t)512 << 20; /* device memory of a group; the host holds three times as much */
static const double SHORTEST = 0.005;                /* seconds between two looks at the clock */

int bench_by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A case on the device, and what was measured of it. */
typedef struct timed_run {
    case_run run;
    bench_item *item;
    int launches; /* between two looks at the clock */
    double seconds[ROUNDS];
} timed_run;

static clora_status launch(timed_run *t, int launches, double *seconds) {
    const double begin = clock_seconds();
    clora_status status = CLORA_OK;

    for (int i = 0; i < launches; i++)
        TRY(t->run.op->launch(&t->run));
    TRY(clora_context_finish(t->run.context));
    *seconds = (clock_seconds() - begin) / launches;
done:
    return status;
}

/* The first launch compiles; the second tells how many make a measurable time. */
static clora_status warm_up(timed_run *t) {
    double seconds;
    clora_status status = CLORA_OK;

    TRY(launch(t, 1, &seconds));
    TRY(launch(t, 1, &seconds));
    t->launches = seconds > SHORTEST                   ? 1
                  : seconds * MOST_LAUNCHES < SHORTEST ? MOST_LAUNCHES
                                                       : (int)(SHORTEST / seconds);
done:
    return status;
}

static clora_status measure_group(timed_run *group, int count, int rounds) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < count; i++)
        TRY(warm_up(&group[i]));
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < count; i++)
            TRY(launch(&group[i], group[i].launches, &group[i].seconds[round]));
    for (int i = 0; i < count; i++) {
        qsort(group[i].seconds, (size_t)rounds, sizeof(double), bench_by_size);
        group[i].item->time = (bench_time){group[i].seconds[0], group[i].seconds[rounds / 2]};
    }
done:
    return status;
}

/* As many of the items as one group takes, at least one. */
static clora_status begin_group(timed_run *group, int *count, clora_context *context, bench_item *item, size_t left) {
    size_t before, now;
    clora_status status = CLORA_OK;

    clora_context_memory(context, &before, NULL);
    now = before;
    for (*count = 0; *count < SIDE_BY_SIDE && (size_t)*count < left && now - before < GROUP_BYTES;) {
        timed_run *t = &group[(*count)++];
        t->item = &item[*count - 1];
        TRY(case_begin(&t->run, context, t->item->op, &t->item->shape, false));
        clora_context_memory(context, &now, NULL);
    }
done:
    return status;
}

clora_status bench_measure(clora_context *context, bench_items *items, int rounds) {
    clora_status status = CLORA_OK;
    int count = 0;
    timed_run *group = calloc(SIDE_BY_SIDE, sizeof(*group));

    if (!group)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to measure");
    rounds = rounds < ROUNDS ? rounds : ROUNDS;
    for (size_t i = 0; i < items->count && status == CLORA_OK; i += (size_t)count) {
        status = begin_group(group, &count, context, &items->item[i], items->count - i);
        if (status == CLORA_OK)
            status = measure_group(group, count, rounds);
        for (int k = 0; k < count; k++)
            case_end(&group[k].run);
    }
    free(group);
    return status;
}
