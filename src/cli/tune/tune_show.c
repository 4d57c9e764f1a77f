#include <stdio.h>
#include <stdlib.h>

#include "cli/options/device.h"
#include "cli/ui/json_out.h"
#include "cli/options/opt.h"
#include "cli/ui/page.h"
#include "cli/ui/text.h"
#include "cli/tune/cmd_tune.h"

static void print_values(FILE *out, const clora_tune_entry *e) {
    for (int i = 0; i < e->parameters; i++)
        fprintf(out, "%s%s %d", i ? ", " : "", e->name[i], e->value[i]);
}

static json_t *entry_object(const clora_tune_entry *e) {
    json_t *values = json_object();

    for (int i = 0; i < e->parameters; i++)
        json_put(&values, e->name[i], json_integer(e->value[i]));
    return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:s}", "kernel", e->key.kernel, "key", tune_key_text(&e->key),
                     "parameters", values, "source", clora_tune_source_name(e->source), "seconds",
                     json_number(e->seconds), "default_seconds", json_number(e->default_seconds), "date", e->date);
}

tune_peaks tune_find_peaks(const clora_tune_entry *const *entries, size_t count) {
    tune_peaks most = {0.0, 0.0};

    for (size_t i = 0; i < count; i++)
        if (entries[i]->seconds > 0.0) {
            const double f = entries[i]->flops / entries[i]->seconds, b = entries[i]->bytes / entries[i]->seconds;
            most.flops = f > most.flops ? f : most.flops;
            most.bytes = b > most.bytes ? b : most.bytes;
        }
    return most;
}

double tune_bound(const clora_tune_entry *e, tune_peaks peaks) {
    const double by_flops = peaks.flops > 0.0 ? e->flops / peaks.flops : 0.0;
    const double by_bytes = peaks.bytes > 0.0 ? e->bytes / peaks.bytes : 0.0;
    return by_flops > by_bytes ? by_flops : by_bytes;
}

static void print_entry(FILE *out, const clora_tune_entry *e, tune_peaks peaks) {
    fprintf(out, "%s %s\n    ", e->key.kernel, tune_key_text(&e->key));
    print_values(out, e);
    fprintf(out, "\n    %s, %.10s", clora_tune_source_name(e->source), e->date);
    if (e->seconds > 0.0)
        fprintf(out, ", %s us, %.2f times the default's speed, %s GFLOP/s, %s GB/s, %s of the measured roofline",
                text_number(e->seconds * 1e6), e->default_seconds / e->seconds,
                text_number(e->flops / e->seconds * 1e-9), text_number(e->bytes / e->seconds * 1e-9),
                text_percent(tune_bound(e, peaks), e->seconds));
    fprintf(out, "\n");
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {NULL};
    clora_context *context = NULL;
    const clora_tune_entry **entries = NULL;
    size_t count = 0;
    int status = opt_parse(cli, NULL, 0, names, 0, NULL, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    if (cli_context_create(&context, cli) != CLORA_OK)
        return cli_fail_library(cli);
    status = CLI_DONE;
    if (clora_tune_entries(&entries, &count, context) != CLORA_OK) {
        status = cli_fail_library(cli);
        goto done;
    }
    const tune_peaks peaks = tune_find_peaks(entries, count);
    json_t *list = cli->json ? json_array() : NULL;
    page lines;
    FILE *out = page_begin(&lines, stdout, 4);
    for (size_t i = 0; i < count; i++)
        if (cli->json)
            json_push(&list, entry_object(entries[i]));
        else
            print_entry(out, entries[i], peaks);
    if (cli->json)
        status = json_print(cli, list);
    else
        fprintf(out, "%s in %s\n", text_amount((int64_t)count, "entry", "entries"), clora_tune_directory(context));
    page_end(&lines);
done:
    free(entries);
    clora_context_free(context);
    return status;
}

const command command_tune_show = {
    .name = "tune show",
    .summary = "list the entries of this device",
    .usage = "[options]",
    .about = "Lists what was measured on this device: the parameters of each kernel and shape, where they come from, "
             "when, how fast they are, and what share that is of the fastest rates measured here.",
    .example = "clora tune show",
    .run = run,
};
