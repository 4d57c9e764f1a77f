#include "meter/meter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/ints.h"
#include "tuning/recorder.h"
#include "tuning/table.h"

enum { MOST_COPIES = 16, MOST_LAUNCHES = 4096, GROUPS = 25, LEAST_GROUPS = 3, FIRST_RUNS = 3 };

static const double group_seconds = 1e-3, enough_seconds = 0.04;

void meter_init(meter *m, clora_context *context) {
    *m = (meter){.context = context, .clock = clock_seconds};
}

static void end_runs(meter *m) {
    for (int i = 0; i < m->runs_count; i++)
        case_end(&m->runs[i]);
    free(m->runs);
    m->runs = NULL;
    m->runs_count = m->turn = 0;
}

/* End with what meter_prepare made. */
static void end_case(meter *m) {
    end_runs(m);
    if (m->forced)
        tuning_force(m->context, m->forced, NULL);
    m->forced = NULL;
}

void meter_finish(meter *m) {
    end_case(m);
    free(m->op_of);
}

/* ---- which case, at which shape ---- */

static int at_least_one(int n) {
    return n > 0 ? n : 1;
}

/* The key in the letters of every case: each reads those it knows. */
static op_shape shape_at(const kernel_key *k) {
    enum { GROUPS_OF_HEADS = 4 };
    const int M = at_least_one(k->M), N = at_least_one(k->N), K = at_least_one(k->K);

    return (op_shape){.dtype = (clora_storage)k->dtype,
                      .M = M,
                      .N = N,
                      .K = K,
                      .R = k->R,
                      .B = 1,
                      .T = M,
                      .S = N > M ? N : M,
                      .G = k->R ? GROUPS_OF_HEADS : 1,
                      .H = k->R ? GROUPS_OF_HEADS * k->R : 1,
                      .D = K,
                      .V = N};
}

/* Odd sizes of the same kind: not multiples of anything, and small enough for the reference. */
static op_shape odd_shape(const op_shape *s, int which) {
    static const int rows[] = {67, 129}, columns[] = {131, 65}, depths[] = {257, 67};
    op_shape odd = *s;

    odd.M = least(s->M, rows[which]);
    odd.T = least(s->T, rows[which]);
    odd.S = s->S == s->T ? odd.T : odd.T + least(s->S - s->T, columns[which]);
    odd.N = least(s->N, columns[which]);
    odd.V = least(s->V, 1021);
    odd.K = least(s->K, depths[which]);
    odd.pad = which == 0 ? 3 : 0;
    return odd;
}

/* What a case launches at a shape, without running it. */
static clora_status trace(recorder *notes, clora_context *context, const op_case *op, const op_shape *shape) {
    case_run run;
    clora_status status = CLORA_OK;

    *notes = (recorder){.tracing = true};
    recorder *before = recorder_attach(context, notes);
    TRY(case_begin(&run, context, op, shape, false));
    TRY(op->launch(&run));
done:
    case_end(&run);
    recorder_attach(context, before);
    return status;
}

/* For each kernel the case that launches it beside the fewest others, at any of its shapes. */
static clora_status find_cases(meter *m) {
    size_t *fewest = alloc_array(kernel_rows_count, sizeof(*fewest));

    m->op_of = alloc_array(kernel_rows_count, sizeof(*m->op_of));
    if (!m->op_of || !fewest) {
        free(fewest);
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to measure");
    }
    for (size_t c = 0; c < case_count(); c++) {
        const op_case *op = case_at(c);
        for (size_t i = 0; i < op->shapes_count; i++) {
            recorder notes;
            if (trace(&notes, m->context, op, &op->shapes[i]) == CLORA_OK)
                for (size_t n = 0; n < notes.count; n++) {
                    const size_t row = (size_t)(notes.list[n].build.row - kernel_rows);
                    if (!m->op_of[row] || notes.count < fewest[row]) {
                        m->op_of[row] = op;
                        fewest[row] = notes.count;
                    }
                }
            recorder_finish(&notes);
        }
    }
    free(fewest);
    return CLORA_OK;
}

/* Copies that make `cold` bytes, by what a run reads or by what it holds: a look-up reads a few rows of a
 * whole table. */
static int copies(const meter *m, double cold, size_t held) {
    const double bytes = fmax(m->op->bytes(&m->shape), (double)held), wanted = bytes > 0.0 ? ceil(cold / bytes) : 1.0;
    return wanted < 1.0 ? 1 : wanted > MOST_COPIES ? MOST_COPIES : (int)wanted;
}

static size_t device_memory(const meter *m) {
    size_t used = 0;

    clora_context_memory(m->context, &used, NULL);
    return used;
}

