#include "tuning/tuning.h"

#include <assert.h>
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "tuning/entry.h"
#include "tuning/store.h"

/* An answer that was given before. The name is compared by address: another literal of the same text is another slot.
 */
typedef struct memo_slot {
    const char *kernel;
    kernel_key key;
    tuning_entry found;
} memo_slot;

struct tuning {
    pthread_mutex_t lock;
    tuning_entry *entries;
    size_t entries_count, entries_capacity;
    tuning_entry *forced; /* keys do not matter */
    size_t forced_count, forced_capacity;
    memo_slot *slots; /* open addressing; a power of two of them */
    size_t slots_count, slots_used;
    clora_tune_mode mode;
    bool loaded;    /* the cache directory was read */
    recorder noted; /* in the mode tune */
    clora_tune_log log;
    void *log_user;
    bool verbose;
    char older[256]; /* what entries of another driver were measured with; empty once that was told */
};

const char *clora_tune_source_name(clora_tune_source source) {
    static const char *const names[] = {"analytic default", "similar shape or rank",
                                        "shipped table",    "entry of another driver or unit count",
                                        "exact entry",      "set by hand"};
    return (size_t)source < sizeof(names) / sizeof(names[0]) ? names[source] : "unknown source";
}

/* A word that is not known counts as the default: a context must not fail for it. */
static clora_tune_mode mode_from_environment(void) {
    const char *text = getenv("CLORA_TUNE");
    return text && strcmp(text, "off") == 0 ? CLORA_TUNE_OFF : CLORA_TUNE_USE;
}

clora_status tuning_create(tuning **out) {
    pthread_mutexattr_t recursive;

    *out = calloc(1, sizeof(**out));
    if (!*out)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the tuned parameters");
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
    free(t->slots);
    free(t);
}

void tuning_log(const clora_context *context, const char *format, ...) {
    const tuning *t = context->tuning;
    char line[512];
    va_list args;

    if (!t->log)
        return;
    va_start(args, format);
    c_locale_format(line, sizeof(line), format, args);
    va_end(args);
    t->log(t->log_user, line);
}

int tuning_bucket(int M) {
    enum { DENSE = 16, LARGEST = 1 << 30 };
    int bucket = M > 0 ? 1 : 0;

    while (bucket < M && bucket < LARGEST)
        bucket *= bucket < DENSE ? 2 : 4;
    return bucket;
}

/* ---- what was asked before ---- */

static memo_slot *memo_find(const tuning *t, const char *kernel, const kernel_key *key) {
    const struct {
        const char *kernel;
        int numbers[5], zero;
    } hashed = {kernel, {key->dtype, key->M, key->N, key->K, key->R}, 0};
    size_t at = (size_t)XXH3_64bits(&hashed, sizeof(hashed));

    for (;; at++) {
        memo_slot *slot = &t->slots[at & (t->slots_count - 1)];
        if (!slot->kernel || (slot->kernel == kernel && kernel_key_is(&slot->key, key)))
            return slot;
    }
}

/* Room for one more: at least half of the slots stay free. False without memory. */
static bool memo_grow(tuning *t) {
    enum { FIRST = 128 };
    const size_t old_count = t->slots_count;
    memo_slot *old = t->slots;

    if (t->slots_count > 2 * t->slots_used)
        return true;
    memo_slot *slots = alloc_array(old_count ? 2 * old_count : FIRST, sizeof(*slots));
    if (!slots)
        return false;
    t->slots = slots;
    t->slots_count = old_count ? 2 * old_count : FIRST;
    for (size_t i = 0; i < old_count; i++)
        if (old[i].kernel)
            *memo_find(t, old[i].kernel, &old[i].key) = old[i];
    free(old);
    return true;
}

static void memo_clear(tuning *t) {
    if (t->slots_used)
        memset(t->slots, 0, t->slots_count * sizeof(*t->slots));
    t->slots_used = 0;
}

/* ---- the table ---- */

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

/* CLORA_PARAM_<KERNEL>_<NAME> in the environment, or 0. */
static int value_from_environment(const kernel_row *row, const kernel_parameter *parameter) {
    char variable[128];

    snprintf(variable, sizeof(variable), "CLORA_PARAM_%s_%s", row->name, parameter->name);
    for (char *c = variable; *c; c++)
        *c = (char)toupper_l((unsigned char)*c, c_locale());
    const char *text = getenv(variable);
    return text && atoi(text) > 0 ? atoi(text) : 0;
}

