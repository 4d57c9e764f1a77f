#ifndef CLORA_IO_JSON_ROWS_H
#define CLORA_IO_JSON_ROWS_H

#include <stdio.h>

#include <jansson.h>

#include "base/status.h"

/* One object of a file; line is where it begins. A failure ends the reading. */
typedef clora_status (*json_row)(void *user, const json_t *object, size_t line);

/*
 * The objects of a JSON file, one after the other: an object a line, or one array of objects over any number of lines.
 * No more than a row and a line are held in memory. Blank lines and a byte order mark are passed over. Numbers are for
 * keys that nobody reads: of any size, or NaN and Infinity as Python writes them, they are no error and have no
 * meaningful value.
 *
 * `name` is the file's, for messages. The stream stays open.
 */
clora_status json_rows_read(FILE *stream, const char *name, json_row row, void *user);

#endif
