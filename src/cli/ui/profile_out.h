#ifndef CLI_PROFILE_OUT_H
#define CLI_PROFILE_OUT_H

#include <stdio.h>

#include <jansson.h>

#include <clora/context.h>

#include "cli/cli.h"

/* Device time by kernel: --profile, and the breakdown of a step in `clora bench`. */

#define PROFILE_HELP \
    "measure the device time of every kernel and print it on standard error, or with --json inside the object"

/* What a context has measured; borrowed until its next call. */
typedef struct profile_view {
    const clora_profile_entry *const *entry;
    size_t count;
} profile_view;

int profile_begin(const cli_state *cli, clora_context *context); /* CLI_DONE, or the exit status after saying why */
profile_view profile_read(clora_context *context);
bool profile_copy(profile_view *out, profile_view profile); /* false without memory */
void profile_free(profile_view copy);
void profile_print(FILE *out, profile_view profile); /* a table, the longest first */
json_t *profile_json(profile_view profile);          /* [{"kernel", "seconds", "launches"}] */

#endif
