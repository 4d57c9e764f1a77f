#include <stdbool.h>
#include <stdio.h>

#include "cli/plot/cmd_plot.h"
#include "cli/ui/gnuplot.h"

/* A panel shows one or two curves of each run. */
typedef struct panel {
    const char *label;
    int first, last;
} panel;

static const panel panels[] = {{"loss", PLOT_LOSS, PLOT_VALIDATION},
                               {"learning rate", PLOT_RATE, PLOT_RATE},
                               {"tokens/s", PLOT_SPEED, PLOT_SPEED}};

enum { PANELS = sizeof(panels) / sizeof(panels[0]) };
enum { WIDTH = 800, HEIGHT = 320, COLUMNS = 80, ROWS = 24 };

/* A line is broken where a run begins anew. */
static void write_points(FILE *script, int run, int which, const plot_curve *curve) {
    fprintf(script, "$run%d_%d << END\n", run, which);
    for (size_t i = 0; i < curve->count; i++) {
        const plot_point *p = &curve->points[i];
        fprintf(script, "%s%.15g %.9g\n", i > 0 && p->step < p[-1].step ? "\n" : "", p->step, p->value);
    }
    fprintf(script, "END\n");
}

static void write_title(FILE *script, const plot_run *run, int which, bool alone) {
    char text[512];

    if (which == PLOT_VALIDATION)
        snprintf(text, sizeof(text), "%s validation", alone ? "" : run->name);
    else
        snprintf(text, sizeof(text), "%s", alone ? plot_keys[which] : run->name);
    gnuplot_title(script, text[0] == ' ' ? text + 1 : text);
}

static void write_panel(FILE *script, const panel *p, const plot_run *runs, int count) {
    const char *before = "plot ";

    /* rates may be constant, of which gnuplot makes no axis */
    fprintf(script, "set ylabel '%s'\nset yrange [%s:*]\n", p->label, p->first == PLOT_LOSS ? "*" : "0");
    for (int r = 0; r < count; r++)
        for (int i = p->first; i <= p->last; i++) {
            if (runs[r].curve[i].count == 0)
                continue;
            fprintf(script, "%s$run%d_%d using 1:2 with %s ", before, r, i,
                    i == PLOT_VALIDATION ? "linespoints" : "lines");
            write_title(script, &runs[r], i, count == 1);
            before = ", ";
        }
    fprintf(script, "\n");
}

static bool is_empty(const panel *p, const plot_run *runs, int count) {
    for (int r = 0; r < count; r++)
        for (int i = p->first; i <= p->last; i++)
            if (runs[r].curve[i].count > 0)
                return false;
    return true;
}

int plot_draw(const cli_state *cli, const plot_run *runs, int count, const char *out) {
    int shown = 0;

    for (int i = 0; i < PANELS; i++)
        shown += !is_empty(&panels[i], runs, count);
    if (shown == 0)
        return cli_fail(cli, "%s holds nothing to draw", runs[0].name);
    FILE *script = gnuplot_open(cli, out, out ? WIDTH : COLUMNS, out ? HEIGHT * shown : ROWS);
    if (!script)
        return CLI_FAILED;
    for (int r = 0; r < count; r++)
        for (int i = 0; i < PLOT_CURVES; i++)
            write_points(script, r, i, &runs[r].curve[i]);
    fprintf(script, "set xlabel 'step'\nset grid\nset offsets 0, 0, graph 0.05, 0\n");
    if (out)
        fprintf(script, "set multiplot layout %d,1\n", shown);
    for (int i = 0; i < PANELS; i++)
        if (!is_empty(&panels[i], runs, count))
            write_panel(script, &panels[i], runs, count);
    if (out)
        fprintf(script, "unset multiplot\n");
    return gnuplot_close(cli, script, out);
}
