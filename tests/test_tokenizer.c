#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include <clora/tokenizer.h>

#include "tokenizer/score.h"
#include "tokenizer/text_buffer.h"
#include "support/scratch.h"

/* Each folder has a tokenizer.json and what the `tokenizers` package makes of the texts in texts.json. */
static const char *const names[] = {"gpt2",   "llama3", "smollm",  "qwen", "llama2", "metaspace",
                                    "folded", "splits", "affixes", "t5",   "xlnet",  "unigram_bytes"};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static const char *path_of(const char *name, const char *file) {
    static char path[1024];
    const char *folder = getenv("CLORA_TEST_FIXTURES");

    snprintf(path, sizeof(path), "%s/tokenizers/%s/%s", folder ? folder : "tests/fixtures", name, file);
    return path;
}

static clora_tokenizer *load(const char *name) {
    clora_tokenizer *tokenizer = NULL;

    assert_ok(clora_tokenizer_load(&tokenizer, path_of(name, "")));
    return tokenizer;
}

static json_t *load_json(const char *name, const char *file) {
    json_t *value = json_load_file(path_of(name, file), JSON_ALLOW_NUL, NULL);

    assert_non_null(value);
    return value;
}

static void assert_ids(const int32_t *ids, size_t count, const json_t *expected, const char *name, size_t index) {
    if (count != json_array_size(expected))
        fail_msg("%s, text %zu: %zu ids, wanted %zu", name, index, count, json_array_size(expected));
    for (size_t i = 0; i < count; i++)
        if (ids[i] != json_integer_value(json_array_get(expected, i)))
            fail_msg("%s, text %zu: id %zu is %d, wanted %lld", name, index, i, (int)ids[i],
                     (long long)json_integer_value(json_array_get(expected, i)));
}

static void assert_text(const char *text, size_t size, const json_t *expected, const char *name, size_t index) {
    if (size != json_string_length(expected) || memcmp(text, json_string_value(expected), size) != 0)
        fail_msg("%s, text %zu: \"%s\", wanted \"%s\"", name, index, text, json_string_value(expected));
    assert_int_equal(text[size], '\0');
}

static void check_text(const clora_tokenizer *t, const json_t *text, const json_t *expected, const char *name,
                       size_t index) {
    const json_t *plain = json_object_get(expected, "ids"), *special = json_object_get(expected, "special");
    const json_t *decoded = json_object_get(expected, "decoded"), *skipped = json_object_get(expected, "skipped");
    size_t count, size;
    int32_t *ids;
    char *back;

    assert_ok(clora_tokenizer_encode(t, json_string_value(text), json_string_length(text), 0, &ids, &count));
    assert_ids(ids, count, plain, name, index);
    free(ids);
    assert_ok(clora_tokenizer_encode(t, json_string_value(text), json_string_length(text), 1, &ids, &count));
    assert_ids(ids, count, special ? special : plain, name, index);
    decoded = decoded ? decoded : text; /* left out where they are the same */
    skipped = skipped ? skipped : decoded;
    assert_ok(clora_tokenizer_decode(t, ids, count, 0, &back, &size));
    assert_text(back, size, decoded, name, index);
    free(back);
    assert_ok(clora_tokenizer_decode(t, ids, count, 1, &back, &size));
    assert_text(back, size, skipped, name, index);
    free(back);
    free(ids);
}

static void test_ids_and_texts_are_those_of_the_tokenizers_package(void **state) {
    (void)state;
    json_t *texts = load_json("", "texts.json"), *text;
    size_t index;

    for (size_t i = 0; i < NAMES; i++) {
        json_t *expected = load_json(names[i], "expected.json");
        clora_tokenizer *t = load(names[i]);
        assert_true(json_array_size(texts) > 100);
        assert_int_equal(json_array_size(expected), json_array_size(texts));
        json_array_foreach (texts, index, text)
            check_text(t, text, json_array_get(expected, index), names[i], index);
        clora_tokenizer_free(t);
        json_decref(expected);
    }
    json_decref(texts);
}

