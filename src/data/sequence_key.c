#include "data/sequence_key.h"

#include <stdlib.h>
#include <string.h>

#include <clora/version.h>

#include <xxhash.h>

#include "base/alloc.h"
#include "base/cache.h"
#include "chat/chat.h"
#include "tokenizer/tokenizer.h"

static void add(XXH3_state_t *state, const void *data, size_t size) {
    XXH3_128bits_update(state, data, size);
}

/* With its end, and NULL unlike "". */
static void add_text(XXH3_state_t *state, const char *text) {
    const char is_there = text != NULL;

    add(state, &is_there, 1);
    if (text)
        add(state, text, strlen(text) + 1);
}

/* What is asked for, of whatever file. */
static void add_options(XXH3_state_t *state, const dataset_builder *builder) {
    const clora_dataset_options *o = &builder->options;
    const int64_t numbers[] = {o->max_length, o->learn_context, o->kind, o->pair_template, builder->bos, builder->eos};
    const uint64_t hashes[] = {builder->tokenizer->hash, o->chat ? chat_hash(o->chat) : 0};

    add_text(state, CLORA_VERSION);
    add(state, numbers, sizeof(numbers));
    add(state, hashes, sizeof(hashes));
    add_text(state, o->columns);
    add_text(state, o->keys);
    for (size_t i = 0; o->labels && o->labels[i]; i++)
        add_text(state, o->labels[i]);
}

static void add_path(XXH3_state_t *state, const char *path) {
    char *whole = realpath(path, NULL);

    add_text(state, whole ? whole : path);
    free(whole);
}

static clora_status name_file(char **out, uint64_t hash) {
    char *cache = cache_directory();

    if (!cache)
        return clora_fail(CLORA_ERROR_IO, "no place for a file of sequences: set CLORA_CACHE_DIR to a directory");
    *out = alloc_format("%s/data/%016llx.sequences", cache, (unsigned long long)hash);
    free(cache);
    return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for the name of a file");
}

static void add_stamp(XXH3_state_t *state, const file_stamp *stamp) {
    const uint64_t numbers[] = {stamp->device, stamp->inode, stamp->size, (uint64_t)stamp->modified.tv_sec,
                                (uint64_t)stamp->modified.tv_nsec};

    add(state, numbers, sizeof(numbers));
}

clora_status sequence_key_make(sequence_key *out, const dataset_builder *builder, const clora_data_file *files,
                               const file_stamp *stamps, size_t count) {
    XXH3_state_t *state = XXH3_createState();
    clora_status status = CLORA_OK;

    *out = (sequence_key){NULL, {0}};
    if (!state)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a hash");
    XXH3_128bits_reset(state);
    add_options(state, builder);
    for (size_t i = 0; i < count; i++)
        add_path(state, files[i].path);
    TRY(name_file(&out->path, XXH3_128bits_digest(state).low64));
    for (size_t i = 0; i < count; i++)
        add_stamp(state, &stamps[i]);
    const XXH128_hash_t hash = XXH3_128bits_digest(state);
    out->hash[0] = hash.low64;
    out->hash[1] = hash.high64;
done:
    XXH3_freeState(state);
    return status;
}
