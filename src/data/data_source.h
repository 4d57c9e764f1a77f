#ifndef CLORA_DATA_DATA_SOURCE_H
#define CLORA_DATA_DATA_SOURCE_H

#include <stdbool.h>

#include "data/dataset.h"

/*
 * A data_source is the bytes of a data file, unpacked where gzip has packed them, whatever the file is called. One
 * thread at a time.
 */

/* A regular file; "-": standard input. */
clora_status data_source_open(data_source **out, const char *path);
void data_source_close(data_source *source); /* NULL is allowed */

/* The file's name, for messages. */
const char *data_source_name(const data_source *source);

/* What comes next, without going on: enough to tell what kind of file it is. Borrowed. */
clora_status data_source_peek(dataset_text *out, data_source *source);

/* The next line with its end, borrowed until the next call; *more is false after the last. */
clora_status data_source_line(dataset_text *out, bool *more, data_source *source);

/* All that is left; *bytes is yours to free. */
clora_status data_source_all(char **bytes, size_t *size, data_source *source);

#endif