/* Pieces from `cut` on, put together; each must be whole characters. */
static char *stream(const clora_tokenizer *t, const int32_t *ids, size_t count, size_t cut, size_t *size) {
    text_buffer all = {0};
    clora_decoder *decoder;
    const char *piece;
    size_t n, bad;

    assert_ok(clora_decoder_create(&decoder, t, ids, cut));
    for (size_t i = cut; i <= count; i++) {
        if (i < count)
            assert_ok(clora_decoder_push(decoder, ids[i], &piece, &n));
        else
            assert_ok(clora_decoder_flush(decoder, &piece, &n));
        assert_true(utf8_valid(piece, n, &bad));
        assert_ok(text_append(&all, piece, n));
    }
    clora_decoder_free(decoder);
    *size = all.size;
    assert_ok(text_append(&all, "", 1));
    return all.data;
}

/* The bytes of the whole characters that two texts begin with. */
static size_t common(const char *a, size_t a_size, const char *b, size_t b_size) {
    size_t same = 0;

    while (same < a_size && same < b_size) {
        const size_t n = utf8_length(a[same]);
        if (n != utf8_length(b[same]) || memcmp(a + same, b + same, n) != 0)
            break;
        same += n;
    }
    return same;
}

static void check_stream(const clora_tokenizer *t, const int32_t *ids, size_t count, size_t cut) {
    size_t size, prompt_size, streamed_size;
    char *text, *prompt;

    assert_ok(clora_tokenizer_decode(t, ids, count, 1, &text, &size));
    assert_ok(clora_tokenizer_decode(t, ids, cut, 1, &prompt, &prompt_size));
    char *streamed = stream(t, ids, count, cut, &streamed_size);
    const size_t same = common(text, size, prompt, prompt_size);
    assert_int_equal(streamed_size, size - same);
    assert_memory_equal(streamed, text + same, streamed_size);
    free(text);
    free(prompt);
    free(streamed);
}

static void test_pieces_of_a_stream_are_the_text_behind_the_prompt(void **state) {
    (void)state;
    json_t *texts = load_json("", "texts.json"), *text;
    size_t index, count;
    int32_t *ids;

    for (size_t i = 0; i < NAMES; i++) {
        clora_tokenizer *t = load(names[i]);
        json_array_foreach (texts, index, text) {
            assert_ok(clora_tokenizer_encode(t, json_string_value(text), json_string_length(text), 1, &ids, &count));
            check_stream(t, ids, count, 0);
            check_stream(t, ids, count, count / 2);
            check_stream(t, ids, count, count);
            free(ids);
        }
        clora_tokenizer_free(t);
    }
    json_decref(texts);
}

static void test_a_stream_of_any_ids_is_valid_text(void **state) {
    (void)state;
    enum { COUNT = 400 };
    int32_t ids[COUNT];

    for (size_t i = 0; i < NAMES; i++) {
        clora_tokenizer *t = load(names[i]);
        uint32_t random = 12345;
        for (int round = 0; round < 20; round++) {
            for (size_t k = 0; k < COUNT; k++) {
                random = random * 1664525u + 1013904223u;
                ids[k] =
                    (int32_t)((random >> 8) % (uint32_t)(clora_tokenizer_vocab_size(t) + 2)) - 1; /* too far, too */
            }
            check_stream(t, ids, COUNT, (random >> 4) % COUNT);
        }
        clora_tokenizer_free(t);
    }
}