static clora_status begin_runs(meter *m, double cold) {
    const size_t before = device_memory(m);
    int wanted = 1;
    clora_status status = CLORA_OK;

    m->runs = alloc_array(MOST_COPIES, sizeof(*m->runs));
    if (!m->runs)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to measure");
    while (m->runs_count < wanted) {
        status = case_begin(&m->runs[m->runs_count], m->context, m->op, &m->shape, false);
        m->runs_count++; /* what was begun must be ended */
        if (status == CLORA_ERROR_MEMORY && m->runs_count > 1) {
            case_end(&m->runs[--m->runs_count]);
            return CLORA_OK; /* as many as the device holds */
        }
        TRY(status);
        if (m->runs_count == 1)
            wanted = copies(m, cold, device_memory(m) - before);
    }
done:
    return status;
}

/* The case and its shape for the kernel at the key. A product of factors alone, without W0, has no K: it is the case
 * whose columns are the key's N. */
static void choose_case(meter *m) {
    const kernel_key *k = &m->key;

    m->op = m->op_of[m->row - kernel_rows];
    m->shape = shape_at(k);
    if (k->N > 0 && k->R > 0 && k->K == 0) {
        m->op = case_find("lowrank_dx");
        m->shape.K = k->N;
        m->shape.N = 1;
    }
}

static clora_status launches_kernel(bool *out, const meter *m) {
    recorder notes = {.tracing = true};
    recorder *before = recorder_attach(m->context, &notes);
    const clora_status status = m->op->launch(&m->runs[0]);

    *out = status == CLORA_OK && recorder_find(&notes, m->row, &m->key);
    recorder_attach(m->context, before);
    recorder_finish(&notes);
    return status;
}

/* A kernel that the default of a choice leaves aside at this key, such as that of many rows for one, is launched when
 * the choice is another. */
static bool find_choice(meter *m) {
    for (size_t i = 0; i < kernel_rows_count; i++) {
        const kernel_parameter *choice = &kernel_rows[i].parameters[0];
        const kernel_at at = tuning_at(m->context, &kernel_rows[i], &m->key);
        for (size_t v = 0; !kernel_rows[i].source && v < KERNEL_VALUES && choice->values[v]; v++) {
            const int values[KERNEL_PARAMETERS] = {choice->values[v]};
            bool launches;
            m->forced = &kernel_rows[i];
            if (kernel_tries(&at, choice, choice->values[v]) &&
                tuning_force(m->context, m->forced, values) == CLORA_OK && launches_kernel(&launches, m) == CLORA_OK &&
                launches)
                return true;
            tuning_force(m->context, m->forced, NULL);
        }
    }
    m->forced = NULL;
    return false;
}

clora_status meter_prepare(meter *m, const kernel_row *row, const kernel_key *key, double cold) {
    clora_status status = CLORA_OK;
    bool launches;

    end_case(m);
    if (!m->op_of)
        TRY(find_cases(m));
    m->row = row;
    m->key = *key;
    m->key.M = tuning_bucket(key->M);
    choose_case(m);
    if (!m->op)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "nothing launches the kernel %s here", row->name);
    TRY(begin_runs(m, cold));
    TRY(launches_kernel(&launches, m));
    if (!launches && !find_choice(m))
        status =
            clora_fail(CLORA_ERROR_UNSUPPORTED, "%s does not launch the kernel %s at this key", m->op->name, row->name);
done:
    return status;
}

void meter_cost(const meter *m, double *flops, double *bytes) {
    *flops = m->op->flops(&m->shape);
    *bytes = m->op->bytes(&m->shape);
}

/* ---- one configuration ---- */

static void begin_phase(const meter *m, const char *name) {
    if (m->phase)
        m->phase(m->user, name);
}

/* Between guards, before it runs anywhere else. Sets *wrong when it ran and did not do what it should. */
static clora_status check_odd_sizes(meter *m, bool *wrong) {
    clora_status status = CLORA_OK;
    int checked = 0;

    for (int which = 0; which < 2; which++) {
        const op_shape shape = odd_shape(&m->shape, which);
        recorder notes;
        case_run run;
        const clora_status traced = trace(&notes, m->context, m->op, &shape);
        const bool launches = traced == CLORA_OK && recorder_find(&notes, m->row, NULL);
        recorder_finish(&notes);
        if (!launches)
            continue;
        status = case_begin(&run, m->context, m->op, &shape, true);
        if (status == CLORA_OK)
            status = m->op->launch(&run); /* does it build? */
        if (status == CLORA_OK) {
            status = case_check(&run);
            *wrong = status != CLORA_OK;
        }
        case_end(&run);
        TRY(status);
        checked++;
    }
    if (!checked)
        status = clora_fail(CLORA_ERROR_UNSUPPORTED, "no odd size runs %s with these values", m->row->name);
done:
    return status;
}

static clora_status launch_once(meter *m) {
    return m->op->launch(&m->runs[m->turn++ % m->runs_count]);
}

/* The first launch builds the kernel, and must be of the kernel and key that are measured. */
static clora_status warm_up(meter *m) {
    recorder notes = {0};
    clora_status status = CLORA_OK;
    recorder *before = recorder_attach(m->context, &notes);

    TRY(launch_once(m));
    TRY(clora_context_finish(m->context));
    if (!recorder_find(&notes, m->row, &m->key))
        status = clora_fail(CLORA_ERROR_UNSUPPORTED, "%s is not used with these values", m->row->name);
done:
    recorder_attach(m->context, before);
    recorder_finish(&notes);
    return status;
}