/* Allocates nothing. The source of the table's entry that was taken, whether for this key or for a similar one. */
static clora_tune_source look_up(tuning_entry *out, const clora_context *context, const kernel_row *row,
                                 const kernel_key *key) {
    const tuning *t = context->tuning;
    const tuning_entry *entry = entry_for(t, row, key);

    if (entry && t->mode == CLORA_TUNE_OFF && entry->source != CLORA_TUNE_SET)
        entry = NULL;
    for (size_t i = 0; i < t->forced_count; i++)
        if (t->forced[i].row == row)
            entry = &t->forced[i];
    *out = (tuning_entry){.row = row, .key = *key, .source = entry ? entry->source : CLORA_TUNE_DEFAULT};
    if (entry && entry->source < CLORA_TUNE_SET && !kernel_key_is(&entry->key, key))
        out->source = CLORA_TUNE_SIMILAR;
    for (int i = 0; i < KERNEL_PARAMETERS && row->parameters[i].name; i++) {
        const int forced = value_from_environment(row, &row->parameters[i]);
        const bool fits = entry && (out->source != CLORA_TUNE_SIMILAR ||
                                    kernel_allows(context, &row->parameters[i], key, entry->values[i]));
        out->values[i] = forced ? forced : fits ? entry->values[i] : kernel_default(context, &row->parameters[i], key);
        if (forced)
            out->source = CLORA_TUNE_SET;
    }
    return entry ? entry->source : CLORA_TUNE_DEFAULT;
}

/* One line when a kernel runs with these values from this source for the first time. */
static void tell(const clora_context *context, const tuning_entry *found) {
    const tuning *t = context->tuning;

    for (size_t i = 0; i < t->slots_count; i++)
        if (t->slots[i].kernel && t->slots[i].found.row == found->row && t->slots[i].found.source == found->source &&
            memcmp(t->slots[i].found.values, found->values, sizeof(found->values)) == 0)
            return;
    tuning_log(context, "%s: %s (%s)", tuning_key_text(found->row, &found->key),
               tuning_values_text(found->row, found->values), clora_tune_source_name(found->source));
}

void tuning_older(clora_context *context, const char *measured) {
    snprintf(context->tuning->older, sizeof(context->tuning->older), "%s", measured);
}

static void tell_older(clora_context *context) {
    tuning *t = context->tuning;

    if (t->older[0])
        tuning_log(context, "parameters are used that were tuned %s; 'clora tune' measures them again", t->older);
    t->older[0] = '\0';
}

static void load_once(clora_context *context) {
    tuning *t = context->tuning;

    if (t->loaded || t->mode == CLORA_TUNE_OFF)
        return;
    t->loaded = true;
    tuning_store_load(context);
}

/* A new answer, told to the log as it asks. */
static void answer(tuning_entry *out, clora_context *context, const kernel_row *row, const kernel_key *key) {
    if (look_up(out, context, row, key) == CLORA_TUNE_OLDER)
        tell_older(context);
    if (context->tuning->verbose)
        tell(context, out);
}

clora_status tuning_resolve(tuning_entry *out, clora_context *context, const char *kernel, const kernel_key *key) {
    tuning *t = context->tuning;
    kernel_key wanted = *key;
    clora_status status = CLORA_OK;

    wanted.M = tuning_bucket(key->M);
    pthread_mutex_lock(&t->lock);
    load_once(context);
    memo_slot *slot = memo_grow(t) ? memo_find(t, kernel, &wanted) : NULL;
    if (slot && slot->kernel) {
        *out = slot->found;
        goto done;
    }
    const kernel_row *row = kernel_find(kernel);
    if (!row)
        TRY(clora_fail(CLORA_ERROR_NOT_FOUND, "no kernel %s in the registry", kernel));
    answer(out, context, row, &wanted);
    if (slot) {
        *slot = (memo_slot){kernel, wanted, *out};
        t->slots_used++;
    }
done:
    pthread_mutex_unlock(&t->lock);
    return status;
}

static clora_status check_values(const clora_context *context, const tuning_entry *e) {
    const kernel_row *row = e->row;
    const int *values = e->values;
    const kernel_key *key = &e->key;

    for (int i = 0; i < KERNEL_PARAMETERS && row->parameters[i].name; i++)
        if (!kernel_allows(context, &row->parameters[i], key, values[i]))
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
    memo_clear(t);
done:
    pthread_mutex_unlock(&t->lock);
    return status;
}

