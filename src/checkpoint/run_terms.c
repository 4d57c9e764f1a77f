#include "checkpoint/run_terms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "files/model_files.h"

/* ---- hashes ---- */

static json_t *hash_text(XXH3_state_t *state) {
    const XXH128_hash_t hash = XXH3_128bits_digest(state);
    char text[33];

    snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    return json_string(text);
}

static clora_status hash_tensor(XXH3_state_t *state, const model_files *files, const stored_tensor *tensor, char *piece,
                                size_t room) {
    clora_status status = CLORA_OK;

    XXH3_128bits_update(state, tensor->name, strlen(tensor->name) + 1);
    for (size_t at = 0, n; at < tensor->size; at += n) {
        n = tensor->size - at < room ? tensor->size - at : room;
        TRY(model_files_read(piece, files, tensor, at, n));
        XXH3_128bits_update(state, piece, n);
    }
done:
    return status;
}

/* A model that is trained from scratch has no files: its weights follow from the seed. */
static clora_status hash_base(json_t **out, XXH3_state_t *state, const clora_trainer *t) {
    enum { PIECE = 1 << 20 };
    model_files *files = NULL;
    char *piece = NULL;
    clora_status status = model_files_open(&files, t->model->directory);

    if (status == CLORA_ERROR_NOT_FOUND) {
        *out = json_string("");
        return CLORA_OK;
    }
    TRY(status);
    piece = malloc(PIECE);
    if (!piece)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a checkpoint"));
    for (size_t i = 0; i < model_files_count(files); i++)
        TRY(hash_tensor(state, files, model_files_tensor(files, i), piece, PIECE));
    *out = hash_text(state);
done:
    free(piece);
    model_files_close(files);
    return status;
}

static void hash_scales(XXH3_state_t *state, const lowrank *term) {
    for (int m = 0; term && m < term->modules; m++)
        XXH3_128bits_update(state, &term->module[m].scale, sizeof(term->module[m].scale));
}

/* Which parameters there are, where they lie and how they are updated: their sizes tell of ranks and widths. */
static clora_status hash_parameters(json_t **out, XXH3_state_t *state, const clora_trainer *t) {
    for (size_t i = 0; i < t->parameters.count; i++) {
        const parameter *p = &t->parameters.list[i];
        const uint64_t place[] = {(uint64_t)p->buffer, p->offset, p->count};
        const float rates[] = {p->group.lr_factor, p->group.weight_decay};
        XXH3_128bits_update(state, p->name, strlen(p->name) + 1);
        XXH3_128bits_update(state, place, sizeof(place));
        XXH3_128bits_update(state, rates, sizeof(rates));
    }
    for (int i = 0; i < t->model->projections; i++)
        hash_scales(state, adapter_term(t->adapter, i));
    *out = hash_text(state);
    return CLORA_OK;
}

static clora_status put_hash(json_t **object, const char *key, const clora_trainer *t,
                             clora_status (*hash)(json_t **out, XXH3_state_t *state, const clora_trainer *t)) {
    XXH3_state_t *state = XXH3_createState();
    json_t *value = NULL;
    clora_status status = CLORA_OK;

    if (!state)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a checkpoint"));
    XXH3_128bits_reset(state);
    TRY(hash(&value, state, t));
    json_put(object, key, value);
done:
    XXH3_freeState(state);
    return status;
}

/* ---- options ---- */

static json_t *real(float value) {
    return json_real((double)value);
}

static void put_options(json_t **terms, const clora_trainer *t) {
    const clora_train_options *o = &t->options;

    json_put(terms, "steps", json_integer(t->steps));
    json_put(terms, "batch-size", json_integer(o->batch_size));
    json_put(terms, "accumulate", json_integer(o->accumulate));
    json_put(terms, "pack", json_boolean(o->pack));
    json_put(terms, "max-length", json_integer(o->max_length));
    json_put(terms, "shuffle", json_boolean(o->shuffle));
    json_put(terms, "seed", json_integer((json_int_t)o->seed));
    json_put(terms, "lr", real(o->lr));
    json_put(terms, "schedule", json_integer(o->schedule));
    json_put(terms, "warmup", json_integer(o->warmup));
    json_put(terms, "optimizer", json_integer(o->optimizer));
    json_put(terms, "momentum", real(o->momentum));
    json_put(terms, "weight-decay", real(o->weight_decay));
    json_put(terms, "clip", real(o->clip));
    json_put(terms, "beta1", real(o->beta1));
    json_put(terms, "beta2", real(o->beta2));
    json_put(terms, "eps", real(o->eps));
    json_put(terms, "lora-plus-ratio", real(o->lora_plus_ratio));
    json_put(terms, "label-smoothing", real(o->label_smoothing));
    json_put(terms, "own objective", json_boolean(o->objective != NULL));
    json_put(terms, "preference", json_integer(o->preference));
    json_put(terms, "beta", real(o->beta));
    json_put(terms, "skip-nonfinite", json_integer(o->skip_nonfinite));
    json_put(terms, "dropout", real(t->adapter->dropout));
}

clora_status run_terms_describe(json_t **out, const clora_trainer *t) {
    clora_status status = CLORA_OK;
    json_t *terms = json_object();
    char data[33];

    *out = NULL;
    TRY(put_hash(&terms, "list of parameters", t, hash_parameters));
    put_options(&terms, t);
    TRY(clora_dataset_hash(data, t->dataset));
    json_put(&terms, "data", json_string(data));
    TRY(put_hash(&terms, "base", t, hash_base));
    if (!terms)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a checkpoint"));
    *out = terms;
    terms = NULL;
done:
    json_decref(terms);
    return status;
}

/* ---- comparing ---- */

/* Numbers are worth telling, hashes are not. */
static clora_status fail_for(const char *key, const json_t *theirs, const json_t *own, const char *path) {
    char *a = theirs ? json_text(theirs, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    char *b = json_text(own, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    const clora_status status =
        json_is_string(own) || !a || !b
            ? clora_fail(CLORA_ERROR_ARGUMENT, "%s is of a run whose %s is not this one's", path, key)
            : clora_fail(CLORA_ERROR_ARGUMENT, "%s is of a run whose %s is %s, and this one's is %s", path, key, a, b);

    free(a);
    free(b);
    return status;
}

clora_status run_terms_compare(const json_t *theirs, const json_t *own, const char *path) {
    json_t *value;
    const char *key;

    json_object_foreach ((json_t *)(uintptr_t)own, key, value) {
        const json_t *other = json_object_get(theirs, key);
        if (!json_equal(other, value))
            return fail_for(key, other, value, path);
    }
    return CLORA_OK;
}
