#include "tokenizer/spm.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/text_buffer.h"

#define MARK "\xe2\x96\x81" /* U+2581, which stands for a blank */

/* ---- The text before the model ---- */

/* NULL without memory. */
static json_t *base64(const unsigned char *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = alloc_array(size / 3 + 1, 4), *to = text;

    for (size_t i = 0; text && i < size; i += 3) {
        const size_t left = size - i;
        const unsigned b = left > 1 ? bytes[i + 1] : 0, c = left > 2 ? bytes[i + 2] : 0;
        const unsigned bits = (unsigned)bytes[i] << 16 | b << 8 | c;
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[bits & 63] : '=';
    }
    json_t *out = text ? json_stringn(text, (size_t)(to - text)) : NULL;
    free(text);
    return out;
}

static void push_replace(json_t **steps, const char *kind, const char *pattern, const char *by) {
    json_push(steps, json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", kind, pattern, "content", by));
}

/* The prefix stands before a text, or before what an added token leaves of it. */
static json_t *normalizer(const scored_vocab *v, bool prefix) {
    json_t *steps = json_array();

    if (v->charsmap_size > 0)
        json_push(&steps, json_pack("{s:s, s:b, s:o}", "type", "Precompiled", CHARSMAP_LONGEST, 1,
                                    "precompiled_charsmap", base64(v->charsmap, v->charsmap_size)));
    if (v->drop_blanks) { /* marks count as blanks at the end alone */
        push_replace(&steps, "Regex", " {2,}", " ");
        push_replace(&steps, "Regex", v->mark_blanks ? "\\A |(?<![ " MARK "])[ " MARK "]+\\z" : "\\A | \\z", "");
    }
    if (v->mark_blanks)
        push_replace(&steps, "String", " ", MARK);
    if (prefix)
        json_push(&steps, json_pack("{s:s, s:s}", "type", "Prepend", "prepend", v->mark_blanks ? MARK : " "));
    return json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps);
}

/* A token that comes whole. */
typedef struct own_token {
    const char *text;
    size_t size;
} own_token;

static int by_size(const void *a, const void *b) {
    const own_token *x = a, *y = b;

    return x->size != y->size ? (x->size < y->size) - (x->size > y->size) : strcmp(x->text, y->text);
}

static clora_status write_own(text_buffer *out, const own_token *own, size_t count) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < count; i++) {
        TRY(text_append(out, "|", i > 0));
        for (size_t k = 0; k < own[i].size; k++) {
            const char c = own[i].text[k];
            TRY(text_append(out, "\\", strchr("\\^$.|?*+()[]{}/-# \t\n\r&~", c) != NULL));
            TRY(text_append(out, &c, 1));
        }
    }
    TRY(text_append(out, "", 1));
done:
    return status;
}

/* A regular expression for all of them, of which the longest goes first; empty where there are none. */
static clora_status list_own(text_buffer *out, const scored_vocab *v) {
    own_token *own = alloc_array(v->count, sizeof(*own));
    clora_status status = CLORA_OK;
    size_t count = 0;

    if (!own)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer");
    for (size_t i = 0; i < v->count; i++)
        if (v->tokens[i].kind == SCORED_OWN)
            own[count++] = (own_token){v->tokens[i].token.text, v->tokens[i].token.size};
    qsort(own, count, sizeof(*own), by_size);
    status = write_own(out, own, count);
    free(own);
    return status;
}

/* `first`: the prefix stands before a text alone. Unigram's scores part own tokens from the rest, merges do not. */
static clora_status pretokenizer(json_t **out, const scored_vocab *v, bool first) {
    clora_status status = CLORA_OK;
    json_t *steps = json_array();
    text_buffer own = {0};

    if (first)
        json_push(&steps, json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", MARK, "prepend_scheme",
                                    "first", "split", 0));
    if (!v->unigram)
        TRY(list_own(&own, v));
    if (own.size > 1)
        json_push(&steps, json_pack("{s:s, s:{s:s}, s:s, s:b}", "type", "Split", "pattern", "Regex", own.data,
                                    "behavior", "Isolated", "invert", 0));
    *out = json_pack("{s:s, s:O}", "type", "Sequence", "pretokenizers", steps);
