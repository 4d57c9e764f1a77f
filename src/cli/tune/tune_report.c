#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options/device.h"
#include "cli/options/opt.h"
#include "cli/ui/gnuplot.h"
#include "cli/ui/text.h"
#include "cli/tune/cmd_tune.h"

/*
 * One panel for each kernel and shape: every configuration that was measured, the fastest first, with the default, the
 * entry, and what the fastest rates of this device would allow. gnuplot draws it.
 */
typedef struct report_args {
    const char *out;
} report_args;

static const opt report_options[] = {
    {.name = "out",
     .type = OPT_TEXT,
     .offset = offsetof(report_args, out),
     .value = "FILE",
     .flags = OPT_REQUIRED,
     .help = "picture to write: FILE.svg or FILE.png"},
    {.name = NULL},
};

enum { COLUMNS = 3, PANELS = 30 };

static bool is_same_key(const clora_tune_key *a, const clora_tune_key *b) {
    return strcmp(a->kernel, b->kernel) == 0 && a->dtype == b->dtype && a->M == b->M && a->N == b->N && a->K == b->K &&
           a->R == b->R;
}

static int by_time(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* The times of an entry's key, sorted. The caller frees. */
static double *times_of(int *count, const clora_tune_entry *entry, const clora_tune_entry *const *measured,
                        size_t measured_count) {
    double *times = malloc((measured_count + 1) * sizeof(*times));

    *count = 0;
    for (size_t i = 0; times && i < measured_count; i++)
        if (measured[i]->seconds > 0.0 && is_same_key(&measured[i]->key, &entry->key))
            times[(*count)++] = measured[i]->seconds * 1e6;
    if (times)
        qsort(times, (size_t)*count, sizeof(*times), by_time);
    return times;
}

static void write_panel(FILE *plot, const clora_tune_entry *e, const double *times, int count, double bound) {
    fprintf(plot, "set title '%s %s' noenhanced\n$data << END\n", e->key.kernel, tune_key_text(&e->key));
    for (int i = 0; i < count; i++)
        fprintf(plot, "%d %.6g\n", i + 1, times[i]);
    fprintf(plot,
            "END\nplot $data with points pt 7 ps 0.4 lc rgb '#4477aa' title 'configurations', "
            "%.6g with lines lw 2 lc rgb '#cc6677' title 'default', %.6g with lines lw 2 lc rgb '#228833' title "
            "'entry', %.6g with lines dt 2 lc rgb '#888888' title 'roofline'\n",
            e->default_seconds * 1e6, e->seconds * 1e6, bound * 1e6);
}

static int by_gain(const void *a, const void *b) {
    const clora_tune_entry *x = *(const clora_tune_entry *const *)a, *y = *(const clora_tune_entry *const *)b;
    const double gx = x->default_seconds * y->seconds, gy = y->default_seconds * x->seconds;
    return gx > gy ? -1 : gx < gy;
}

static int rows_of(size_t shapes) {
    const int count = shapes < PANELS ? (int)shapes : PANELS;

    return (count + COLUMNS - 1) / COLUMNS;
}

static void write_plot(FILE *plot, const clora_tune_entry **entries, size_t count,
                       const clora_tune_entry *const *measured, size_t measured_count) {
    const tune_peaks peaks = tune_find_peaks(entries, count);
    const size_t panels = count < PANELS ? count : PANELS;

    qsort(entries, count, sizeof(*entries), by_gain);
    fprintf(plot, "set multiplot layout %d,%d\n", rows_of(count), COLUMNS);
    fputs("set logscale y\nset xlabel 'configurations, the fastest first'\nset ylabel 'microseconds'\n"
          "set key top left\nset grid ytics\n",
          plot);
    for (size_t i = 0; i < panels; i++) {
        int n;
        double *times = times_of(&n, entries[i], measured, measured_count);
        if (times && n > 0 && entries[i]->seconds > 0.0)
            write_panel(plot, entries[i], times, n, tune_bound(entries[i], peaks));
        free(times);
    }
    fputs("unset multiplot\n", plot);
}

static int draw(const cli_state *cli, const char *out, clora_context *context) {
    const clora_tune_entry **entries = NULL, **measured = NULL;
    size_t count = 0, measured_count = 0;
    int status = CLI_DONE;
    FILE *plot = NULL;

    if (clora_tune_entries(&entries, &count, context) != CLORA_OK ||
        clora_tune_measurements(&measured, &measured_count, context) != CLORA_OK)
        status = cli_fail_library(cli);
    else if (count == 0)
        status = cli_fail(cli, "nothing was measured on this device yet: run clora tune first");
    else if (!(plot = gnuplot_open(cli, out, COLUMNS * 480, rows_of(count) * 300)))
        status = CLI_FAILED;
    if (plot) {
        write_plot(plot, entries, count, measured, measured_count);
        status = gnuplot_close(cli, plot, out);
    }
    if (status == CLI_DONE)
        printf("written    %s: %s\n", out,
               count > PANELS ? "the shapes that gained most" : text_amount((int64_t)count, "shape", "shapes"));
    free(measured);
    free(entries);
    return status;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {NULL};
    report_args args = {0};
    opt_group group = {.heading = "Report", .options = report_options, .values = &args};
    clora_context *context = NULL;
    int status = opt_parse(cli, &group, 1, names, 0, NULL, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    if (strchr(args.out, '\''))
        return cli_misuse(cli, "--out: a name without quotes");
    status = cli_context_create(&context, cli) == CLORA_OK ? draw(cli, args.out, context) : cli_fail_library(cli);
    clora_context_free(context);
    return status;
}

const command command_tune_report = {
    .name = "tune report",
    .summary = "draw every configuration that was measured",
    .usage = "--out FILE.svg [options]",
    .about = "Draws, for each kernel and shape, every configuration that was measured on this device, the default, the "
             "entry and the measured roofline. Needs gnuplot.",
    .example = "clora tune report --out tuned.svg",
    .run = run,
};
