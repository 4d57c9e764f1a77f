#ifndef CLI_DATA_FILES_H
#define CLI_DATA_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include <clora/dataset.h>

#include "cli/options/opt.h"

/* Data files as --data names them. */
typedef struct data_files {
    clora_data_file item[OPT_LIST_MAX];
    char *path[OPT_LIST_MAX]; /* memory of the names */
    int count;
} data_files;

/* Each is FILE, or where `weighted` FILE:WEIGHT; a file of that whole name goes first. CLI_DONE, or the exit status
 * after saying what is wrong. */
int data_files_read(data_files *out, const cli_state *cli, const opt_list *names, bool weighted);
void data_files_finish(data_files *files);

/* The file of FILE:WEIGHT; the caller frees. NULL without memory. */
char *data_file_path(const char *name);

/* The names alone, with commas; valid until the next call. */
const char *data_files_text(const opt_list *names);

/* For a --val such as 5%: that part of *data is taken out of it into *held. OPT_GO_ON where it names a file. */
int data_files_split(const cli_state *cli, const char *val, uint64_t seed, clora_dataset **data, clora_dataset **held);

#endif
