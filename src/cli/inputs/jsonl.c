#include "cli/inputs/jsonl.h"

#include <stdio.h>
#include <string.h>

typedef struct row_reader {
    const char *name;
    jsonl_row row;
    void *user;
    int status;
} row_reader;

static int take_row(void *user, const char *text, size_t size, size_t line) {
    row_reader *reader = user;
    char where[4352];

    snprintf(where, sizeof(where), "%s: line %zu: ", reader->name, line);
    reader->status = reader->row(reader->user, where, text, size);
    return reader->status != CLI_DONE || ferror(stdout); /* a reader who went away ends it */
}

static row_reader reader_of(const char *path, jsonl_row row, void *user) {
    return (row_reader){strcmp(path, "-") == 0 ? "standard input" : path, row, user, CLI_DONE};
}

int jsonl_read(const cli_state *cli, const char *path, jsonl_row row, void *user) {
    row_reader reader = reader_of(path, row, user);

    if (!cli_went(clora_dataset_read_texts(path, 0, take_row, &reader)))
        return cli_fail_library(cli);
    return reader.status;
}

int jsonl_read_prompts(const cli_state *cli, const char *path, const clora_dataset_options *options, jsonl_row row,
                       void *user) {
    row_reader reader = reader_of(path, row, user);

    if (!cli_went(clora_dataset_read_prompts(path, options, take_row, &reader)))
        return cli_fail_library(cli);
    return reader.status;
}

int jsonl_read_rows(const cli_state *cli, const char *path, jsonl_row row, void *user) {
    row_reader reader = reader_of(path, row, user);

    if (!cli_went(clora_dataset_read_rows(path, take_row, &reader)))
        return cli_fail_library(cli);
    return reader.status;
}
