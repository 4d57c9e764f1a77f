#include "cli/options/device.h"

#include <stdint.h>

static void note(void *user, const char *line) {
    cli_note(user, "%s", line);
}

clora_status cli_context_create(clora_context **out, const cli_state *cli) {
    const clora_status status = clora_context_create(out, cli->device);

    if (status == CLORA_OK)
        clora_tune_set_log(*out, note, (void *)(uintptr_t)cli, cli->verbose);
    return status;
}
