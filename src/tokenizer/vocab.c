#include "tokenizer/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tokenizer/text_buffer.h"

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

static clora_status allocate(vocab *v, size_t bytes) {
    clora_status status = CLORA_OK;

    TRY(token_index_init(&v->index, (size_t)v->count));
    v->tokens = alloc_array((size_t)v->size, sizeof(*v->tokens));
    v->texts = alloc_array(bytes, 1);
    if (!v->tokens || !v->texts)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a vocabulary"));
done:
    return status;
}

static void add(vocab *v, int32_t id, const char *text, size_t size) {
    char *to = v->texts + v->texts_size;

    memcpy(to, text, size);
    to[size] = '\0';
    v->texts_size += size + 1;
    v->tokens[id] = (token_text){to, size};
    token_index_add(&v->index, v->tokens, id);
}

static clora_status fill(vocab *v, const json_t *object, const char *where) {
    char one[TEXT_EXCERPT], other[TEXT_EXCERPT];
    const char *text;
    json_t *value;
    size_t size;

    json_object_keylen_foreach((json_t *)object, text, size, value) {
        const int32_t id = (int32_t)json_integer_value(value);
        if (v->tokens[id].text)
            return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" and \"%s\" have the same id %d", where,
                              text_excerpt(one, v->tokens[id].text, v->tokens[id].size),
                              text_excerpt(other, text, size), (int)id);
        add(v, id, text, size);
    }
    return CLORA_OK;
}

clora_status vocab_init(vocab *v, const json_t *object, const char *where) {
    clora_status status = CLORA_OK;
    size_t bytes;

    *v = (vocab){0};
    TRY(measure(v, &bytes, object, where));
    TRY(allocate(v, bytes));
    TRY(fill(v, object, where));
done:
    if (status != CLORA_OK)
        vocab_finish(v);
    return status;
}

static clora_status measure_list(vocab *v, size_t *bytes, const json_t *list, const char *where) {
    clora_status status = CLORA_OK;
    json_t *entry;
    size_t i;

    if (json_array_size(list) > MOST_TOKENS)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: %zu tokens", where, json_array_size(list)));
    *bytes = 0;
    json_array_foreach (list, i, entry) {
        const json_t *text = json_array_get(entry, 0);
        if (json_array_size(entry) != 2 || !json_is_string(text) || !json_is_number(json_array_get(entry, 1)))
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: token %zu of \"vocab\" is not [text, score]", where, i));
        if (!size_add(*bytes, json_string_length(text) + 1, bytes))
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a vocabulary"));
    }
    v->size = v->count = (int32_t)json_array_size(list);
done:
    return status;
}

clora_status vocab_init_list(vocab *v, const json_t *list, const char *where) {
    clora_status status = CLORA_OK;
    json_t *entry;
    size_t bytes, i;

    *v = (vocab){0};
    TRY(measure_list(v, &bytes, list, where));
    TRY(allocate(v, bytes));
    json_array_foreach (list, i, entry) {
        const json_t *text = json_array_get(entry, 0);
        add(v, (int32_t)i, json_string_value(text), json_string_length(text));
    }
done:
    if (status != CLORA_OK)
        vocab_finish(v);
    return status;
}

clora_status vocab_init_scored(vocab *v, const scored_vocab *scored, const char *where) {
    clora_status status = CLORA_OK;
    char quoted[TEXT_EXCERPT];
    size_t bytes = 0;

    *v = (vocab){0};
    if (scored->count > MOST_TOKENS)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: %zu tokens", where, scored->count));
    for (size_t i = 0; i < scored->count; i++)
        if (!size_add(bytes, scored->tokens[i].token.size + 1, &bytes))
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a vocabulary"));
    v->size = v->count = (int32_t)scored->count;
    TRY(allocate(v, bytes));
    for (size_t i = 0; i < scored->count; i++) {
        const token_text *token = &scored->tokens[i].token;
        if (vocab_find(v, token->text, token->size) >= 0)
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: the token \"%s\" is there twice", where,
                           text_excerpt(quoted, token->text, token->size)));
        add(v, (int32_t)i, token->text, token->size);
    }
done:
    if (status != CLORA_OK)
        vocab_finish(v);
    return status;
}

void vocab_finish(vocab *v) {
    free(v->tokens);
    free(v->texts);
    token_index_finish(&v->index);
    *v = (vocab){0};
}

int32_t vocab_find(const vocab *v, const char *text, size_t size) {
    return token_index_find(&v->index, v->tokens, text, size);
}

void vocab_find_bytes(const vocab *v, int32_t bytes[256]) {
    char name[8];

    for (unsigned i = 0; i < 256; i++) {
        snprintf(name, sizeof(name), "<0x%02X>", i);
        bytes[i] = vocab_find(v, name, 6);
    }
}
