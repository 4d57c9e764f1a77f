#ifndef CLI_CMD_TUNE_H
#define CLI_CMD_TUNE_H

#include <clora/clora.h>

#include "cli/cli.h"

/* The parts of `clora tune`. */

/* "clora tune --worker": measure for a parent process. */
int tune_run_worker(cli_state *cli, int argc, char **argv);

/* What the command line says of the measuring. */
typedef struct tune_args {
    const char *model, *shape, *ranks, *use, *budget;
    int batch_size, max_length, method, dtype, full, again, dry_run;
    double limit;
} tune_args;

/* The words of --method. */
extern const char *const tune_methods[];

/* Add the model or the shape, once for each rank. CLI_DONE, or the exit status. */
int tune_fill_plan(const cli_state *cli, clora_tune_plan *plan, const tune_args *args);

/* Measure a plan with a bar, and tell what came of it. */
int tune_measure(cli_state *cli, clora_context *context, clora_tune_plan *plan, const tune_args *args);

/* --dry-run: the list of what would be measured. */
int tune_list(const cli_state *cli, clora_tune_plan *plan);

/* "tune show" and its kin. */
extern const command command_tune_show, command_tune_verify, command_tune_export, command_tune_import,
    command_tune_prune, command_tune_report;

/* The command line of a worker: this program itself. */
typedef struct tune_worker_command {
    char path[4096];
    const char *words[5];
} tune_worker_command;

int tune_worker_find(tune_worker_command *out, const cli_state *cli); /* CLI_DONE, or the exit status */

/* The fastest rates of all entries: operations and bytes a second. And the shortest time that they allow an entry. */
typedef struct tune_peaks {
    double flops, bytes;
} tune_peaks;

tune_peaks tune_find_peaks(const clora_tune_entry *const *entries, size_t count);
double tune_bound(const clora_tune_entry *entry, tune_peaks peaks);

/* "bf16 M 256 N 576 K 576 R 8": good for the arguments of one printf. */
const char *tune_key_text(const clora_tune_key *key);

#endif
