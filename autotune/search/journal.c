#include "search/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/file_error.h"
#include "base/json.h"
#include "tuning/entry.h"
#include "tuning/store.h"
#include "tuning/table.h"

typedef enum event { ABOUT, RESULT, POISON, EVENTS } event;

static const char *const event_names[EVENTS] = {"about", "result", "poison"};

typedef struct line {
    event event;
    const kernel_row *row;
    kernel_key key;
    int values[KERNEL_PARAMETERS];
    double ratio, seconds, minimum, spread;
    int count;
} line;

struct journal {
    int fd;
    char *path;
    line *lines;
    size_t count, capacity;
};

static clora_status remember(journal *j, const line *l) {
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&j->lines, &j->capacity, j->count + 1, sizeof(*j->lines)));
    j->lines[j->count++] = *l;
done:
    return status;
}

static clora_status read_line(journal *j, const char *text, size_t size) {
    line l = {.event = EVENTS};
    json_t *json = NULL;
    const char *name = NULL, *kernel = NULL;
    clora_status status = CLORA_OK;

    TRY(json_load_bytes(&json, text, size, "a line"));
    TRY(json_get_text(&name, json, "event", "", j->path));
    TRY(json_get_text(&kernel, json, "kernel", "", j->path));
    for (event e = ABOUT; e < EVENTS; e++)
        l.event = strcmp(name, event_names[e]) == 0 ? e : l.event;
    l.row = kernel_find(kernel);
    if (l.event == EVENTS || !l.row)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "no event of a kernel"));
    TRY(tuning_key_from_json(&l.key, json_object_get(json, "key"), j->path));
    TRY(tuning_values_from_json(l.values, l.row, json_object_get(json, "parameters"), j->path));
    TRY(json_get_real(&l.ratio, json, "ratio", INFINITY, j->path));
    if (!(l.ratio > 0.0))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "a ratio that is not positive"));
    TRY(json_get_real(&l.seconds, json, "median_s", 0.0, j->path));
    TRY(json_get_real(&l.minimum, json, "minimum_s", 0.0, j->path));
    TRY(json_get_real(&l.spread, json, "spread", 0.0, j->path));
    TRY(remember(j, &l));
done:
    json_decref(json);
    return status;
}

static clora_status read_file(journal *j, clora_context *context, const char *path) {
    enum { LIMIT = 256 << 20 };
    clora_status status = CLORA_OK;
    size_t size = 0, bad = 0;
    char *text = NULL;

    if (!file_exists(path))
        return CLORA_OK;
    TRY(file_read_text(&text, &size, path, LIMIT));
    for (char *at = text; at < text + size;) {
        char *end = memchr(at, '\n', (size_t)(text + size - at));
        const size_t length = end ? (size_t)(end - at) : (size_t)(text + size - at);
        status = read_line(j, at, length);
        if (status == CLORA_ERROR_MEMORY)
            goto done;
        bad += status != CLORA_OK;
        at += length + 1;
    }
    status = CLORA_OK;
    if (bad)
        tuning_log(context, "ignored: %zu lines of %s", bad, path);
done:
    free(text);
    return status;
}

/* What an earlier release measured in this environment. A journal that cannot be read is as good as none. */
static void read_beside(void *user, clora_context *context, const char *directory, const json_t *environment) {
    char *path = file_join(directory, "journal.jsonl");

    (void)environment;
    if (path && read_file(user, context, path) != CLORA_OK)
        tuning_log(context, "ignored: %s", clora_last_error());
    free(path);
}

/* A last line that was cut off must not swallow the next one. */
static void end_last_line(const journal *j) {
    char last = '\n';
    const off_t size = lseek(j->fd, 0, SEEK_END);

    if (size > 0 && pread(j->fd, &last, 1, size - 1) == 1 && last != '\n')
        (void)!write(j->fd, "\n", 1);
}

