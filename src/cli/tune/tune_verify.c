#include <stdio.h>

#include "cli/options/device.h"
#include "cli/ui/interrupt.h"
#include "cli/ui/json_out.h"
#include "cli/options/opt.h"
#include "cli/ui/page.h"
#include "cli/ui/text.h"
#include "cli/tune/cmd_tune.h"

typedef struct view {
    const cli_state *cli;
    json_t *list; /* with --json */
    int count, slower;
    bool interrupted;
} view;

static void print_check(const clora_tune_check *c, double gain) {
    page lines;
    FILE *out = page_begin(&lines, stdout, 4);

    fprintf(out, "%s %s: ", c->entry->key.kernel, tune_key_text(&c->entry->key));
    if (!c->is_right)
        fprintf(out, "WRONG, deleted: %s\n", c->why);
    else if (*c->why)
        fprintf(out, "not checked: %s\n", c->why);
    else
        fprintf(out, "right, %.2f times the default's speed\n", gain);
    page_end(&lines);
}

static int show(void *user, const clora_tune_check *c) {
    view *v = user;
    const double gain = c->entry->seconds > 0.0 ? c->entry->default_seconds / c->entry->seconds : 0.0;

    v->count++;
    v->slower += c->is_right && gain > 0.0 && gain < 0.97;
    if (v->cli->json)
        json_push(&v->list, json_pack("{s:s, s:s, s:b, s:s, s:o}", "kernel", c->entry->key.kernel, "key",
                                      tune_key_text(&c->entry->key), "right", c->is_right, "why", c->why,
                                      "speed_to_default", json_number(gain)));
    else
        print_check(c, gain);
    v->interrupted = interrupt_seen();
    return v->interrupted;
}

static int run(cli_state *cli, int argc, char **argv) {
    static const char *const names[] = {NULL};
    clora_tune_options options = CLORA_TUNE_OPTIONS_INIT;
    tune_worker_command worker;
    clora_context *context = NULL;
    view v = {.cli = cli};
    int wrong = 0, status = opt_parse(cli, NULL, 0, names, 0, NULL, argc, argv);

    if (status != OPT_GO_ON)
        return status;
    status = tune_worker_find(&worker, cli);
    if (status != CLI_DONE)
        return status;
    options.worker = worker.words;
    if (cli_context_create(&context, cli) != CLORA_OK)
        return cli_fail_library(cli);
    v.list = cli->json ? json_array() : NULL;
    interrupt_watch("\nclora tune verify: stopping after this entry (once more: end at once)\n");
    const clora_status checked = clora_tune_verify(&wrong, context, &options, show, &v);
    if (!cli_went(checked)) {
        status = cli_fail_library(cli);
        json_decref(v.list);
    } else if (cli->json) {
        status = json_print(cli, v.list);
    } else {
        printf("%s checked, %d wrong, %d slower than the default now\n", text_amount(v.count, "entry", "entries"),
               wrong, v.slower);
    }
    clora_context_free(context);
    if (v.interrupted) {
        cli_fail(cli, "interrupted after %s", text_amount(v.count, "entry", "entries"));
        return interrupt_status();
    }
    return status == CLI_DONE && wrong ? CLI_FAILED : status;
}

const command command_tune_verify = {
    .name = "tune verify",
    .summary = "check every entry's results and speed again",
    .usage = "[options]",
    .about = "Checks the results of every entry against the reference again and times it against the default, in "
             "turns. An entry whose results are wrong is deleted, and the exit status is 1.",
    .example = "clora tune verify",
    .run = run,
};
