#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/compare/cmd_compare.h"
#include "cli/ui/gnuplot.h"
#include "cli/ui/json_out.h"
#include "cli/ui/text.h"

/* ---- for people ---- */

static const char *milliseconds(double seconds) {
    static char text[4][32];
    static int next;
    char *out = text[next++ % 4];

    snprintf(out, sizeof(text[0]), seconds > 0 ? "%.2f" : "-", seconds * 1e3);
    return out;
}

static void print_quality(const compare_state *state, const compare_row *row) {
    const compare_result *r = row->result;

    printf("%-14s %12s %10s %8g %9s", state->method[row->method].name, text_count(r->trainable),
           text_bytes((uint64_t)r->disk), (double)r->lr, text_number(row->loss));
    if (row->seeds > 1)
        printf(" +-%-6s", text_number(row->spread));
    printf(" %10s\n", row->seconds_to_target >= 0 ? text_duration(row->seconds_to_target) : "-");
}

static void print_memory(const compare_state *state, const compare_row *row) {
    const compare_result *r = row->result;

    printf("%-14s %10s %10s %10s %10s %12s\n", state->method[row->method].name, text_bytes(r->peak),
           text_bytes(r->plan.weights + r->plan.adapter), text_bytes(r->plan.gradients), text_bytes(r->plan.optimizer),
           text_bytes(r->plan.activations));
}

static void print_speed(const compare_state *state, const compare_row *row) {
    const compare_speed *s = &state->speed[row->method];

    printf("%-14s %17.0f %10s %10s %10s\n", state->method[row->method].name, row->tokens_per_second,
           milliseconds(s->base), milliseconds(s->applied), milliseconds(s->merged));
}

static void print_rows(const compare_state *state, void (*print)(const compare_state *, const compare_row *)) {
    for (int m = 0; m < state->methods; m++) {
        const compare_row row = compare_row_of(state, m);
        if (row.result)
            print(state, &row);
    }
}

/* Where the best learning rate is the last on one side, one beyond may be better. */
static void print_edges(const compare_state *state) {
    for (int m = 0; m < state->methods; m++) {
        const compare_row row = compare_row_of(state, m);
        const int edge = row.result ? compare_edge(state, &row) : 0;
        if (edge != 0)
            printf("%s is best at its %s learning rate: a %s one may be better.\n", state->method[m].name,
                   edge < 0 ? "lowest" : "highest", edge < 0 ? "lower" : "higher");
    }
}

static int print_tables(const compare_state *state) {
    const char *spread = state->args->seeds > 1 ? "         " : "";

    printf("%-14s %12s %10s %8s %9s%s %10s\n", "method", "trainable", "on disk", "lr", "val loss", spread, "to target");
    print_rows(state, print_quality);
    printf("\n%-14s %10s %10s %10s %10s %12s\n", "memory", "peak", "weights", "gradients", "optimizer", "activations");
    print_rows(state, print_memory);
    printf("\n%-14s %17s %10s %10s %10s\n", "speed", "training tokens/s", "base ms", "with it ms", "merged ms");
    print_rows(state, print_speed);
    printf("\nThe target is a validation loss of %s; milliseconds are per new token.\n",
           text_number(compare_target(state)));
    print_edges(state);
    return CLI_DONE;
}

/* ---- for programs ---- */

static json_t *known(double value) {
    return value > 0 ? json_number(value) : json_null();
}

static json_t *row_json(const compare_state *state, const compare_row *row) {
    const compare_result *r = row->result;
    const compare_speed *s = &state->speed[row->method];
    return json_pack("{s:s, s:I, s:I, s:o, s:i, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "method",
                     state->method[row->method].name, "trainable_parameters", (json_int_t)r->trainable, "bytes_on_disk",
                     (json_int_t)r->disk, "lr", json_float(r->lr), "seeds", row->seeds, "val_loss",
                     json_number(row->loss), "val_loss_deviation", json_number(row->spread), "seconds_to_target",
                     row->seconds_to_target >= 0 ? json_number(row->seconds_to_target) : json_null(),
                     "tokens_per_second", json_number(row->tokens_per_second), "peak_device_bytes", (json_int_t)r->peak,
                     "memory", compare_memory_json(&r->plan), "token_seconds_base", known(s->base), "token_seconds",
                     known(s->applied), "token_seconds_merged", known(s->merged));
}

