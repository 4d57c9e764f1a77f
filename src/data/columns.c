#include "data/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/plain.h"

typedef struct header {
    const char *path;
    const dataset_text *names;
    size_t count;
} header;

/* ---- What is asked for ---- */

/* The name that begins at `at`, put to `room`; returns what follows it, NULL where quotes do not close. */
static const char *read_name(column_name *out, char *room, const char *at) {
    size_t size = 0;

    out->quoted = *at == '"';
    if (!out->quoted) {
        size = strcspn(at, ",");
        memcpy(room, at, size);
        at += size;
    } else {
        for (at++; *at && (*at != '"' || at[1] == '"'); at++) {
            at += *at == '"'; /* two stand for one */
            room[size++] = *at;
        }
        at = *at ? at + 1 : NULL;
    }
    room[size] = '\0';
    out->text = (dataset_text){room, size};
    return at;
}

clora_status column_names_read(column_name out[2], size_t *count, char *room, const char *list, const char *what) {
    const char *at = list;

    for (*count = 0; *count < 2; at++) {
        at = read_name(&out[*count], room, at);
        if (!at || (*at && *at != ','))
            return clora_fail(CLORA_ERROR_ARGUMENT, "%s %s: a quote that does not close a name", what, list);
        room += out[*count].text.size + 1;
        ++*count;
        if (!*at)
            return CLORA_OK;
    }
    return clora_fail(CLORA_ERROR_ARGUMENT,
                      "%s \"%s\": give the context's and the target's name, or one name; one that holds a comma "
                      "stands in double quotes",
                      what, list);
}

/* ---- What is there ---- */

enum { SHOWN = 40, LIST_ROOM = 600 };

/* The header's names for a message: "a", "b", "c" */
static void list_columns(char out[LIST_ROOM], const header *h) {
    char name[SHOWN + 1], shown[6 * SHOWN + 1];
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < h->count && used + sizeof(shown) + 8 < LIST_ROOM; i++) {
        size_t n = h->names[i].size < SHOWN ? h->names[i].size : SHOWN;
        while (n < h->names[i].size && n > 0 && ((unsigned char)h->names[i].data[n] & 0xC0) == 0x80)
            n--; /* not half a character */
        memcpy(name, h->names[i].data, n);
        name[n] = '\0';
        plain_copy(shown, sizeof(shown), name);
        used += (size_t)snprintf(out + used, LIST_ROOM - used, "%s\"%s\"", i ? ", " : "", shown);
        if (i + 1 < h->count && used + sizeof(shown) + 8 >= LIST_ROOM)
            snprintf(out + used, LIST_ROOM - used, ", ...");
    }
}

static clora_status fail_missing(const header *h, const column_name *name, size_t wanted) {
    const int size = name->text.size < 200 ? (int)name->text.size : 200;
    char columns[LIST_ROOM];

    list_columns(columns, h);
    if (h->count == 1 && wanted == 2)
        return clora_fail(
            CLORA_ERROR_ARGUMENT,
            "%s: no column \"%.*s\"; its header row is one column, %s (commas, semicolons or tabs separate "
            "columns; one alone is chosen with --columns 1)",
            h->path, size, name->text.data, columns);
    return clora_fail(CLORA_ERROR_ARGUMENT,
                      "%s: no column \"%.*s\"; its columns are %s (choose with --columns, by name or number)", h->path,
                      size, name->text.data, columns);
}

/* A number from 1 to count, else 0. */
static size_t as_number(const column_name *name, size_t count) {
    size_t number = 0;

    for (size_t i = 0; i < name->text.size; i++) {
        const char c = name->text.data[i];
        if (name->quoted || c < '0' || c > '9' || number > count)
            return 0;
        number = 10 * number + (size_t)(c - '0');
    }
    return number <= count ? number : 0;
}

static clora_status find_column(size_t *out, const header *h, const column_name *name, size_t wanted) {
    const dataset_text text = name->text;
    size_t found = 0, first = 0, second = 0;

    for (size_t i = 0; i < h->count; i++) {
        if (h->names[i].size != text.size || memcmp(h->names[i].data, text.data, text.size) != 0)
            continue;
        found++;
        second = i;
        first = found == 1 ? i : first;
    }
    if (found > 1)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "%s: more than one column \"%.*s\" (%zu and %zu): choose by number, as in --columns %zu",
                          h->path, (int)(text.size < 200 ? text.size : 200), text.data, first + 1, second + 1,
                          first + 1);
    const size_t number = found ? 0 : as_number(name, h->count);
    if (!found && number == 0)
        return fail_missing(h, name, wanted);
    *out = found ? first : number - 1;
    return CLORA_OK;
}

clora_status columns_choose(column_choice *out, const dataset_builder *builder, const dataset_text *names,
                            size_t count) {
    const char *columns = builder->options.columns ? builder->options.columns : "context,target";
    const header h = {builder->path, names, count};
    char *room = alloc_array(strlen(columns) + 2, 1);
    clora_status status = CLORA_OK;
    column_name asked[2] = {0};
    size_t wanted = 0, found = 0;

    if (!room)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", builder->path);
    out->context = COLUMN_NONE;
    TRY(column_names_read(asked, &wanted, room, columns, "columns"));
    if (wanted == 2) {
        TRY(find_column(&found, &h, &asked[0], wanted));
        out->context = (ptrdiff_t)found;
    }
    TRY(find_column(&out->target, &h, &asked[wanted - 1], wanted));
done:
    free(room);
    return status;
}
