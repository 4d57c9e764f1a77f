#ifndef CLI_CMD_INSPECT_H
#define CLI_CMD_INSPECT_H

#include <stdio.h>

#include <jansson.h>

#include <clora/inspect.h>

#include "cli/cli.h"
#include "cli/options/data_options.h"
#include "cli/options/model_options.h"

/* `clora inspect PATH`, one file for each kind of PATH. */
typedef struct inspect_args {
    const char *path;
    const char *model_path; /* --model: for the tokens of a data file */
    int rank;
    int show, ids; /* rows of a data file to print, and whether with their ids */
    data_args data;
    model_args model;
} inspect_args;

int inspect_model(const cli_state *cli, const inspect_args *args);
int inspect_adapter(const cli_state *cli, const inspect_args *args);
int inspect_data(const cli_state *cli, const inspect_args *args);

/* "F32 1,024, BF16 12" for people, {"F32": 1024, "BF16": 12} for programs: scalars by storage type. */
void inspect_print_types(FILE *out, const clora_stored *stored);
json_t *inspect_types_json(const clora_stored *stored);

#endif
