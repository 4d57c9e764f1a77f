/* tokenizer.json, or tokenizer.model, 8< a text 8< tokenizer_config.json */

#include <string.h>

#include "fuzz/fuzz.h"
#include "tokenizer/tokenizer.h"

/* What components may make of a text, with the text itself. */
enum { MOST_TIMES = 1 + 2 * 64, MOST_BESIDES = 2 << 20 };

static void decode(const clora_tokenizer *t, const int32_t *ids, size_t count) {
    char *text;
    size_t size;

    for (int skip = 0; skip < 2; skip++)
        if (clora_tokenizer_decode(t, ids, count, skip, &text, &size) == CLORA_OK) {
            FUZZ_CHECK(text[size] == '\0');
            free(text);
        }
}

static void stream(const clora_tokenizer *t, const int32_t *ids, size_t count) {
    clora_decoder *decoder;
    const char *piece;
    size_t size, i = count / 2;

    if (clora_decoder_create(&decoder, t, ids, i) != CLORA_OK)
        return;
    while (i < count && clora_decoder_push(decoder, ids[i], &piece, &size) == CLORA_OK)
        i++;
    (void)clora_decoder_flush(decoder, &piece, &size);
    clora_decoder_free(decoder);
}

static void encode(const clora_tokenizer *t, fuzz_part text) {
    int32_t *ids = NULL;
    size_t count = 0, dropped;

    if (clora_tokenizer_encode(t, (const char *)text.data, text.size, 1, &ids, &count) != CLORA_OK)
        return;
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(ids[i] >= 0 && ids[i] < clora_tokenizer_vocab_size(t));
    FUZZ_CHECK(clora_tokenizer_count_dropped(t, (const char *)text.data, text.size, &dropped) == CLORA_OK);
    FUZZ_CHECK(dropped <= MOST_TIMES * text.size + MOST_BESIDES);
    decode(t, ids, count);
    stream(t, ids, count);
    free(ids);
}

static bool begins_with(const pair_ids *pair, const int32_t *ids, size_t count) {
    return pair->count >= count && (count == 0 || memcmp(pair->ids, ids, count * sizeof(*ids)) == 0);
}

/* Wherever the text is cut, it has the ids of the whole, or those of its first part and then others. */
static void cut(const clora_tokenizer *t, const char *text, size_t at, size_t size) {
    int32_t *whole = NULL, *first = NULL;
    size_t whole_count, first_count;
    pair_ids pair;

    if (tokenizer_encode_pair(t, text, at, size, &pair) != CLORA_OK)
        return;
    FUZZ_CHECK(pair.context <= pair.count);
    if (clora_tokenizer_encode(t, text, size, 0, &whole, &whole_count) == CLORA_OK &&
        clora_tokenizer_encode(t, text, at, 0, &first, &first_count) == CLORA_OK)
        FUZZ_CHECK((pair.count == whole_count && begins_with(&pair, whole, whole_count)) ||
                   (pair.context == first_count && begins_with(&pair, first, first_count)));
    free(pair.ids);
    free(whole);
    free(first);
}

static void cut_everywhere(const clora_tokenizer *t, fuzz_part part) {
    const size_t most = part.size > 4000 ? 0 : part.size < 100 ? part.size : 100; /* a long text takes its time */
    const char *text = (const char *)part.data;
    size_t bad;

    if (!utf8_valid(text, part.size, &bad))
        return;
    for (size_t at = 0; at < most; at += utf8_length(text[at]))
        cut(t, text, at, part.size);
}

/* Ids that nothing was encoded to: any number, and every second one that the vocabulary may have. */
static void look_up(const clora_tokenizer *t, fuzz_part text) {
    int32_t ids[64];
    const size_t count = text.size / 4 < 64 ? text.size / 4 : 64;
    size_t size;

    memcpy(ids, text.data, count * sizeof(ids[0]));
    for (size_t i = 1; i < count; i += 2)
        ids[i] = (int32_t)((uint32_t)ids[i] % ((uint32_t)clora_tokenizer_vocab_size(t) + 1));
    for (size_t i = 0; i < count; i++) {
        const char *token = clora_tokenizer_token(t, ids[i], &size);
        FUZZ_CHECK(!token || strlen(token) <= size);
        (void)clora_tokenizer_is_special(t, ids[i]);
    }
    decode(t, ids, count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_part parts[3];
    clora_tokenizer *t;

    fuzz_split(parts, 3, data, size);
    fuzz_write(FILE_NAME, parts[0]);
    fuzz_write("tokenizer_config.json", parts[2]);
    if (clora_tokenizer_load(&t, fuzz_directory()) != CLORA_OK)
        return 0;
    if (!parts[1].data)
        parts[1] = (fuzz_part){(const uint8_t *)"a b", 3};
    encode(t, parts[1]);
    cut_everywhere(t, parts[1]);
    look_up(t, parts[1]);
    clora_tokenizer_free(t);
    return 0;
}
