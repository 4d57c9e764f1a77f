#include "search/tuner.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/c_locale.h"
#include "base/clock.h"
#include "device/program.h"
#include "search/verdict.h"
#include "tuning/store.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

enum { ANCHOR_EVERY = 4, FAILURES = 3, PATIENCE = 24, LEAST_ROUNDS = 5, MOST_ROUNDS = 41 };

static bool is_stopped(const tuner *t) {
    return t->result->stop || t->status != CLORA_OK;
}

/* Show what goes on; the answer may stop the run. `is_event`: worth keeping. */
static void __attribute__((format(printf, 3, 4))) tell(tuner *t, bool is_event, const char *format, ...) {
    char text[512];
    va_list args;

    if (!t->options.progress)
        return;
    va_start(args, format);
    c_locale_format(text, sizeof(text), format, args);
    va_end(args);
    const clora_tune_state state = {.text = text,
                                    .is_event = is_event,
                                    .task = t->number,
                                    .tasks = t->result->tasks,
                                    .measured = t->result->measured,
                                    .best = isfinite(t->best) ? t->best : 0.0,
                                    .elapsed = clock_seconds() - t->start,
                                    .budget = t->options.full ? 0.0 : t->options.budget};
    if (t->options.progress(t->options.user, &state) && !t->result->stop)
        t->result->stop = CLORA_STOP_CANCELLED;
}

/* A worker that was lost: the configuration is poison, and three in a row are enough. */
static void lost(tuner *t, const int *values) {
    const char *why = clora_last_error();

    t->result->failed++;
    tell(t, true, "%s: %s: %s", tuning_key_text(t->task->row, &t->task->key), tuning_values_text(t->task->row, values),
         why);
    if (is_stopped(t))
        return; /* Ctrl-C came first: not the configuration's fault */
    t->status = journal_poison(t->journal, t->task->row, &t->task->key, values, why);
    if (++t->failures >= FAILURES && t->status == CLORA_OK)
        t->result->stop = CLORA_STOP_FAILED;
}

/* Time the default again: speeds drift, ratios do not. */
static void time_anchor(tuner *t) {
    measurement m;
    const clora_status status = t->gauge.measure(&m, t->gauge.self, t->standard, false, 0.0);

    t->since_anchor = 0;
    if (status == CLORA_ERROR_IO)
        lost(t, t->standard);
    else if (status != CLORA_OK)
        t->status = status;
    else if (m.usable)
        t->anchor = m.minimum;
}

static bool is_standard(const tuner *t, const int *values) {
    return memcmp(values, t->standard, sizeof(t->standard)) == 0;
}

/* Run a configuration in the worker; its time over that of the default. */
static double measure(tuner *t, const int *values, double best) {
    measurement m;
    double ratio = INFINITY;

    t->status = journal_about(t->journal, t->task->row, &t->task->key, values);
    if (is_stopped(t))
        return INFINITY;
    const clora_status status =
        t->gauge.measure(&m, t->gauge.self, values, true, isfinite(best) && t->anchor > 0.0 ? best * t->anchor : 0.0);
    if (status == CLORA_ERROR_IO) {
        lost(t, values);
        return INFINITY;
    }
    t->failures = 0;
    t->result->measured++;
    if (status != CLORA_OK) {
        t->status = status;
        return INFINITY;
    }
    if (m.usable && is_standard(t, values))
        t->anchor = m.minimum;
    if (m.usable && t->anchor > 0.0)
        ratio = m.minimum / t->anchor; /* the shortest: what else the machine does only adds */
    else if (m.usable)
        m.usable = false;
    if (m.is_wrong) {
        t->result->failed++;
        tell(t, true, "%s: %s: %s", tuning_key_text(t->task->row, &t->task->key),
             tuning_values_text(t->task->row, values), m.why);
    }
    t->status = journal_result(t->journal, t->task->row, &t->task->key, values, ratio, &m);
    return ratio;
}

static double evaluate(void *user, const int *values, double best) {
    tuner *t = user;
    const journal_record known = journal_find(t->journal, t->task->row, &t->task->key, values);

    if (known.is_poison && !is_standard(t, values))
        return INFINITY;
    if (known.is_measured && !is_standard(t, values))
        return known.ratio;
    if (t->since_anchor++ >= ANCHOR_EVERY && t->anchor > 0.0)
        time_anchor(t);
    if (is_stopped(t))
        return INFINITY;
    const double ratio = measure(t, values, best);
    t->best = ratio < t->best ? ratio : t->best;
    tell(t, false, "%s", tuning_key_text(t->task->row, &t->task->key));
    return ratio;
}

static bool may_go_on(void *user) {
    tuner *t = user;
    return !is_stopped(t) && clock_seconds() < t->task_end;
}