static json_t *all_json(const compare_state *state) {
    json_t *rows = json_array();

    for (int m = 0; m < state->methods; m++) {
        const compare_row row = compare_row_of(state, m);
        if (row.result)
            json_push(&rows, row_json(state, &row));
    }
    return json_pack("{s:i, s:o, s:o}", "steps", state->steps, "target_loss", json_number(compare_target(state)),
                     "rows", rows);
}

/* The rows of the JSON object; of memory, its parts. */
static void write_csv(FILE *out, const json_t *rows) {
    static const char *const keys[] = {"method",
                                       "trainable_parameters",
                                       "bytes_on_disk",
                                       "lr",
                                       "seeds",
                                       "val_loss",
                                       "val_loss_deviation",
                                       "seconds_to_target",
                                       "tokens_per_second",
                                       "peak_device_bytes",
                                       "token_seconds_base",
                                       "token_seconds",
                                       "token_seconds_merged"};
    enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

    for (int k = 0; k < KEYS; k++)
        fprintf(out, "%s%s", k > 0 ? "," : "", keys[k]);
    fprintf(out, "\n");
    for (size_t i = 0; i < json_array_size(rows); i++)
        for (int k = 0; k < KEYS; k++) {
            const json_t *value = json_object_get(json_array_get(rows, i), keys[k]);
            fprintf(out, "%s", k > 0 ? "," : "");
            if (json_is_string(value))
                fprintf(out, "%s", json_string_value(value));
            else if (json_is_number(value))
                fprintf(out, "%.9g", json_number_value(value));
            fprintf(out, "%s", k == KEYS - 1 ? "\n" : "");
        }
}

static int save_csv(const compare_state *state, const json_t *all) {
    FILE *out = fopen(state->args->csv, "w");

    if (out)
        write_csv(out, json_object_get(all, "rows"));
    if (!out || ferror(out) || fclose(out) != 0)
        return cli_fail(state->cli, "%s: cannot write: %s", state->args->csv, strerror(errno));
    return CLI_DONE;
}

/* ---- as a picture ---- */

static void plot(FILE *gnuplot, const compare_state *state) {
    const char *comma = "";

    fputs("set grid\nset xlabel 'seconds of training'\nset ylabel 'validation loss'\nplot ", gnuplot);
    for (int m = 0; m < state->methods; m++)
        if (compare_row_of(state, m).result) {
            fprintf(gnuplot, "%s'-' with linespoints ", comma);
            gnuplot_title(gnuplot, state->method[m].name);
            comma = ", ";
        }
    fprintf(gnuplot, "\n");
    for (int m = 0; m < state->methods; m++) {
        const compare_result *r = compare_row_of(state, m).result;
        for (int i = 0; r && i < r->points; i++)
            fprintf(gnuplot, "%.6g %.9g\n", r->point[i].seconds, r->point[i].loss);
        if (r)
            fprintf(gnuplot, "e\n");
    }
}

static int save_svg(const compare_state *state) {
    FILE *gnuplot = gnuplot_open(state->cli, state->args->svg, 800, 480);

    if (!gnuplot)
        return CLI_FAILED;
    plot(gnuplot, state);
    return gnuplot_close(state->cli, gnuplot, state->args->svg);
}

int compare_report(const compare_state *state) {
    json_t *all = all_json(state);
    int status = all ? CLI_DONE : cli_fail(state->cli, "no memory for the table");

    if (status == CLI_DONE && state->args->csv)
        status = save_csv(state, all);
    if (status == CLI_DONE && state->args->svg)
        status = save_svg(state);
    if (status != CLI_DONE || !state->cli->json) {
        json_decref(all);
        return status == CLI_DONE ? print_tables(state) : status;
    }
    return json_print(state->cli, all);
}