done:
    json_decref(steps);
    text_finish(&own);
    return status;
}

static json_t *decoder(const scored_vocab *v) {
    json_t *steps = json_array();

    push_replace(&steps, "String", MARK, " ");
    if (v->byte_fallback)
        json_push(&steps, json_pack("{s:s}", "type", "ByteFallback"));
    json_push(&steps, json_pack("{s:s}", "type", "Fuse"));
    if (v->prefix)
        json_push(&steps, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return json_pack("{s:s, s:o}", "type", "Sequence", "decoders", steps);
}

/* ---- Special tokens ---- */

/* One of the configuration, with what it leaves out. */
static json_t *added_token(int64_t id, const json_t *given) {
    static const char *const flags[] = {"single_word", "lstrip", "rstrip", "normalized", "special"};
    json_t *token = json_pack("{s:I, s:O}", "id", (json_int_t)id, "content", json_object_get(given, "content"));

    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
        json_put(&token, flags[i], json_boolean(json_is_true(json_object_get(given, flags[i]))));
    return token;
}

static int by_id(const void *a, const void *b) {
    const json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "id"));
    const json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "id"));

    return (x > y) - (x < y);
}

/* Numbered on from the vocabulary: the smallest first. Takes the list. */
static json_t *sort_tokens(json_t *list) {
    const size_t count = json_array_size(list);
    json_t **items = alloc_array(count, sizeof(json_t *)), *sorted = items ? json_array() : NULL;

    for (size_t i = 0; items && i < count; i++)
        items[i] = json_array_get(list, i);
    if (items)
        qsort(items, count, sizeof(*items), by_id);
    for (size_t i = 0; items && i < count; i++)
        json_push(&sorted, json_incref(items[i]));
    free(items);
    json_decref(list);
    return sorted;
}

/* "added_tokens_decoder": objects by their ids. */
static clora_status add_given(json_t **list, const json_t *config, const char *where) {
    const char *key;
    json_t *given;

    json_object_foreach (json_object_get(config, "added_tokens_decoder"), key, given) {
        char *end;
        const long id = strtol(key, &end, 10);
        if (end == key || *end || !json_is_string(json_object_get(given, "content")))
            return clora_fail(CLORA_ERROR_FORMAT, "%s: \"added_tokens_decoder\" is not objects by their ids", where);
        json_push(list, added_token(id, given));
    }
    return CLORA_OK;
}

static clora_status added_tokens(json_t **out, const scored_vocab *v, const json_t *config, const char *where) {
    const json_t *given = json_object_get(config, "added_tokens_decoder");
    clora_status status = CLORA_OK;
    json_t *list = json_array();
    char id[24];

    for (size_t i = 0; i < v->count; i++) {
        const scored_token *token = &v->tokens[i];
        snprintf(id, sizeof(id), "%zu", i);
        if ((token->kind == SCORED_CONTROL || token->kind == SCORED_UNKNOWN) && !json_object_get(given, id)) {
            json_t *own = json_pack("{s:s%, s:b}", "content", token->token.text, token->token.size, "special", 1);
            json_push(&list, added_token((int64_t)i, own));
            json_decref(own);
        }
    }
    TRY(add_given(&list, config, where));
    *out = sort_tokens(list);
    list = NULL;
done:
    json_decref(list);
    return status;
}

/* The text of a special token that the configuration names, else of the vocabulary's own; NULL: there is none. */
static const char *end_token(const scored_vocab *v, const json_t *config, const char *key, int32_t own) {
    const json_t *value = json_object_get(config, key);

    if (json_is_object(value))
        value = json_object_get(value, "content");
    if (json_is_string(value))
        return json_string_value(value);
    return own >= 0 && !json_object_get(config, key) ? v->tokens[own].token.text : NULL;
}