/* Seconds of one launch, from a group of n. */
static clora_status time_group(double *out, meter *m, int n) {
    clora_status status = CLORA_OK;
    const double start = m->clock();

    for (int i = 0; i < n; i++)
        TRY(launch_once(m));
    TRY(clora_context_finish(m->context));
    *out = (m->clock() - start) / n;
    if (!(*out > 0.0))
        status = clora_fail(CLORA_ERROR_OPENCL, "the clock stood still over %d runs", n);
done:
    return status;
}

static int group_size(double seconds) {
    const double n = ceil(group_seconds / seconds);
    return n < 1.0 ? 1 : n > MOST_LAUNCHES ? MOST_LAUNCHES : (int)n;
}

/* Launches that take at least a millisecond even when nothing disturbs them. */
static clora_status find_group_size(int *n, meter *m, double once) {
    clora_status status = CLORA_OK;

    for (*n = group_size(once); *n < MOST_LAUNCHES;) {
        TRY(time_group(&once, m, *n));
        if (once * *n >= group_seconds)
            break;
        *n = 2 * *n > group_size(once) ? 2 * *n : group_size(once);
        *n = *n > MOST_LAUNCHES ? MOST_LAUNCHES : *n;
    }
done:
    return status;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

double meter_median(double *values, int n) {
    qsort(values, (size_t)n, sizeof(*values), by_size);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2.0;
}

double meter_spread(const double *sorted, int n) {
    return (sorted[n * 3 / 4 < n ? n * 3 / 4 : n - 1] - sorted[n / 4]) / sorted[n / 2];
}

static clora_status time_it(measurement *out, meter *m, double limit) {
    double sample[GROUPS], first = 0.0, sum = 0.0;
    clora_status status = CLORA_OK;

    for (int i = 0; i < FIRST_RUNS && (i == 0 || (limit > 0.0 && first > 2.0 * limit)); i++) {
        TRY(time_group(&sample[i], m, 1)); /* one slow moment is no reason to give up */
        first = i == 0 || sample[i] < first ? sample[i] : first;
    }
    *out = (measurement){.usable = true, .median = first, .minimum = first, .count = 1, .was_cut = true};
    if (limit > 0.0 && first > 2.0 * limit)
        return CLORA_OK;
    int n;
    TRY(find_group_size(&n, m, first));
    out->was_cut = false;
    out->count = 0;
    while (out->count < GROUPS && (out->count < LEAST_GROUPS || sum < enough_seconds)) {
        TRY(time_group(&sample[out->count], m, n));
        sum += sample[out->count++] * n;
    }
    out->median = meter_median(sample, out->count);
    out->minimum = sample[0];
    out->spread = meter_spread(sample, out->count);
done:
    return status;
}

clora_status meter_measure(measurement *out, meter *m, const int *values, bool check, double limit) {
    clora_status status = CLORA_OK;
    bool wrong = false;

    *out = (measurement){0};
    TRY(tuning_force(m->context, m->row, values));
    begin_phase(m, "compile");
    status = check ? check_odd_sizes(m, &wrong) : CLORA_OK;
    if (status == CLORA_OK)
        status = warm_up(m);
    if (status == CLORA_OK) {
        begin_phase(m, "run");
        status = time_it(out, m, limit);
    }
    if (status != CLORA_OK) {
        *out = (measurement){.is_wrong = wrong};
        snprintf(out->why, sizeof(out->why), "%.*s", (int)strcspn(clora_last_error(), "\n"), clora_last_error());
        status = CLORA_OK;
    }
    TRY(tuning_force(m->context, m->row, NULL));
done:
    return status;
}

/* Launches in the groups of a comparison: alike for all, so that what a group costs beside them hits all alike. */
static clora_status common_group_size(int *n, meter *m, const int (*values)[KERNEL_PARAMETERS], int count) {
    clora_status status = CLORA_OK;

    *n = 1;
    for (int i = 0; i < count; i++) {
        double once;
        int own;
        TRY(tuning_force(m->context, m->row, values[i]));
        TRY(time_group(&once, m, 1)); /* builds and warms */
        TRY(time_group(&once, m, 1));
        TRY(find_group_size(&own, m, once));
        *n = own > *n ? own : *n;
    }
done:
    return status;
}

clora_status meter_compare(double *samples, meter *m, const int (*values)[KERNEL_PARAMETERS], int count, int rounds) {
    clora_status status = CLORA_OK;
    int n;

    begin_phase(m, "run");
    TRY(common_group_size(&n, m, values, count));
    for (int round = 0; round < rounds; round++)
        for (int turn = 0; turn < count; turn++) {
            const int i = round % 2 ? count - 1 - turn : turn; /* there and back, so that a drift hits all alike */
            TRY(tuning_force(m->context, m->row, values[i]));
            TRY(time_group(&samples[i * rounds + round], m, n));
        }
done:
    tuning_force(m->context, m->row, NULL);
    return status;
}