/* Seeds: the default, then what the table has for this key or one nearby. */
static int collect_seeds(tuner *t, int (*seeds)[KERNEL_PARAMETERS]) {
    tuning_entry found;

    memcpy(seeds[0], t->standard, sizeof(seeds[0]));
    if (tuning_resolve(&found, t->context, t->task->row->name, &t->task->key) != CLORA_OK ||
        is_standard(t, found.values))
        return 1;
    memcpy(seeds[1], found.values, sizeof(seeds[1]));
    return 2;
}

/* The fastest of the search against the default, in turns. */
static clora_status play_off(tuner *t, const search_result *found, verdict *v, int (*values)[KERNEL_PARAMETERS],
                             int *rounds) {
    const double share = 0.5; /* seconds */
    double samples[(SEARCH_BEST + 1) * MOST_ROUNDS];
    int count = 1;
    clora_status status = CLORA_OK;

    memcpy(values[0], t->standard, sizeof(values[0]));
    for (int i = 0; i < found->count; i++)
        if (!is_standard(t, found->best[i]) && found->time[i] < 1.0)
            memcpy(values[count++], found->best[i], sizeof(values[0]));
    const double once = count * fmax(2e-3, 2.0 * t->anchor);
    *rounds = count == 1                    ? LEAST_ROUNDS /* to know its speed */
              : share / once > MOST_ROUNDS  ? MOST_ROUNDS
              : share / once < LEAST_ROUNDS ? LEAST_ROUNDS
                                            : (int)(share / once);
    TRY(t->gauge.compare(samples, t->gauge.self, (const int(*)[KERNEL_PARAMETERS])values, count, *rounds));
    *v = verdict_of(samples, count, *rounds);
done:
    return status;
}

static void keep(tuner *t, const verdict *v, const int *values, int rounds) {
    tuning_entry row = {.row = t->task->row, .key = t->task->key, .source = CLORA_TUNE_SOURCE_EXACT};
    const time_t now = time(NULL);
    clora_tune_entry entry;
    struct tm utc;

    memcpy(row.values, values, sizeof(row.values));
    tuning_entry_fill(&entry, &row);
    entry.seconds = v->median;
    entry.minimum = v->minimum;
    entry.spread = v->spread;
    entry.count = rounds;
    entry.default_seconds = v->default_median;
    entry.flops = t->flops;
    entry.bytes = t->bytes;
    strftime(entry.date, sizeof(entry.date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    t->status = tuning_store_save(t->context, &entry);
    if (t->status == CLORA_OK)
        t->status = tuning_add(t->context, &row);
    t->result->done++;
    t->result->improved += v->winner != 0;
    t->result->before += t->task->launches * v->default_median;
    t->result->after += t->task->launches * v->median;
}

static void settle(tuner *t, const search_result *found) {
    int values[SEARCH_BEST + 1][KERNEL_PARAMETERS] = {{0}}, rounds = 0;
    verdict v;

    if (found->count == 0)
        return; /* not even the default could be timed */
    const clora_status status = play_off(t, found, &v, values, &rounds);
    if (status == CLORA_ERROR_IO)
        lost(t, values[0]);
    else if (status != CLORA_OK)
        tell(t, true, "%s: %s", tuning_key_text(t->task->row, &t->task->key), clora_last_error());
    else
        keep(t, &v, values[v.winner], rounds);
}

void tuner_do_task(tuner *t, const tune_task *task, double seconds) {
    int seeds[2][KERNEL_PARAMETERS];
    search_space space;
    search_result found;

    t->task = task;
    t->anchor = 0.0;
    t->best = INFINITY;
    t->since_anchor = 0;
    const kernel_at at = tuning_at(t->context, task->row, &task->key);
    kernel_defaults(t->standard, &at, task->row);
    tell(t, false, "%s", tuning_key_text(task->row, &task->key));
    const clora_status status = t->gauge.prepare(t->gauge.self, task->row, &task->key, t->cold, &t->flops, &t->bytes);
    if (status == CLORA_ERROR_IO)
        lost(t, t->standard);
    if (status != CLORA_OK || is_stopped(t))
        return;
    t->task_end = fmin(clock_seconds() + seconds, t->deadline); /* laying out a large table leaves time to measure it */
    search_space_of(&space, t->context, task->row, &task->key);
    search s = {.space = &space,
                .evaluate = evaluate,
                .may_go_on = may_go_on,
                .user = t,
                .seeds = (const int(*)[KERNEL_PARAMETERS])seeds,
                .seeds_count = collect_seeds(t, seeds),
                .patience = PATIENCE,
                .full = t->options.full};
    for (int d = 0; d < space.dims; d++)
        s.is_cheap[d] = task->row->parameters[d].effect == LAUNCHED;
    const clora_status searched = search_run(&found, &s);
    if (t->status == CLORA_OK)
        t->status = searched;
    if (t->status == CLORA_OK && t->result->stop != CLORA_STOP_CANCELLED)
        settle(t, &found);
}
