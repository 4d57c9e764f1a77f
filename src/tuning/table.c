#include "tuning/table.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/note.h"

/* A word that is not known counts as the default: a context must not fail for it. */
static clora_tune_mode mode_from_environment(void) {
    const char *text = getenv("CLORA_TUNE");
    return text && strcmp(text, "off") == 0 ? CLORA_TUNE_MODE_OFF : CLORA_TUNE_MODE_USE;
}

clora_status tuning_create(tuning **out) {
    pthread_mutexattr_t recursive;

    *out = calloc(1, sizeof(**out));
    if (*out)
        (*out)->most_items = calloc(kernel_rows_count, sizeof(*(*out)->most_items));
    if (!*out || !(*out)->most_items) {
        free(*out);
        *out = NULL;
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the tuned parameters");
    }
    (*out)->mode = mode_from_environment();
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE); /* the first look-up reads the cache directory */
    pthread_mutex_init(&(*out)->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    return CLORA_OK;
}

void tuning_free(tuning *t) {
    if (!t)
        return;
    pthread_mutex_destroy(&t->lock);
    recorder_finish(&t->noted);
    free(t->entries);
    free(t->forced);
    free(t->most_items);
    memo_finish(&t->given);
    launch_notes_finish(&t->launches);
    free(t->directory);
    free(t);
}

void tuning_log(const clora_context *context, const char *format, ...) {
    const tuning *t = context->tuning;
    char line[512];
    va_list args;

    va_start(args, format);
    c_locale_format(line, sizeof(line), format, args);
    va_end(args);
    if (t->log)
        t->log(t->log_user, line);
    else
        note("%s", line);
}

/* How far apart two shapes are: doublings of every size; infinite for another storage type or a size that one lacks. */
static double distance(const kernel_key *a, const kernel_key *b) {
    const int from[] = {a->M, a->N, a->K}, to[] = {b->M, b->N, b->K};
    double sum = fabs(log2((a->R + 4.0) / (b->R + 4.0)));

    for (int i = 0; i < 3; i++) {
        if ((from[i] == 0) != (to[i] == 0))
            return INFINITY;
        sum += from[i] ? fabs(log2((double)from[i] / to[i])) : 0.0;
    }
    return a->dtype == b->dtype ? sum : INFINITY;
}

/* The table's best for a key: the same key, most trusted first, else the nearest within reach. */
static const tuning_entry *entry_for(const tuning *t, const kernel_row *row, const kernel_key *key) {
    double nearest = 3.0; /* doublings */
    const tuning_entry *best = NULL;

    for (size_t i = 0; i < t->entries_count; i++) {
        const tuning_entry *e = &t->entries[i];
        if (e->row != row)
            continue;
        const double apart = distance(&e->key, key);
        if (apart < nearest || (apart <= nearest && best && e->source > best->source)) {
            nearest = apart;
            best = e;
        }
    }
    return best;
}

static size_t limit_of(const clora_context *context, const kernel_row *row) {
    return context->tuning->most_items[row - kernel_rows];
}

kernel_at tuning_at(const clora_context *context, const kernel_row *row, const kernel_key *key) {
    const size_t most = limit_of(context, row);
    return (kernel_at){context, key, most ? most : context->info.max_group};
}

/* CLORA_PARAM_<KERNEL>_<NAME> in the environment, or 0. */
static int value_from_environment(const kernel_row *row, const kernel_parameter *parameter) {
    char variable[128];

    snprintf(variable, sizeof(variable), "CLORA_PARAM_%s_%s", row->name, parameter->name);
    for (char *c = variable; *c; c++)
        *c = (char)toupper_l((unsigned char)*c, c_locale());
    const char *text = getenv(variable);
    return text && atoi(text) > 0 ? atoi(text) : 0;
}

