#ifndef CLORA_DATA_COLUMNS_H
#define CLORA_DATA_COLUMNS_H

#include "data/dataset.h"

/* A name of a list, out of its quotes. */
typedef struct column_name {
    dataset_text text; /* zero-terminated besides */
    bool quoted;
} column_name;

/* "A,B" or "A", names of columns or keys, as `what` says for messages; one that holds a comma stands in double quotes.
 * room: strlen(list) + 2 bytes, which the names point into. */
clora_status column_names_read(column_name out[2], size_t *count, char *room, const char *list, const char *what);

enum { COLUMN_NONE = -1 };

/* Columns of a table, from 0. */
typedef struct column_choice {
    ptrdiff_t context; /* COLUMN_NONE: the context is empty */
    size_t target;
} column_choice;

/*
 * Find in a header row what the builder's options.columns names: "CONTEXT,TARGET" or "TARGET". Each is a column's name,
 * in quotes as in CSV where it holds a comma; what is no name may be a number, from 1.
 */
clora_status columns_choose(column_choice *out, const dataset_builder *builder, const dataset_text *names,
                            size_t count);

#endif
