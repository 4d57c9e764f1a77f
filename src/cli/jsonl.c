#include "cli/jsonl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_line(const cli_state *cli, const char *where, const char *text, size_t size, jsonl_line line,
                     void *user) {
    json_error_t error;
    int status;

    if (size == 0)
        return cli_fail(cli, "%sempty; every line holds one JSON object", where);
    json_t *object = json_loadb(text, size, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (!object)
        status = cli_fail(cli, "%snot JSON: %s", where, error.text);
    else if (!json_is_object(object))
        status = cli_fail(cli, "%snot a JSON object, such as {\"text\": \"...\"}", where);
    else
        status = line(user, where, object);
    json_decref(object);
    return status;
}

static int read_stream(const cli_state *cli, FILE *stream, const char *name, jsonl_line line, void *user) {
    char *text = NULL, where[512];
    size_t room = 0;
    long long number = 0;
    int status = CLI_DONE;
    ssize_t size;

    while (status == CLI_DONE && !ferror(stdout) && (errno = 0, size = getline(&text, &room, stream)) > 0) {
        while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
            size--;
        snprintf(where, sizeof(where), "%s, line %lld: ", name, ++number);
        status = read_line(cli, where, text, (size_t)size, line, user);
    }
    if (status == CLI_DONE && !feof(stream) && !ferror(stdout))
        status = cli_fail(cli, "cannot read %s: %s", name, errno ? strerror(errno) : "a read failed");
    free(text);
    return status;
}

int jsonl_read(const cli_state *cli, const char *path, jsonl_line line, void *user) {
    if (strcmp(path, "-") == 0)
        return read_stream(cli, stdin, "standard input", line, user);
    FILE *stream = fopen(path, "r");
    if (!stream)
        return cli_fail(cli, "cannot open %s: %s", path, strerror(errno));
    const int status = read_stream(cli, stream, path, line, user);
    fclose(stream);
    return status;
}
