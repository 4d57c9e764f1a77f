#ifndef CLI_JSON_OUT_H
#define CLI_JSON_OUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

#include "cli/cli.h"

/* A number with nine significant digits; null when it is not finite, which JSON cannot say. */
json_t *json_number(double value);

/* The shortest decimal that reads back as this float: 0.0002, where the float widened to double is 0.000199999995. */
json_t *json_float(float value);

/* A path; where it is not UTF-8, which JSON cannot hold, with '?' for every byte beyond ASCII. */
json_t *json_path(const char *path);

/* A text in quotes, with escapes for what would disturb a line; yours to free, NULL without memory. */
char *json_quoted(const char *text, size_t size);

/* An array of token ids. */
json_t *json_ids(const int32_t *ids, size_t count);

/* Add a value, which is taken over, to an object or an array; without memory the whole is freed and becomes NULL. The
 * library has the same two inside (base/json.h), which the command does not see. */
void json_put(json_t **object, const char *key, json_t *value);
void json_push(json_t **array, json_t *value);

/* One line to a stream; frees the value. NULL values (no memory) fail. Returns 0, or -1 when it was not written. */
int json_put_line(json_t *value, FILE *stream);

/* A file that is there is whole and on disk. 0, or -1 with errno set: ENOMEM also for a NULL value. */
int json_save(const json_t *value, const char *path);

/* The result of a command, on standard output: the exit status. */
int json_print(const cli_state *cli, json_t *value);

#endif
