#include "data/dataset.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "data/columns.h"
#include "data/pair_template.h"

/* Reads a row at a time: RFC 4180, with LF or CR LF at the ends of rows. */
typedef struct csv_reader {
    const dataset_builder *builder;
    const char *at, *end;
    char separator;
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

    while (!at_row_end(reader) && *reader->at != reader->separator) {
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
    if (!at_row_end(reader) && *reader->at != reader->separator)
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
        more = !at_row_end(reader); /* else it is a separator */
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

/* ---- The header row ---- */

/* What parts the columns in tables as programs write them. */
enum { TAB = 2, SEPARATORS };
static const char separators[SEPARATORS] = {',', ';', [TAB] = '\t'};

/* Separators by how often they are in the header row outside of quotes, the most frequent first. */
static void rank_separators(char out[SEPARATORS], const csv_reader *reader) {
    size_t count[SEPARATORS] = {0};
    bool quoted = false;

    for (const char *at = reader->at; at < reader->end && (quoted || *at != '\n'); at++) {
        quoted ^= *at == '"';
        for (int i = 0; i < SEPARATORS; i++)
            count[i] += !quoted && *at == separators[i];
    }
    if (count[TAB] > 0 && c_locale_ends_with(reader->builder->path, ".tsv"))
        count[TAB] = SIZE_MAX;
    for (int i = 0; i < SEPARATORS; i++) {
        int place = 0;
        for (int k = 0; k < SEPARATORS; k++)
            place += count[k] > count[i] || (count[k] == count[i] && k < i);
        out[place] = separators[i];
    }
}

/* Read the header row with a separator and look for the columns. */
static clora_status read_header(csv_reader *reader, char separator, column_choice *choice) {
    clora_status status = CLORA_OK;
    dataset_text *names = NULL;

    reader->separator = separator;
    TRY(read_row(reader));
    names = alloc_array(reader->count, sizeof(*names));
    if (!names)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", reader->builder->path));
    for (size_t i = 0; i < reader->count; i++)
        names[i] = field(reader, i);
    TRY(columns_choose(choice, reader->builder, names, reader->count));
done:
    free(names);
    return status;
}

/* The separator is the most frequent with which the header row has the columns; where none has, that of the message. */
static clora_status find_columns(csv_reader *reader, column_choice *choice) {
    const char *at = reader->at;
    const size_t line = reader->line;
    char ranked[SEPARATORS];

    rank_separators(ranked, reader);
    for (int i = 0; i <= SEPARATORS; i++) {
        reader->at = at;
        reader->line = line;
        const clora_status status = read_header(reader, ranked[i % SEPARATORS], choice);
        if (status == CLORA_OK || i == SEPARATORS)
            return status;
    }
    return CLORA_OK;
}

/* Empty lines before the header. */
static void skip_empty_lines(csv_reader *reader) {
    while (reader->at < reader->end && (*reader->at == '\n' || *reader->at == '\r')) {
        reader->line += *reader->at == '\n';
        reader->at++;
    }
}

static clora_status add_row(dataset_builder *builder, const csv_reader *reader, const column_choice *choice) {
    const dataset_text target = field(reader, choice->target);

    if (choice->context == COLUMN_NONE)
        return pair_add_text(builder, target, reader->row);
    const pair_text pair = {.prompt = field(reader, (size_t)choice->context), .more = {"", 0}, .completion = target};
    return pair_add(builder, &pair, reader->row);
}

static clora_status read_rows(dataset_builder *builder, csv_reader *reader) {
    clora_status status = CLORA_OK;
    column_choice choice;
    size_t columns;

    skip_empty_lines(reader);
    if (reader->at == reader->end)
        return CLORA_OK;
    TRY(find_columns(reader, &choice));
    columns = reader->count;
    for (;;) {
        TRY(read_filled_row(reader));
        if (reader->count == 0)
            break;
        if (reader->count != columns)
            return dataset_fail(builder, reader->row, "%zu fields where the header has %zu", reader->count, columns);
        TRY(add_row(builder, reader, &choice));
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
