#ifndef CLI_TUNE_H
#define CLI_TUNE_H

#include <clora/clora.h>

#include "cli/cli.h"

/* The parts of `clora tune`. */

/* "clora tune --worker": measure for a parent process. */
int tune_run_worker(cli_state *cli, int argc, char **argv);

/* What the command line says of the measuring. */
typedef struct tune_args {
    const char *model, *shape, *ranks, *use, *budget;
    int batch_size, max_length, dtype, full, again, dry_run;
    double limit;
} tune_args;

/* Measure a plan with a bar, and tell what came of it. */
int tune_measure(cli_state *cli, clora_context *context, clora_tune_plan *plan, const tune_args *args);

/* --dry-run: the list of what would be measured. */
int tune_list(const cli_state *cli, clora_tune_plan *plan);

/* "tune show" and its kin. */
extern const command command_tune_show;

/* "bf16 M 256 N 576 K 576 R 8": good for the arguments of one printf. */
const char *tune_key_text(const clora_tune_key *key);

/* Lines of the library about the cache: a note each. */
void tune_log_note(void *user, const char *line);

#endif