static clora_status open_journal(journal **out, clora_context *context, bool to_write) {
    const char *directory = tuning_store_directory(context);
    clora_status status = CLORA_OK;
    journal *j = calloc(1, sizeof(*j));

    *out = NULL;
    if (!j)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the journal");
    j->fd = -1;
    j->path = directory ? file_join(directory, "journal.jsonl") : NULL;
    if (!j->path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the journal"));
    tuning_store_visit(context, ENVIRONMENT_SAME, read_beside, j);
    TRY(read_file(j, context, j->path));
    if (to_write) {
        j->fd = open(j->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
        if (j->fd < 0)
            TRY(file_error_write(j->path, errno));
        end_last_line(j);
    }
    *out = j;
    j = NULL;
done:
    journal_close(j);
    return status;
}

clora_status journal_open(journal **out, clora_context *context) {
    return open_journal(out, context, true);
}

clora_status journal_open_to_read(journal **out, clora_context *context) {
    return open_journal(out, context, false);
}

void journal_close(journal *j) {
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    free(j->path);
    free(j->lines);
    free(j);
}

clora_status journal_list(clora_tune_entry **out, int *count, const journal *j) {
    *count = 0;
    *out = alloc_array(j->count + 1, sizeof(**out));
    if (!*out)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the journal");
    for (size_t i = 0; i < j->count; i++) {
        const line *l = &j->lines[i];
        if (l->event != RESULT)
            continue;
        tuning_entry row = {.row = l->row, .key = l->key, .source = CLORA_TUNE_SOURCE_EXACT};
        memcpy(row.values, l->values, sizeof(row.values));
        clora_tune_entry *e = &(*out)[(*count)++];
        tuning_entry_fill(e, &row);
        e->seconds = l->seconds;
        e->minimum = l->minimum;
        e->spread = l->spread;
        e->default_seconds = l->seconds / l->ratio; /* the default's time of that moment */
    }
    return CLORA_OK;
}

static bool is_values(const line *l, const kernel_row *row, const int *values) {
    return l->row == row && memcmp(l->values, values, sizeof(l->values)) == 0;
}

journal_record journal_find(const journal *j, const kernel_row *row, const kernel_key *key, const int *values) {
    journal_record found = {.ratio = INFINITY};
    enum { STRIKES = 3 };
    int begun = 0;

    for (size_t i = 0; i < j->count; i++) {
        const line *l = &j->lines[i];
        if (!is_values(l, row, values))
            continue;
        found.is_poison = found.is_poison || l->event == POISON;
        begun += l->event == ABOUT ? 1 : l->event == RESULT ? -1 : 0;
        if (l->event == RESULT && kernel_key_is(&l->key, key)) {
            found.is_measured = true;
            found.ratio = l->ratio;
        }
    }
    found.is_poison = found.is_poison || begun >= STRIKES;
    return found;
}

static clora_status append(journal *j, event e, const kernel_row *row, const kernel_key *key, const int *values,
                           double ratio, json_t *more) {
    line l = {.event = e, .row = row, .key = *key, .ratio = ratio};
    json_t *json = json_pack("{s:s, s:s, s:o, s:o}", "event", event_names[e], "kernel", row->name, "key",
                             tuning_key_to_json(key), "parameters", tuning_values_to_json(row, values));
    char *text = NULL;
    clora_status status = CLORA_OK;

    if (more && json_object_update(json, more) != 0) {
        json_decref(json);
        json = NULL;
    }
    text = json ? json_text(json, JSON_COMPACT) : NULL;
    json_decref(more);
    json_decref(json);
    char *whole = text ? alloc_format("%s\n", text) : NULL;
    if (!whole)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the journal"));
    const size_t size = strlen(whole);
    const ssize_t written = write(j->fd, whole, size);
    if (written < 0 || (size_t)written != size)
        TRY(file_error_write(j->path, written < 0 ? errno : ENOSPC));
    memcpy(l.values, values, sizeof(l.values));
    TRY(remember(j, &l));
done:
    free(whole);
    free(text);
    return status;
}

clora_status journal_about(journal *j, const kernel_row *row, const kernel_key *key, const int *values) {
    return append(j, ABOUT, row, key, values, INFINITY, NULL);
}

clora_status journal_result(journal *j, const kernel_row *row, const kernel_key *key, const int *values, double ratio,
                            const measurement *m) {
    json_t *more = m->usable ? json_pack("{s:f, s:f, s:f, s:f, s:i}", "ratio", ratio, "median_s", m->median,
                                         "minimum_s", m->minimum, "spread", m->spread, "count", m->count)
                             : json_pack("{s:s}", "why", m->why);
    return append(j, RESULT, row, key, values, m->usable ? ratio : INFINITY, more);
}

clora_status journal_poison(journal *j, const kernel_row *row, const kernel_key *key, const int *values,
                            const char *why) {
    return append(j, POISON, row, key, values, INFINITY, json_pack("{s:s}", "why", why));
}
