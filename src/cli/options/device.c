#include "cli/options/device.h"

#include <stdint.h>
#include <string.h>

#include "cli/ui/watchdog.h"

static void note(void *user, const char *line) {
    cli_note(user, "%s", line);
}

clora_status cli_context_create(clora_context **out, const cli_state *cli) {
    const clora_status status = clora_context_create(out, cli->device);

    if (status != CLORA_OK)
        return status;
    clora_tune_set_log(*out, note, (void *)(uintptr_t)cli, cli->verbose);
    watchdog_start(cli);
    return CLORA_OK;
}

static void note_launches(clora_context *context, const cli_state *cli) {
    clora_launch_plan *plan;
    const char *line, *end;

    if (clora_launch_plan_create(&plan, context) != CLORA_OK)
        return;
    cli_note(cli, "plan of launches %s", clora_launch_plan_hash(plan));
    for (line = clora_launch_plan_text(plan); (end = strchr(line, '\n')) != NULL; line = end + 1)
        cli_note(cli, "  %.*s", (int)(end - line), line);
    clora_launch_plan_free(plan);
}

void cli_context_free(clora_context *context, const cli_state *cli) {
    if (context && cli->verbose)
        note_launches(context, cli);
    clora_context_free(context);
}
