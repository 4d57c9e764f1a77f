#include "io/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Reads a row at a time: RFC 4180, with LF or CR LF at the ends of rows. */
typedef struct csv_reader {
    const dataset_builder *builder;
    const char *at, *end;
    size_t line; /* of `at` */
    size_t row;  /* line where the row began */
    char *text;  /* the row's fields without their quotes, end to end */
    size_t used, text_capacity;
    size_t *start; /* count + 1 places in text */
    size_t count, start_capacity;
} csv_reader;

static dataset_text field(const csv_reader *reader, size_t i) {
    return (dataset_text){reader->text + reader->start[i], reader->start[i + 1] - reader->start[i]};
}

static clora_status put(csv_reader *reader, const char *data, size_t n) {
    const clora_status status = alloc_grow((void **)&reader->text, &reader->text_capacity, reader->used + n + 1, 1);

    if (status != CLORA_OK)
        return status;
    memcpy(reader->text + reader->used, data, n);
    reader->used += n;
    return CLORA_OK;
}

static clora_status close_field(csv_reader *reader) {
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&reader->start, &reader->start_capacity, reader->count + 2, sizeof(*reader->start)));
    reader->start[0] = 0;
    reader->start[++reader->count] = reader->used;
done:
    return status;
}

static bool at_row_end(const csv_reader *reader) {
    const size_t left = (size_t)(reader->end - reader->at);

    return left == 0 || *reader->at == '\n' || (*reader->at == '\r' && (left == 1 || reader->at[1] == '\n'));
}

static clora_status read_plain(csv_reader *reader) {
    const char *from = reader->at;

    while (!at_row_end(reader) && *reader->at != ',') {
        if (*reader->at == '"')
            return dataset_fail(reader->builder, reader->line,
                                "a quote inside a field without quotes: put \"...\" around the field, and double it");
        reader->at++;
    }
    return put(reader, from, (size_t)(reader->at - from));
}

static clora_status read_quoted(csv_reader *reader) {
    const size_t opened = reader->line;
    clora_status status = CLORA_OK;

    reader->at++;
    for (;;) {
        const char *quote = memchr(reader->at, '"', (size_t)(reader->end - reader->at));
        if (!quote)
            return dataset_fail(reader->builder, opened, "a quoted field begins here and never ends");
        for (const char *p = reader->at; p < quote; p++)
            reader->line += *p == '\n';
        TRY(put(reader, reader->at, (size_t)(quote - reader->at)));
        reader->at = quote + 1;
        if (reader->at == reader->end || *reader->at != '"')
            break;
        TRY(put(reader, "\"", 1)); /* two stand for one */
        reader->at++;
    }
    if (!at_row_end(reader) && *reader->at != ',')
        return dataset_fail(reader->builder, reader->line, "text after a field's closing quote: double quotes inside");
done:
    return status;
}

/* The next row; at the end of the file count is 0. */
static clora_status read_row(csv_reader *reader) {
    clora_status status = CLORA_OK;
    bool more = reader->at < reader->end;

    reader->count = reader->used = 0;
    reader->row = reader->line;
    while (more) {
        const bool quoted = reader->at < reader->end && *reader->at == '"';
        TRY(quoted ? read_quoted(reader) : read_plain(reader));
        TRY(close_field(reader));
        more = !at_row_end(reader); /* else it is a comma */
        reader->at += more;
    }
    if (reader->at < reader->end)
        reader->at += *reader->at == '\r' ? (reader->end - reader->at > 1 ? 2 : 1) : 1;
    reader->line++;
done:
    return status;
}

/* A line with nothing in it is no row. */
static clora_status read_filled_row(csv_reader *reader) {
    clora_status status = CLORA_OK;

    do {
        TRY(read_row(reader));
    } while (reader->count == 1 && reader->used == 0 && reader->at < reader->end);
    if (reader->count == 1 && reader->used == 0)
        reader->count = 0;
done:
    return status;
}

/* The header's names for a message: "a", "b", "c" */
static void list_columns(char *out, size_t size, const csv_reader *reader) {
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < reader->count && used < size; i++) {
        const dataset_text name = field(reader, i);
        used += (size_t)snprintf(out + used, size - used, "%s\"%.*s\"", i ? ", " : "",
                                 (int)(name.size < 40 ? name.size : 40), name.data);
    }
}

static clora_status find_column(size_t *out, const csv_reader *reader, const char *name, size_t size) {
    char columns[512];
    size_t found = 0;

    for (size_t i = 0; i < reader->count; i++) {
        const dataset_text candidate = field(reader, i);
        if (candidate.size == size && memcmp(candidate.data, name, size) == 0) {
            *out = i;
            found++;
        }
    }
    if (found == 1)
        return CLORA_OK;
    list_columns(columns, sizeof(columns), reader);
    return clora_fail(CLORA_ERROR_ARGUMENT, "%s: %s column \"%.*s\"; its columns are %s (choose with --columns)",
                      reader->builder->path, found ? "more than one" : "no", (int)size, name, columns);
}

enum { NO_CONTEXT = -1 };

/* columns is "context,target" or "target" */
static clora_status find_columns(ptrdiff_t *context, size_t *target, const csv_reader *reader) {
    const char *columns = reader->builder->options.columns ? reader->builder->options.columns : "context,target";
    const char *comma = strchr(columns, ',');
    clora_status status = CLORA_OK;
    size_t found;

    *context = NO_CONTEXT;
    if (comma && strchr(comma + 1, ','))
        return clora_fail(CLORA_ERROR_ARGUMENT, "columns \"%s\": give the context's and the target's name, or one name",
                          columns);
    if (comma) {
        TRY(find_column(&found, reader, columns, (size_t)(comma - columns)));
        *context = (ptrdiff_t)found;
        columns = comma + 1;
    }
    TRY(find_column(target, reader, columns, strlen(columns)));
done:
    return status;
}

static clora_status read_rows(dataset_builder *builder, csv_reader *reader) {
    clora_status status = CLORA_OK;
    ptrdiff_t context;
    size_t target, columns;

    TRY(read_filled_row(reader));
    if (reader->count == 0)
        return CLORA_OK;
    columns = reader->count;
    TRY(find_columns(&context, &target, reader));
    for (;;) {
        TRY(read_filled_row(reader));
        if (reader->count == 0)
            break;
        if (reader->count != columns)
            return dataset_fail(builder, reader->row, "%zu fields where the header has %zu", reader->count, columns);
        const dataset_text before = context == NO_CONTEXT ? (dataset_text){"", 0} : field(reader, (size_t)context);
        TRY(dataset_add_pair(builder, before, field(reader, target), reader->row));
    }
done:
    return status;
}

clora_status dataset_read_csv(dataset_builder *builder, dataset_text text) {
    csv_reader reader = {.builder = builder, .at = text.data, .end = text.data + text.size, .line = 1};
    const clora_status status = read_rows(builder, &reader);

    free(reader.text);
    free(reader.start);
    return status;
}