bool tuning_is_measured(clora_context *context) {
    tuning *t = context->tuning;
    bool measured = false;

    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->entries_count && !measured; i++)
        measured = t->entries[i].source >= CLORA_TUNE_OLDER;
    pthread_mutex_unlock(&t->lock);
    return measured;
}

clora_status tuning_force(clora_context *context, const kernel_row *row, const int *values) {
    tuning *t = context->tuning;
    clora_status status = CLORA_OK;
    size_t i = 0;

    pthread_mutex_lock(&t->lock);
    memo_clear(t);
    while (i < t->forced_count && t->forced[i].row != row)
        i++;
    if (!values) {
        if (i < t->forced_count)
            t->forced[i] = t->forced[--t->forced_count];
        goto done;
    }
    if (i == t->forced_count)
        TRY(alloc_grow((void **)&t->forced, &t->forced_capacity, t->forced_count + 1, sizeof(*t->forced)));
    t->forced[i] = (tuning_entry){.row = row, .source = CLORA_TUNE_SET};
    memcpy(t->forced[i].values, values, sizeof(t->forced[i].values));
    if (i == t->forced_count)
        t->forced_count++;
done:
    pthread_mutex_unlock(&t->lock);
    return status;
}

bool tuning_set_verbose(clora_context *context, bool verbose) {
    tuning *t = context->tuning;

    pthread_mutex_lock(&t->lock);
    const bool before = t->verbose;
    t->verbose = verbose;
    pthread_mutex_unlock(&t->lock);
    return before;
}

recorder *tuning_noted(clora_context *context) {
    return &context->tuning->noted;
}

void tuning_forget(clora_context *context) {
    pthread_mutex_lock(&context->tuning->lock);
    memo_clear(context->tuning);
    pthread_mutex_unlock(&context->tuning->lock);
}

int tuning_choose(clora_context *context, const char *choice, const kernel_key *key) {
    tuning_entry found;
    kernel_build build;

    if (tuning_resolve(&found, context, choice, key) != CLORA_OK) {
        assert(!"a registry name that does not exist");
        return 1;
    }
    if (context->recorder) {
        memset(&build, 0, sizeof(build)); /* builds are compared by their bytes */
        build.row = found.row;
        memcpy(build.values, found.values, sizeof(build.values));
        pthread_mutex_lock(&context->lock);
        if (context->recorder)
            (void)recorder_note(context->recorder, &build, &found.key); /* one note less is no reason to fail */
        pthread_mutex_unlock(&context->lock);
    }
    return found.values[0];
}

bool tuning_may_choose(clora_context *context, const char *choice, int value, const kernel_key *key) {
    const kernel_row *row = kernel_find(choice);
    kernel_key at = *key;
    tuning_entry found;
    bool may = false;

    pthread_mutex_lock(&context->tuning->lock);
    load_once(context);
    for (at.M = 1; !may && at.M < INT_MAX / 4; at.M = tuning_bucket(at.M + 1)) {
        look_up(&found, context, row, &at);
        may = found.values[0] == value;
    }
    pthread_mutex_unlock(&context->tuning->lock);
    return may;
}

int tuning_value(clora_context *context, const char *kernel, const char *parameter, const kernel_key *key) {
    tuning_entry found;

    if (tuning_resolve(&found, context, kernel, key) == CLORA_OK)
        return found.values[kernel_parameter_index(found.row, parameter)];
    assert(!"a registry name that does not exist");
    return 1;
}

void clora_tune_set_mode(clora_context *context, clora_tune_mode mode) {
    if (!context || (int)mode < CLORA_TUNE_OFF || mode > CLORA_TUNE_TUNE)
        return;
    tuning *t = context->tuning;
    pthread_mutex_lock(&t->lock);
    t->mode = mode;
    memo_clear(t);
    pthread_mutex_unlock(&t->lock);
    recorder_attach(context, mode == CLORA_TUNE_TUNE ? &t->noted : NULL);
}

void clora_tune_set_log(clora_context *context, clora_tune_log log, void *user, int verbose) {
    if (!context)
        return;
    tuning *t = context->tuning;
    pthread_mutex_lock(&t->lock);
    t->log = log;
    t->log_user = user;
    t->verbose = verbose;
    pthread_mutex_unlock(&t->lock);
}
