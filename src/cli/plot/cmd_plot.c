#include <string.h>

#include "cli/options/opt.h"
#include "cli/plot/cmd_plot.h"
#include "cli/ui/json_out.h"

enum { MOST_LOGS = 32 };

typedef struct plot_args {
    const char *out;
} plot_args;

static const opt options[] = {
    {.name = "out",
     .type = OPT_PATH,
     .offset = offsetof(plot_args, out),
     .value = "FILE",
     .standard = "in the terminal",
     .help = "picture to write: FILE.svg or FILE.png"},
    {.name = NULL},
};

static bool is_picture(const char *name) {
    const size_t n = strlen(name);

    return n > 4 && (strcmp(name + n - 4, ".svg") == 0 || strcmp(name + n - 4, ".png") == 0);
}

/* [[step, value], ...] */
static json_t *curve_json(const plot_curve *curve) {
    json_t *points = json_array();

    for (size_t i = 0; i < curve->count; i++)
        json_push(&points, json_pack("[I, o]", (json_int_t)curve->points[i].step, json_number(curve->points[i].value)));
    return points;
}

static json_t *runs_json(const plot_run *runs, int count) {
    json_t *all = json_array();

    for (int r = 0; r < count; r++) {
        json_t *one = json_pack("{s:o}", "log", json_path(runs[r].name));
        for (int i = 0; i < PLOT_CURVES; i++)
            json_put(&one, plot_keys[i], curve_json(&runs[r].curve[i]));
        json_push(&all, one);
    }
    return all ? json_pack("{s:o}", "runs", all) : NULL;
}

static int show(const cli_state *cli, const plot_args *args, const plot_run *runs, int count) {
    int status = CLI_DONE;

    if (args->out || !cli->json)
        status = plot_draw(cli, runs, count, args->out);
    if (status == CLI_DONE && cli->json)
        return json_print(cli, runs_json(runs, count));
    return status;
}

static int run(cli_state *cli, int argc, char **argv) {
    const char *names[MOST_LOGS + 1] = {NULL}, *words[MOST_LOGS];
    plot_args args = {.out = NULL};
    opt_group group = {.heading = "Options", .options = options, .values = &args};
    plot_run runs[MOST_LOGS];
    int count = 0, status;

    for (int i = 0; i < MOST_LOGS; i++)
        names[i] = "LOG";
    status = opt_parse(cli, &group, 1, names, 1, words, argc, argv);
    if (status != OPT_GO_ON)
        return status;
    if (args.out && !is_picture(args.out))
        return cli_misuse(cli, "--out %s: pictures are .svg or .png", args.out);
    status = CLI_DONE;
    while (status == CLI_DONE && count < MOST_LOGS && words[count]) {
        status = plot_read(cli, &runs[count], words[count]);
        count++;
    }
    if (status == CLI_DONE)
        status = show(cli, &args, runs, count);
    while (count > 0)
        plot_finish(&runs[--count]);
    return status;
}

const command command_plot = {
    .name = "plot",
    .summary = "draw the logs of trainings",
    .usage = "LOG... [options]",
    .about = "Draws loss, validation loss, learning rate and tokens per second of one run or several over their steps, "
             "with gnuplot: into a picture, or in the terminal. LOG is what clora train --log writes, or the --out of "
             "a run. With --json the points are printed, and nothing is drawn without --out. No device is needed: "
             "--device has no effect.",
    .example = "clora plot my-adapter other-adapter --out loss.svg",
    .run = run,
};