static void test_half_a_character_waits_for_the_other_half(void **state) {
    (void)state;
    static const char *const snowman[] = {"â", "ĺ", "ĥ"}; /* the bytes e2 98 83 in GPT-2's alphabet */
    clora_tokenizer *t = load("gpt2");
    clora_decoder *decoder;
    const char *piece;
    size_t size;

    assert_ok(clora_decoder_create(&decoder, t, NULL, 0));
    for (int i = 0; i < 3; i++) {
        const int32_t id = clora_tokenizer_id(t, snowman[i], strlen(snowman[i]));
        assert_true(id >= 0);
        assert_ok(clora_decoder_push(decoder, id, &piece, &size));
        assert_int_equal(size, i < 2 ? 0 : 3);
    }
    assert_memory_equal(piece, "\xe2\x98\x83", 3);
    const int32_t first = clora_tokenizer_id(t, snowman[0], strlen(snowman[0]));
    assert_ok(clora_decoder_push(decoder, first, &piece, &size));
    assert_int_equal(size, 0);
    assert_ok(clora_decoder_flush(decoder, &piece, &size));
    assert_int_equal(size, 3);
    assert_memory_equal(piece, "\xef\xbf\xbd", 3);
    clora_decoder_free(decoder);
    clora_tokenizer_free(t);
}

/* Merging every pair by looking at all of them would take hours. */
static void test_a_million_letters_without_a_blank_are_merged(void **state) {
    (void)state;
    enum { SIZE = 1000000 };
    static const char *const which[] = {"gpt2", "llama3", "llama2", "metaspace", "unigram_bytes"};
    char *text = malloc(SIZE), *back;
    size_t count, size;
    int32_t *ids;

    assert_non_null(text);
    for (size_t i = 0; i < 5; i++) {
        clora_tokenizer *t = load(which[i]);
        for (int k = 0; k < 3; k++) {
            memset(text, "ao "[k], SIZE);
            assert_ok(clora_tokenizer_encode(t, text, SIZE, 0, &ids, &count));
            assert_ok(clora_tokenizer_decode(t, ids, count, 1, &back, &size));
            if (k < 2) { /* blanks at the front are the decoder's affair */
                assert_int_equal(size, SIZE);
                assert_memory_equal(back, text, SIZE);
            }
            free(ids);
            free(back);
        }
        clora_tokenizer_free(t);
    }
    free(text);
}

/* Words that come again are remembered in long texts: the ids must not depend on it. */
static void test_a_long_text_has_the_ids_of_its_words(void **state) {
    (void)state;
    static const char *const words[] = {" the",        " restaurant", " near",           " river",
                                        " playground", " didn",       " extraordinarily"};
    enum { ROUNDS = 3000 };
    clora_tokenizer *t = load("gpt2");
    text_buffer text = {0};
    size_t count, one_count, at = 0;
    int32_t *ids, *one;

    for (int i = 0; i < ROUNDS; i++)
        assert_ok(text_append(&text, words[i * i % 7], strlen(words[i * i % 7])));
    assert_ok(clora_tokenizer_encode(t, text.data, text.size, 0, &ids, &count));
    for (int i = 0; i < ROUNDS; i++) {
        const char *word = words[i * i % 7];
        assert_ok(clora_tokenizer_encode(t, word, strlen(word), 0, &one, &one_count));
        assert_true(at + one_count <= count);
        assert_memory_equal(ids + at, one, one_count * sizeof(*one));
        at += one_count;
        free(one);
    }
    assert_int_equal(at, count);
    free(ids);
    text_finish(&text);
    clora_tokenizer_free(t);
}

static void test_characters_without_tokens_are_dropped_and_counted(void **state) {
    (void)state;
    static const char text[] = "a\x04 b\x13\x14";
    clora_tokenizer *gaps = load("smollm"), *whole = load("gpt2"), *unknown = load("metaspace");
    size_t dropped, count, size;
    int32_t *ids;
    char *back;

    assert_ok(clora_tokenizer_count_dropped(gaps, text, sizeof(text) - 1, &dropped));
    assert_int_equal(dropped, 3);
    assert_ok(clora_tokenizer_encode(gaps, text, sizeof(text) - 1, 0, &ids, &count));
    assert_ok(clora_tokenizer_decode(gaps, ids, count, 0, &back, &size));
    assert_string_equal(back, "a b");
    free(ids);
    free(back);
    assert_ok(clora_tokenizer_count_dropped(gaps, "a b", 3, &dropped));
    assert_int_equal(dropped, 0);
    assert_ok(clora_tokenizer_count_dropped(whole, text, sizeof(text) - 1, &dropped));
    assert_int_equal(dropped, 0);
    assert_ok(clora_tokenizer_count_dropped(unknown, "\xf0\x9f\x98\x80", 4, &dropped));
    assert_int_equal(dropped, 0); /* it becomes <unk> */
    clora_tokenizer_free(gaps);
    clora_tokenizer_free(whole);
    clora_tokenizer_free(unknown);
}