static int64_t id_of(const json_t *added, const scored_vocab *v, const char *text) {
    json_t *token;
    size_t i;

    json_array_foreach (added, i, token)
        if (strcmp(json_string_value(json_object_get(token, "content")), text) == 0)
            return json_integer_value(json_object_get(token, "id"));
    for (i = 0; i < v->count; i++)
        if (strcmp(v->tokens[i].token.text, text) == 0)
            return (int64_t)i;
    return -1;
}

/* What stands around a text: the bos unless the configuration says no, the eos where it says so. */
static clora_status post_processor(json_t **out, const scored_vocab *v, const json_t *config, const json_t *added,
                                   const char *where) {
    const char *const names[] = {end_token(v, config, "bos_token", v->bos), end_token(v, config, "eos_token", v->eos)};
    json_t *parts[] = {json_array(), json_object()};
    clora_status status = CLORA_OK;
    bool adds[2];

    TRY(json_get_bool(&adds[0], config, "add_bos_token", names[0] != NULL, where));
    TRY(json_get_bool(&adds[1], config, "add_eos_token", false, where));
    for (int i = 0; i < 2; i++) {
        const int64_t id = names[i] ? id_of(added, v, names[i]) : -1;
        if (adds[i] && id < 0)
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: a %s is to be added, and there is none in the vocabulary", where,
                           i ? "\"eos_token\"" : "\"bos_token\""));
        if (i == 1)
            json_push(&parts[0], json_pack("{s:{s:s}}", "Sequence", "id", "A"));
        if (!adds[i])
            continue;
        json_push(&parts[0], json_pack("{s:{s:s}}", "SpecialToken", "id", names[i]));
        json_put(&parts[1], names[i], json_pack("{s:[I]}", "ids", (json_int_t)id));
    }
    *out = json_pack("{s:s, s:O, s:O}", "type", "TemplateProcessing", "single", parts[0], "special_tokens", parts[1]);
done:
    json_decref(parts[0]);
    json_decref(parts[1]);
    return status;
}

/* ---- All of it ---- */

/* Newer configurations put the prefix before a text alone, older ones before whatever an added token leaves of it. */
static clora_status read_scheme(bool *prefix, bool *first, const scored_vocab *v, const json_t *config,
                                const char *where) {
    clora_status status = CLORA_OK;
    bool legacy, wanted;

    TRY(json_get_bool(&legacy, config, "legacy", true, where));
    TRY(json_get_bool(&wanted, config, "add_prefix_space", true, where));
    *prefix = v->prefix && wanted && legacy;
    *first = v->prefix && wanted && !legacy;
    if (*first && (v->drop_blanks || !v->mark_blanks))
        status = clora_fail(CLORA_ERROR_UNSUPPORTED,
                            "%s: \"legacy\" is false for a vocabulary that drops blanks or does not mark them", where);
done:
    return status;
}

clora_status spm_describe(json_t **out, const scored_vocab *vocab, const json_t *config, const char *where) {
    json_t *added = NULL, *post = NULL, *pre = NULL;
    clora_status status = CLORA_OK;
    bool prefix, first;

    *out = NULL;
    TRY(read_scheme(&prefix, &first, vocab, config, where));
    TRY(added_tokens(&added, vocab, config, where));
    TRY(post_processor(&post, vocab, config, added, where));
    TRY(pretokenizer(&pre, vocab, first));
    *out = json_pack("{s:O, s:O, s:O, s:o, s:o}", "added_tokens", added, "post_processor", post, "pre_tokenizer", pre,
                     "normalizer", normalizer(vocab, prefix), "decoder", decoder(vocab));
    if (!*out)
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer");
done:
    json_decref(added);
    json_decref(post);
    json_decref(pre);
    return status;
}
