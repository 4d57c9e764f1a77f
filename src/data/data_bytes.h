#ifndef CLORA_DATA_DATA_BYTES_H
#define CLORA_DATA_DATA_BYTES_H

#include <stddef.h>

#include "base/status.h"

/* What the bytes of a data file must be: UTF-8 without NUL. `name` is the file's, for messages. */

/* The bytes that a file begins with: an archive, a table or another encoding is named, with what to do about it. */
clora_status data_check_kind(const char *name, const char *bytes, size_t size);

/* Bytes of a file from the beginning of a line on. */
clora_status data_check_text(const char *name, size_t line, const char *bytes, size_t size);

/* The bytes of a byte order mark that a text begins with, 0 without one. */
size_t data_mark_size(const char *bytes, size_t size);

#endif
