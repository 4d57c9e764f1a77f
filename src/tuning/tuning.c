#include "tuning/tuning.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include "tuning/store.h"
#include "tuning/table.h"

/* One line when a kernel runs with these values from this source for the first time. */
static void tell(const clora_context *context, const tuning_entry *found) {
    if (memo_holds(&context->tuning->given, found))
        return;
    tuning_log(context, "%s: %s (%s)", tuning_key_text(found->row, &found->key),
               tuning_values_text(found->row, found->values), clora_tune_source_name(found->source));
}

static void tell_older(clora_context *context) {
    tuning *t = context->tuning;

    if (t->older[0])
        tuning_log(context, "parameters are used that were tuned %s; 'clora tune' measures them again", t->older);
    t->older[0] = '\0';
}

static void load_once(clora_context *context) {
    tuning *t = context->tuning;

    if (t->loaded || t->mode == CLORA_TUNE_MODE_OFF)
        return;
    t->loaded = true;
    tuning_store_load(context);
}

/* A new answer, told to the log as it asks. */
static void answer(tuning_entry *out, clora_context *context, const kernel_row *row, const kernel_key *key) {
    if (tuning_look_up(out, context, row, key) == CLORA_TUNE_SOURCE_OLDER)
        tell_older(context);
    if (context->tuning->verbose && !context->tuning->hidden)
        tell(context, out);
}

/* The slot of an answer, given now or before; without memory for it `spare` takes its place. NULL: no such kernel. */
static memo_slot *answered(clora_context *context, const char *kernel, const kernel_key *key, memo_slot *spare) {
    tuning *t = context->tuning;
    memo_slot *slot = memo_find(&t->given, kernel, key);
    const kernel_row *row;

    if (slot && slot->kernel)
        return slot;
    row = kernel_find(kernel);
    if (!row)
        return NULL;
    answer(&spare->found, context, row, key);
    if (!slot)
        return spare;
    *slot = (memo_slot){.kernel = kernel, .key = *key, .found = spare->found};
    t->given.used++;
    return slot;
}

static clora_status resolve(tuning_entry *out, clora_context *context, const char *kernel, const kernel_key *key,
                            bool is_launched) {
    tuning *t = context->tuning;
    kernel_key wanted = *key;
    memo_slot spare = {0};

    wanted.M = tuning_bucket(key->M);
    pthread_mutex_lock(&t->lock);
    load_once(context);
    memo_slot *slot = answered(context, kernel, &wanted, &spare);
    if (slot && is_launched && !slot->is_noted && !t->hidden && !context->outlined && !recorder_is_tracing(context)) {
        launch_notes_add(&t->launches, &slot->found);
        slot->is_noted = true;
    }
    if (slot)
        *out = slot->found;
    pthread_mutex_unlock(&t->lock);
    return slot ? CLORA_OK : clora_fail(CLORA_ERROR_NOT_FOUND, "no kernel %s in the registry", kernel);
}

clora_status tuning_resolve(tuning_entry *out, clora_context *context, const char *kernel, const kernel_key *key) {
    return resolve(out, context, kernel, key, true);
}

clora_status tuning_peek(tuning_entry *out, clora_context *context, const char *kernel, const kernel_key *key) {
    return resolve(out, context, kernel, key, false);
}

void tuning_hide(clora_context *context, bool hidden) {
    pthread_mutex_lock(&context->tuning->lock);
    context->tuning->hidden = hidden;
    pthread_mutex_unlock(&context->tuning->lock);
}

recorder *tuning_noted(clora_context *context) {
    return &context->tuning->noted;
}

unsigned tuning_changes(const clora_context *context) {
    return context->tuning->given.cleared;
}

void tuning_forget(clora_context *context) {
    pthread_mutex_lock(&context->tuning->lock);
    memo_clear(&context->tuning->given);
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
        tuning_look_up(&found, context, row, &at);
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
    if (!context || (int)mode < CLORA_TUNE_MODE_OFF || mode > CLORA_TUNE_MODE_TUNE)
        return;
    tuning *t = context->tuning;
    pthread_mutex_lock(&t->lock);
    t->mode = mode;
    memo_clear(&t->given);
    pthread_mutex_unlock(&t->lock);
    recorder_attach(context, mode == CLORA_TUNE_MODE_TUNE ? &t->noted : NULL);
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