clora_tune_source tuning_look_up(tuning_entry *out, const clora_context *context, const kernel_row *row,
                                 const kernel_key *key) {
    const tuning *t = context->tuning;
    const tuning_entry *entry = entry_for(t, row, key);

    if (entry && (t->mode == CLORA_TUNE_MODE_OFF || limit_of(context, row)) && entry->source != CLORA_TUNE_SOURCE_SET)
        entry = NULL;
    for (size_t i = 0; i < t->forced_count; i++)
        if (t->forced[i].row == row)
            entry = &t->forced[i];
    *out = (tuning_entry){.row = row, .key = *key, .source = entry ? entry->source : CLORA_TUNE_SOURCE_DEFAULT};
    if (entry && entry->source < CLORA_TUNE_SOURCE_SET && !kernel_key_is(&entry->key, key))
        out->source = CLORA_TUNE_SOURCE_SIMILAR;
    const kernel_at at = tuning_at(context, row, key);
    for (int i = 0; i < KERNEL_PARAMETERS && row->parameters[i].name; i++) {
        const int forced = value_from_environment(row, &row->parameters[i]);
        const bool fits = entry && (out->source != CLORA_TUNE_SOURCE_SIMILAR ||
                                    kernel_allows(&at, &row->parameters[i], entry->values[i]));
        out->values[i] = forced ? forced : fits ? entry->values[i] : kernel_default(&at, &row->parameters[i]);
        if (forced)
            out->source = CLORA_TUNE_SOURCE_SET;
    }
    return entry ? entry->source : CLORA_TUNE_SOURCE_DEFAULT;
}

void tuning_older(clora_context *context, const char *measured) {
    snprintf(context->tuning->older, sizeof(context->tuning->older), "%s", measured);
}

static clora_status check_values(const clora_context *context, const tuning_entry *e) {
    const kernel_row *row = e->row;
    const int *values = e->values;
    const kernel_at at = tuning_at(context, row, &e->key);

    for (int i = 0; i < KERNEL_PARAMETERS && row->parameters[i].name; i++)
        if (!kernel_allows(&at, &row->parameters[i], values[i]))
            return clora_fail(CLORA_ERROR_ARGUMENT, "kernel %s takes no %s of %d here", row->name,
                              row->parameters[i].name, values[i]);
    return CLORA_OK;
}

bool tuning_allows(const clora_context *context, const tuning_entry *entry) {
    return check_values(context, entry) == CLORA_OK;
}

clora_status tuning_add(clora_context *context, const tuning_entry *entry) {
    tuning *t = context->tuning;
    tuning_entry *place = NULL;
    clora_status status = CLORA_OK;

    pthread_mutex_lock(&t->lock);
    TRY(check_values(context, entry));
    for (size_t i = 0; i < t->entries_count && !place; i++)
        if (t->entries[i].row == entry->row && kernel_key_is(&t->entries[i].key, &entry->key))
            place = &t->entries[i];
    if (place && place->source > entry->source)
        goto done;
    if (!place) {
        TRY(alloc_grow((void **)&t->entries, &t->entries_capacity, t->entries_count + 1, sizeof(*t->entries)));
        place = &t->entries[t->entries_count++];
    }
    *place = *entry;
    memo_clear(&t->given);
done:
    pthread_mutex_unlock(&t->lock);
    return status;
}

bool tuning_is_measured(clora_context *context) {
    tuning *t = context->tuning;
    bool measured = false;

    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->entries_count && !measured; i++)
        measured = t->entries[i].source >= CLORA_TUNE_SOURCE_OLDER;
    pthread_mutex_unlock(&t->lock);
    return measured;
}

bool tuning_limit(clora_context *context, const kernel_row *row, size_t most_items) {
    tuning *t = context->tuning;
    size_t *known = &t->most_items[row - kernel_rows];

    pthread_mutex_lock(&t->lock);
    const bool is_new = *known == 0 || most_items < *known;
    if (is_new) {
        *known = most_items;
        memo_clear(&t->given);
        tuning_log(context,
                   "kernel %s: its driver allows it groups of %zu work-items, so its parameters are chosen anew",
                   row->name, most_items);
    }
    pthread_mutex_unlock(&t->lock);
    return is_new;
}

clora_status tuning_force(clora_context *context, const kernel_row *row, const int *values) {
    tuning *t = context->tuning;
    clora_status status = CLORA_OK;
    size_t i = 0;

    pthread_mutex_lock(&t->lock);
    memo_clear(&t->given);
    while (i < t->forced_count && t->forced[i].row != row)
        i++;
    if (!values) {
        if (i < t->forced_count)
            t->forced[i] = t->forced[--t->forced_count];
        goto done;
    }
    if (i == t->forced_count)
        TRY(alloc_grow((void **)&t->forced, &t->forced_capacity, t->forced_count + 1, sizeof(*t->forced)));
    t->forced[i] = (tuning_entry){.row = row, .source = CLORA_TUNE_SOURCE_SET};
    memcpy(t->forced[i].values, values, sizeof(t->forced[i].values));
    if (i == t->forced_count)
        t->forced_count++;
done:
    pthread_mutex_unlock(&t->lock);
    return status;
}