static void test_invalid_utf8_is_refused_with_its_offset(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *words;
    } cases[] = {
        {"ab\xff", 3, "byte 2"},
        {"\xc0\x80", 2, "byte 0"},
        {"a\xe2\x98", 3, "byte 1"},
        {"\xed\xa0\x80", 3, "byte 0"},
        {"abc\xf4\x90\x80\x80", 7, "byte 3"},
        {"\xe2\x98\x83\x80", 4, "byte 3"},
    };
    clora_tokenizer *t = load("gpt2");
    size_t count;
    int32_t *ids;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_refused(clora_tokenizer_encode(t, cases[i].text, cases[i].size, 0, &ids, &count), CLORA_ERROR_FORMAT,
                       cases[i].words);
        assert_null(ids);
    }
    clora_tokenizer_free(t);
}

static void test_special_tokens_in_a_text_become_their_ids(void **state) {
    (void)state;
    clora_tokenizer *t = load("llama2");
    size_t count;
    int32_t *ids;

    for (int special = 0; special < 2; special++) {
        assert_ok(clora_tokenizer_encode(t, "</s>", 4, special, &ids, &count));
        assert_int_equal(count, 1 + special);
        assert_int_equal(ids[special], 2);
        free(ids);
    }
    clora_tokenizer_free(t);
}

static void test_an_empty_text_has_no_ids(void **state) {
    (void)state;
    clora_tokenizer *t = load("llama2");
    size_t count, size;
    int32_t *ids;
    char *text;

    assert_ok(clora_tokenizer_encode(t, NULL, 0, 0, &ids, &count));
    assert_int_equal(count, 0);
    assert_non_null(ids);
    assert_ok(clora_tokenizer_decode(t, ids, 0, 0, &text, &size));
    assert_int_equal(size, 0);
    assert_string_equal(text, "");
    free(ids);
    free(text);
    clora_tokenizer_free(t);
}

static void test_tokens_can_be_looked_up(void **state) {
    (void)state;
    clora_tokenizer *t = load("llama2");
    size_t size;

    assert_int_equal(clora_tokenizer_id(t, "<0x0A>", 6), 13);
    assert_string_equal(clora_tokenizer_token(t, 13, &size), "<0x0A>");
    assert_int_equal(size, 6);
    assert_int_equal(clora_tokenizer_id(t, "no such token", 13), -1);
    assert_null(clora_tokenizer_token(t, -1, NULL));
    assert_null(clora_tokenizer_token(t, clora_tokenizer_vocab_size(t), &size));
    assert_int_equal(size, 0);
    assert_non_null(clora_tokenizer_token(t, clora_tokenizer_vocab_size(t) - 1, NULL));
    assert_int_equal(clora_tokenizer_is_special(t, 2), 1);
    assert_int_equal(clora_tokenizer_is_special(t, 13), 0);
    assert_int_equal(clora_tokenizer_is_special(t, -7), 0);
    clora_tokenizer_free(t);
}

typedef struct errand {
    const clora_tokenizer *tokenizer;
    const json_t *texts, *expected;
    int wrong;
} errand;

static void *encode_all(void *user) {
    errand *e = user;
    size_t index, count;
    json_t *text;
    int32_t *ids;

    json_array_foreach (e->texts, index, text) {
        const json_t *wanted = json_object_get(json_array_get(e->expected, index), "ids");
        if (clora_tokenizer_encode(e->tokenizer, json_string_value(text), json_string_length(text), 0, &ids, &count) !=
            CLORA_OK) {
            e->wrong++;
            continue;
        }
        e->wrong += count != json_array_size(wanted);
        for (size_t i = 0; i < count && i < json_array_size(wanted); i++)
            e->wrong += ids[i] != json_integer_value(json_array_get(wanted, i));
        free(ids);
    }
    return NULL;
}

