#include "io/tokenizer_vocab.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "io/tokenizer_text.h"

#define MOST_LEFT_OUT (1 << 20)
#define MOST_TOKENS (1 << 26)

static clora_status read_id(int32_t *id, const json_t *value, const char *text, size_t size, size_t count,
                            const char *where) {
    char quoted[TEXT_EXCERPT];

    if (!json_is_integer(value))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: the id of \"%s\" is not an integer", where,
                          text_excerpt(quoted, text, size));
    if (json_integer_value(value) < 0 || json_integer_value(value) >= (json_int_t)(count + MOST_LEFT_OUT))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: the id of \"%s\" is %lld, in a vocabulary of %zu tokens", where,
                          text_excerpt(quoted, text, size), (long long)json_integer_value(value), count);
    *id = (int32_t)json_integer_value(value);
    return CLORA_OK;
}

/* The sizes of everything, and that the ids are ids. */
static clora_status measure(vocab *v, size_t *bytes, const json_t *object, const char *where) {
    clora_status status = CLORA_OK;
    const char *text;
    json_t *value;
    size_t size;
    int32_t id = 0;

    if (!json_is_object(object))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"vocab\" must be an object of tokens and ids", where));
    if (json_object_size(object) > MOST_TOKENS)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: %zu tokens", where, json_object_size(object)));
    v->count = (int32_t)json_object_size(object);
    *bytes = 0;
    json_object_keylen_foreach((json_t *)object, text, size, value) {
        TRY(read_id(&id, value, text, size, (size_t)v->count, where));
        if (id >= v->size)
            v->size = id + 1;
        if (!size_add(*bytes, size + 1, bytes))
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a vocabulary"));
    }
done:
    return status;
}

static size_t slot_of(const vocab *v, const char *text, size_t size) {
    size_t slot = (size_t)XXH3_64bits(text, size) & v->mask;

    while (v->slots[slot] >= 0) {
        const vocab_token *token = &v->tokens[v->slots[slot]];
        if (token->size == size && memcmp(token->text, text, size) == 0)
            break;
        slot = (slot + 1) & v->mask;
    }
    return slot;
}

static clora_status fill(vocab *v, const json_t *object, const char *where) {
    char *to = v->texts, one[TEXT_EXCERPT], other[TEXT_EXCERPT];
    const char *text;
    json_t *value;
    size_t size;

    json_object_keylen_foreach((json_t *)object, text, size, value) {
        const int32_t id = (int32_t)json_integer_value(value);
        if (v->tokens[id].text)
            return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" and \"%s\" have the same id %d", where,
                              text_excerpt(one, v->tokens[id].text, v->tokens[id].size),
                              text_excerpt(other, text, size), (int)id);
        memcpy(to, text, size);
        to[size] = '\0';
        v->tokens[id] = (vocab_token){to, size};
        v->slots[slot_of(v, text, size)] = id;
        to += size + 1;
    }
    return CLORA_OK;
}

clora_status vocab_init(vocab *v, const json_t *object, const char *where) {
    clora_status status = CLORA_OK;
    size_t bytes, slots = 16;

    *v = (vocab){0};
    TRY(measure(v, &bytes, object, where));
    while (slots < (size_t)v->count * 2)
        slots *= 2;
    v->mask = slots - 1;
    v->tokens = alloc_array((size_t)v->size, sizeof(*v->tokens));
    v->texts = alloc_array(bytes, 1);
    v->slots = alloc_array(slots, sizeof(*v->slots));
    if (!v->tokens || !v->texts || !v->slots)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a vocabulary"));
    for (size_t i = 0; i < slots; i++)
        v->slots[i] = -1;
    TRY(fill(v, object, where));
done:
    if (status != CLORA_OK)
        vocab_finish(v);
    return status;
}

void vocab_finish(vocab *v) {
    free(v->tokens);
    free(v->texts);
    free(v->slots);
    *v = (vocab){0};
}

int32_t vocab_find(const vocab *v, const char *text, size_t size) {
    return v->slots[slot_of(v, text, size)];
}
