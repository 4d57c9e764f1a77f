#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ui/interrupt.h"
#include "cli/ui/json_out.h"
#include "cli/options/opt.h"
#include "cli/ui/page.h"
#include "cli/ui/progress.h"
#include "cli/ui/text.h"
#include "cli/tune/cmd_tune.h"

enum { TENTHS = 10 };

typedef struct view {
    const cli_state *cli;
    progress bar;
    double last_line;
    double earlier; /* seconds of what was measured before this run */
} view;

const char *tune_key_text(const clora_tune_key *k) {
    static char ring[4][128];
    static int next;
    char *text = ring[next = (next + 1) % 4];
    const struct {
        const char *name;
        int value;
    } sizes[] = {{"M", k->M}, {"N", k->N}, {"K", k->K}, {"R", k->R}};
    int used = snprintf(text, sizeof(ring[0]), "%s", clora_storage_name((clora_storage)k->dtype));

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (sizes[i].value)
            used += snprintf(text + used, sizeof(ring[0]) - (size_t)used, " %s %d", sizes[i].name, sizes[i].value);
    return text;
}

static void say_in_a_line(const clora_tune_state *s, double elapsed, const char *label) {
    char line[512];

    snprintf(line, sizeof(line), "%s elapsed, %s, %s", text_duration(elapsed),
             text_amount(s->measured, "configuration", "configurations"), label);
    fprintf(stderr, "%.*s\n", page_fields(line, page_width(stderr)), line);
}

/* A bar on a terminal, a line now and then elsewhere, and every event as a line. */
static int show(void *user, const clora_tune_state *s) {
    view *v = user;
    char label[256];
    const double elapsed = v->earlier + s->elapsed;

    if (s->is_event)
        cli_note(v->cli, "%s", s->text);
    snprintf(label, sizeof(label), "shape %d of %d  %s%s%s", s->task, s->tasks, s->text,
             s->best > 0.0 && s->best < 1.0 ? "  best in " : "",
             s->best > 0.0 && s->best < 1.0 ? text_percent(s->best, 1.0) : "");
    if (s->budget > 0.0)
        progress_update(&v->bar, (int64_t)(elapsed * TENTHS), s->is_event ? NULL : label);
    if (!v->bar.shown && !v->cli->quiet && !s->is_event && progress_is_due(&v->last_line, 5.0))
        say_in_a_line(s, elapsed, label);
    return interrupt_seen();
}

/* "90", "90s", "3m", "1h" */
static bool read_seconds(double *out, const char *text) {
    char *end;

    *out = strtod(text, &end);
    const double unit = *end == 'm' ? 60.0 : *end == 'h' ? 3600.0 : 1.0;
    if (end == text || (*end && (end[1] || !strchr("smh", *end))))
        return false;
    *out *= unit;
    return *out >= 0.0 && *out < 1e9;
}

static void print_result(FILE *out, const clora_tune_result *r, const char *directory) {
    if (r->found_before == r->tasks) {
        fprintf(out, "nothing to measure: all %d shapes have entries in %s\n", r->tasks, directory);
        return;
    }
    fprintf(out, "measured   %s of %s in %s, %d of them unusable\n",
            text_amount(r->measured, "configuration", "configurations"),
            text_amount(r->tasks - r->found_before, "shape", "shapes"), text_duration(r->seconds), r->failed);
    if (r->improved == 0)
        fprintf(out, "gain       none: the defaults are the fastest of what was measured\n");
    else
        fprintf(out, "gain       %s; kernels take %s ms a step there instead of %s ms (%.2f times)\n",
                text_amount(r->improved, "shape is faster", "shapes are faster"), text_number(r->after * 1e3),
                text_number(r->before * 1e3), r->before / r->after);
    if (r->done < r->tasks)
        fprintf(out, "to do      %s not measured yet, which use the nearest shape's settings: run it again to go on\n",
                text_amount(r->tasks - r->done, "shape is", "shapes are"));
    fprintf(out, "kept in    %s\n", directory);
}

static int report(const cli_state *cli, clora_context *context, const clora_tune_result *r) {
    const char *directory = clora_tune_directory(context);

    if (cli->json)
        json_print(cli,
                   json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:s}", "shapes", r->tasks, "done", r->done,
                             "found_before", r->found_before, "improved", r->improved, "measured", r->measured,
                             "unusable", r->failed, "seconds", json_number(r->seconds), "before_seconds",
                             json_number(r->before), "after_seconds", json_number(r->after), "directory", directory));
    else {
        page lines;
        print_result(page_begin(&lines, stdout, 11), r, directory);
        page_end(&lines);
    }
    if (r->stop == CLORA_STOP_CANCELLED) {
        cli_fail(cli, "interrupted; what was found is kept: run it again to go on");
        return interrupt_status();
    }
    if (r->stop == CLORA_STOP_FAILED)
        return cli_fail(cli, "stopped: three configurations in a row crashed or hung; is the device all right?");
    return CLI_DONE;
}

int tune_worker_find(tune_worker_command *out, const cli_state *cli) {
    const ssize_t length = readlink("/proc/self/exe", out->path, sizeof(out->path) - 1);

    if (length <= 0)
        return cli_fail(cli, "cannot tell where this program lies");
    out->path[length] = '\0';
    out->words[0] = out->path;
    out->words[1] = "tune";
    out->words[2] = "--worker";
    out->words[3] = cli->device ? cli->device : "";
    out->words[4] = NULL;
    return CLI_DONE;
}

