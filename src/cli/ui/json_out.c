#include "cli/ui/json_out.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/ui/progress.h"

json_t *json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *json_float(float value) {
    char text[32];

    if (!isfinite(value))
        return json_null();
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    return json_real(strtod(text, NULL));
}

json_t *json_path(const char *path) {
    json_t *text = json_string(path);
    char *ascii = text ? NULL : strdup(path);

    for (char *c = ascii; c && *c; c++)
        if ((unsigned char)*c > 0x7f)
            *c = '?';
    if (ascii)
        text = json_string(ascii);
    free(ascii);
    return text;
}

char *json_quoted(const char *text, size_t size) {
    json_t *value = json_stringn(text, size);
    char *quoted = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

    json_decref(value);
    return quoted;
}

static void keep_if(json_t **whole, int added) {
    if (!added) {
        json_decref(*whole);
        *whole = NULL;
    }
}

void json_put(json_t **object, const char *key, json_t *value) {
    keep_if(object, json_object_set_new(*object, key, value) == 0);
}

void json_push(json_t **array, json_t *value) {
    keep_if(array, json_array_append_new(*array, value) == 0);
}

json_t *json_ids(const int32_t *ids, size_t count) {
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++)
        json_push(&array, json_integer(ids[i]));
    return array;
}

int json_put_line(json_t *value, FILE *stream) {
    if (!value)
        return -1;
    const int failed = json_dumpf(value, stream, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(value);
    return failed || fputc('\n', stream) == EOF ? -1 : 0;
}

static int write_file(const json_t *value, const char *path) {
    FILE *out = fopen(path, "wbe");

    if (!out)
        return -1;
    errno = ENOMEM; /* unless a write says more */
    const bool written = json_dumpf(value, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 &&
                         fputc('\n', out) != EOF && fflush(out) == 0 && fsync(fileno(out)) == 0;
    const int why = errno;
    const bool closed = fclose(out) == 0;
    if (!written)
        errno = why;
    return written && closed ? 0 : -1;
}

int json_save(const json_t *value, const char *path) {
    char *unfinished = NULL;

    if (!value || asprintf(&unfinished, "%s.new", path) < 0) {
        errno = ENOMEM;
        return -1;
    }
    const int failed = write_file(value, unfinished) != 0 || rename(unfinished, path) != 0 ? -1 : 0;
    const int why = errno;
    if (failed)
        unlink(unfinished);
    free(unfinished);
    errno = why;
    return failed;
}

int json_print(const cli_state *cli, json_t *value) {
    progress_clear_all();
    /* A stream that fails is noticed at the end. */
    if (!value || (json_put_line(value, stdout) != 0 && !ferror(stdout)))
        return cli_fail(cli, "no memory for the result");
    return CLI_DONE;
}
