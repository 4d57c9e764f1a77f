#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "cli/plot/cmd_plot.h"

const char *const plot_keys[PLOT_CURVES] = {
    [PLOT_LOSS] = "loss", [PLOT_VALIDATION] = "val_loss", [PLOT_RATE] = "lr", [PLOT_SPEED] = "tokens_per_second"};

static bool add_point(plot_curve *curve, double step, double value) {
    if (curve->count == curve->room) {
        const size_t room = curve->room ? 2 * curve->room : 256;
        plot_point *larger = realloc(curve->points, room * sizeof(*larger));
        if (!larger)
            return false;
        curve->points = larger;
        curve->room = room;
    }
    curve->points[curve->count++] = (plot_point){step, value};
    return true;
}

/* A loss that is not finite is null, and has no point. */
static bool add_line(plot_run *run, const json_t *line, double step) {
    bool added = true;

    for (int i = 0; i < PLOT_CURVES; i++) {
        const json_t *value = json_object_get(line, plot_keys[i]);
        if (json_is_number(value))
            added = added && add_point(&run->curve[i], step, json_number_value(value));
    }
    return added;
}

static int read_line(const cli_state *cli, plot_run *run, const char *path, size_t number, const char *text,
                     size_t size) {
    json_error_t error;
    json_t *line = json_loadb(text, size, 0, &error);
    const json_t *step = json_object_get(line, "step");
    int status = CLI_DONE;

    if (!json_is_integer(step))
        status = cli_fail(cli, "%s: line %zu is none of a training log, which clora train writes", path, number);
    else if (!add_line(run, line, json_number_value(step)))
        status = cli_fail(cli, "no memory for the lines of %s", path);
    json_decref(line);
    return status;
}

/* A last line without an end is still being written, or was cut off. */
static int read_lines(const cli_state *cli, plot_run *run, const char *path, FILE *stream) {
    char *text = NULL;
    size_t room = 0, number = 0;
    int status = CLI_DONE;
    ssize_t size;

    while (status == CLI_DONE && (size = getline(&text, &room, stream)) > 0 && text[size - 1] == '\n')
        status = read_line(cli, run, path, ++number, text, (size_t)size);
    free(text);
    if (status == CLI_DONE && ferror(stream))
        return cli_fail(cli, "cannot read %s: %s", path, strerror(errno));
    if (status == CLI_DONE && number == 0)
        return cli_fail(cli, "%s holds no steps yet", path);
    return status;
}

static bool is_directory(const char *path) {
    struct stat info;

    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int plot_read(const cli_state *cli, plot_run *run, const char *path) {
    char *inside = NULL;

    *run = (plot_run){.name = path};
    if (is_directory(path) && asprintf(&inside, "%s/log.jsonl", path) < 0)
        return cli_fail(cli, "no memory for a path");
    const char *log = inside ? inside : path;
    FILE *stream = fopen(log, "re");
    const int status =
        stream ? read_lines(cli, run, log, stream) : cli_fail(cli, "cannot read %s: %s", log, strerror(errno));
    if (stream)
        fclose(stream);
    free(inside);
    return status;
}

void plot_finish(plot_run *run) {
    for (int i = 0; i < PLOT_CURVES; i++)
        free(run->curve[i].points);
    *run = (plot_run){.name = NULL};
}