/* Whatever is still to measure when the plan is made anew. */
static int left_to_do(clora_tune_plan *plan) {
    int left = 0;

    for (int i = 0; i < clora_tune_plan_count(plan); i++)
        left += !clora_tune_plan_task(plan, i)->is_done;
    return left;
}

static void add_result(clora_tune_result *sum, const clora_tune_result *r) {
    sum->tasks = r->tasks;
    sum->done = r->done;
    sum->improved += r->improved;
    sum->measured += r->measured;
    sum->failed += r->failed;
    sum->seconds += r->seconds;
    sum->before += r->before;
    sum->after += r->after;
    sum->stop = r->stop;
}

/* A choice between kernels may bring shapes that its default did not have: they are measured as well, in what is left
 * of the budget. */
static int measure_what_follows(clora_tune_result *result, const cli_state *cli, clora_context *context,
                                const tune_args *args, clora_tune_options options) {
    enum { ROUNDS = 3 };
    const double budget = options.budget;
    int status = CLI_DONE;

    options.again = 0;
    for (int i = 0; i < ROUNDS && status == CLI_DONE && !result->stop; i++) {
        clora_tune_plan *plan = NULL;
        clora_tune_result more = CLORA_TUNE_RESULT_INIT;
        options.budget = budget > result->seconds ? budget - result->seconds : 0.0;
        status = clora_tune_plan_create(&plan, context) == CLORA_OK ? tune_fill_plan(cli, plan, args)
                                                                    : cli_fail_library(cli);
        const bool is_left = status == CLI_DONE && left_to_do(plan) > result->tasks - result->done;
        ((view *)options.user)->earlier = result->seconds;
        if (is_left && !cli_went(clora_tune_run(&more, plan, &options)))
            status = cli_fail_library(cli);
        clora_tune_plan_free(plan);
        if (!is_left)
            break;
        if (status == CLI_DONE)
            add_result(result, &more);
    }
    return status;
}

int tune_measure(cli_state *cli, clora_context *context, clora_tune_plan *plan, const tune_args *args) {
    tune_worker_command worker;
    clora_tune_options options = CLORA_TUNE_OPTIONS_INIT;
    clora_tune_result result = CLORA_TUNE_RESULT_INIT;
    view v = {.cli = cli, .last_line = progress_clock()};

    if (!read_seconds(&options.budget, args->budget))
        return cli_misuse(cli, "--budget takes a time such as 90, 90s or 3m, not '%s'", args->budget);
    const int found = tune_worker_find(&worker, cli);
    if (found != CLI_DONE)
        return found;
    options.full = args->full;
    options.again = args->again;
    options.limit = args->limit;
    options.worker = worker.words;
    options.progress = show;
    options.user = &v;
    interrupt_watch("\nclora tune: stopping; what was found is kept (once more: end at once)\n");
    progress_begin(&v.bar, (int64_t)(options.budget * TENTHS), 0, cli->quiet || args->full);
    v.bar.uncounted = true;
    progress_update(&v.bar, 0, "starting");
    int status = cli_went(clora_tune_run(&result, plan, &options)) ? CLI_DONE : cli_fail_library(cli);
    if (status == CLI_DONE && result.measured > 0)
        status = measure_what_follows(&result, cli, context, args, options);
    progress_end(&v.bar);
    return status == CLI_DONE ? report(cli, context, &result) : status;
}

static void print_task(const clora_tune_task *t) {
    page lines;
    FILE *out = page_begin(&lines, stdout, 4);

    fprintf(out, "%s %s: %s, %s%s\n", t->key.kernel, tune_key_text(&t->key),
            text_amount((int64_t)t->launches, "launch", "launches"),
            text_amount(t->configurations, "configuration", "configurations"), t->is_done ? ", done" : "");
    page_end(&lines);
}

/* How long it would take. */
static void print_effort(int left, int count, double configurations) {
    page lines;
    FILE *out = page_begin(&lines, stdout, 4);

    fprintf(out, "%d of %d shapes to measure: some %s in the budget, %s with --full (%s)\n", left, count,
            text_duration(left * 1.5), text_duration(configurations * 0.3),
            text_amount((int64_t)configurations, "configuration", "configurations"));
    page_end(&lines);
}

int tune_list(const cli_state *cli, clora_tune_plan *plan) {
    const int count = clora_tune_plan_count(plan);
    json_t *list = cli->json ? json_array() : NULL;
    double configurations = 0.0;
    int left = 0;

    for (int i = 0; i < count; i++) {
        const clora_tune_task *t = clora_tune_plan_task(plan, i);
        if (cli->json)
            json_push(&list,
                      json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:i, s:b}", "kernel", t->key.kernel, "key",
                                tune_key_text(&t->key), "M", t->key.M, "N", t->key.N, "K", t->key.K, "R", t->key.R,
                                "launches", t->launches, "configurations", t->configurations, "done", t->is_done));
        else
            print_task(t);
        left += !t->is_done;
        configurations += t->is_done ? 0 : t->configurations;
    }
    if (cli->json)
        return json_print(cli, list);
    print_effort(left, count, configurations);
    return CLI_DONE;
}

int tune_run_worker(cli_state *cli, int argc, char **argv) {
    const char *device = argc > 1 && *argv[1] ? argv[1] : NULL;
    return clora_tune_worker(device, STDIN_FILENO, STDOUT_FILENO) == CLORA_OK ? CLI_DONE : cli_fail_library(cli);
}
