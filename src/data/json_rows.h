#ifndef CLORA_DATA_JSON_ROWS_H
#define CLORA_DATA_JSON_ROWS_H

#include <jansson.h>

#include "data/data_source.h"

/* One object of a file; line is where it begins. A failure ends the reading. */
typedef clora_status (*json_row)(void *user, const json_t *object, size_t line);

/*
 * The objects of a JSON file, one after the other: an object a line, or one array of objects over any number of lines.
 * No more than a row and a line are held in memory. Blank lines and a byte order mark are passed over. Numbers beyond
 * all sizes, and NaN and Infinity as Python writes them, are no error: they are in keys that nobody reads
 * (base/json_literal.h).
 */
clora_status json_rows_read(data_source *source, json_row row, void *user);

#endif