/* {as it is, as the package reads it} */
static void test_scores_are_read_as_by_the_tokenizers_package(void **state) {
    (void)state;
    static const double cases[][2] = {
        {-18.956549741186986, -18.956549741186983},
        {-12.118883313569249, -12.118883313569247},
        {-9.784085545527666e-08, -9.784085545527667e-08},
        {-1.866144277067391e-10, -1.8661442770673908e-10},
        {-2.5, -2.5},
        {0, 0},
        {1e22, 1e22},
        {5e-324, 5e-324},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_true(score_read(cases[i][0]) == cases[i][1]);
}

static void test_threads_share_a_tokenizer(void **state) {
    (void)state;
    enum { THREADS = 4 };
    json_t *texts = load_json("", "texts.json"), *expected = load_json("qwen", "expected.json");
    clora_tokenizer *t = load("qwen");
    pthread_t threads[THREADS];
    errand errands[THREADS];

    for (int i = 0; i < THREADS; i++) {
        errands[i] = (errand){t, texts, expected, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, encode_all, &errands[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(errands[i].wrong, 0);
    }
    clora_tokenizer_free(t);
    json_decref(texts);
    json_decref(expected);
}

/* A trained model's own tokenizer, with what its maker's reference says. */
static void test_the_stories_tokenizer_agrees_with_its_reference(void **state) {
    (void)state;
    const char *folder = getenv("CLORA_TEST_DATA");
    char path[1024];
    clora_tokenizer *t;
    json_t *entry;
    size_t index;

    if (!folder) {
        print_message("CLORA_TEST_DATA is not set\n");
        skip();
    }
    snprintf(path, sizeof(path), "%s/models/stories260K-hf", folder);
    assert_ok(clora_tokenizer_load(&t, path));
    snprintf(path, sizeof(path), "%s/models/stories260K-hf/reference.json", folder);
    json_t *reference = json_load_file(path, 0, NULL), *cases = json_object_get(reference, "tokenizer");
    assert_true(json_array_size(cases) > 0);
    json_array_foreach (cases, index, entry) {
        const json_t *text = json_object_get(entry, "text");
        const json_t *lists[] = {json_object_get(entry, "ids_without_bos"), json_object_get(entry, "ids")};
        for (int special = 0; special < 2; special++) {
            size_t count, size;
            int32_t *ids;
            char *back;
            assert_ok(
                clora_tokenizer_encode(t, json_string_value(text), json_string_length(text), special, &ids, &count));
            assert_ids(ids, count, lists[special], "stories260K", index);
            assert_ok(clora_tokenizer_decode(t, ids, count, 1, &back, &size));
            assert_text(back, size, json_object_get(entry, "decoded"), "stories260K", index);
            free(ids);
            free(back);
        }
    }
    json_decref(reference);
    clora_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_and_texts_are_those_of_the_tokenizers_package),
        cmocka_unit_test(test_pieces_of_a_stream_are_the_text_behind_the_prompt),
        cmocka_unit_test(test_a_stream_of_any_ids_is_valid_text),
        cmocka_unit_test(test_half_a_character_waits_for_the_other_half),
        cmocka_unit_test(test_a_million_letters_without_a_blank_are_merged),
        cmocka_unit_test(test_a_long_text_has_the_ids_of_its_words),
        cmocka_unit_test(test_characters_without_tokens_are_dropped_and_counted),
        cmocka_unit_test(test_invalid_utf8_is_refused_with_its_offset),
        cmocka_unit_test(test_special_tokens_in_a_text_become_their_ids),
        cmocka_unit_test(test_an_empty_text_has_no_ids),
        cmocka_unit_test(test_tokens_can_be_looked_up),
        cmocka_unit_test(test_scores_are_read_as_by_the_tokenizers_package),
        cmocka_unit_test(test_threads_share_a_tokenizer),
        cmocka_unit_test(test_the_stories_tokenizer_agrees_with_its_reference),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
