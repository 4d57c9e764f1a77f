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

#include "support/fixture.h"
#include "support/scratch.h"

/* SentencePiece's tokenizer.model: ids as its own package makes them (fixtures/make_spm.py). */

static const char *const kinds[] = {"bpe", "bpe-own", "unigram", "unigram-bytes"};

static const char *model_path(const char *kind, const char *name) {
    static char path[512];

    snprintf(path, sizeof(path), "%s/spm/%s/%s", getenv("CLORA_TEST_FIXTURES"), kind, name);
    return path;
}

static clora_tokenizer *load_kind(const char *kind, const char *config) {
    clora_tokenizer *t = NULL;

    scratch_copy("tokenizer.model", model_path(kind, "tokenizer.model"));
    remove(scratch_path("tokenizer_config.json"));
    if (config)
        scratch_text("tokenizer_config.json", config);
    assert_ok(clora_tokenizer_load(&t, scratch_path("")));
    return t;
}

static json_t *encode(const clora_tokenizer *t, const char *text, int special) {
    json_t *out = json_array();
    int32_t *ids;
    size_t count;

    assert_ok(clora_tokenizer_encode(t, text, strlen(text), special, &ids, &count));
    for (size_t i = 0; i < count; i++)
        json_array_append_new(out, json_integer(ids[i]));
    free(ids);
    return out;
}

static void test_ids_are_those_of_sentencepiece(void **state) {
    json_t *row;
    size_t i;
    (void)state;

    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
        clora_tokenizer *t = load_kind(kinds[k], NULL);
        json_t *rows = json_load_file(model_path(kinds[k], "expected.json"), 0, NULL);
        assert_true(json_array_size(rows) > 60);
        json_array_foreach (rows, i, row) {
            const char *text = json_string_value(json_array_get(row, 0));
            json_t *ids = encode(t, text, 0), *wanted = json_array_get(row, 1);
            if (!json_equal(ids, wanted)) {
                char *a = json_dumps(ids, 0), *b = json_dumps(wanted, 0);
                fail_msg("%s: '%s' is %s, wanted %s", kinds[k], text, a, b);
            }
            json_decref(ids);
        }
        json_decref(rows);
        clora_tokenizer_free(t);
    }
}

static void assert_ids(const clora_tokenizer *t, const char *text, int special, const char *wanted) {
    json_t *ids = encode(t, text, special);
    char *found = json_dumps(ids, JSON_COMPACT);

    assert_string_equal(found, wanted);
    free(found);
    json_decref(ids);
}

static void test_a_configuration_names_special_tokens(void **state) {
    clora_tokenizer *t = load_kind("bpe", NULL);
    char *text;
    size_t size;
    (void)state;

    assert_int_equal(clora_tokenizer_bos(t), 1);
    assert_int_equal(clora_tokenizer_eos(t), 2);
    assert_ids(t, "", 1, "[1]");
    assert_ids(t, "<s></s><unk>", 0, "[1,2,0]");
    assert_ok(clora_tokenizer_decode(t, (const int32_t[]){1, 0xe9 + 3, 3 + 0x88, 3 + 0x9f}, 4, 1, &text, &size));
    free(text);
    clora_tokenizer_free(t);
    t = load_kind("bpe", "{\"add_bos_token\": false, \"add_eos_token\": true, \"bos_token\": \"<s>\", "
                         "\"eos_token\": {\"content\": \"<end>\"}, \"added_tokens_decoder\": {"
                         "\"421\": {\"content\": \"<x>\", \"special\": false, \"rstrip\": true}, "
                         "\"420\": {\"content\": \"<end>\", \"special\": true}}}");
    assert_int_equal(clora_tokenizer_eos(t), 420);
    assert_int_equal(clora_tokenizer_adds_bos(t), 0);
    assert_ids(t, "<x> <end>", 1, "[421,420,420]");
    clora_tokenizer_free(t);
    t = load_kind("bpe-own", NULL);
    assert_int_equal(clora_tokenizer_bos(t), 1);
    assert_ids(t, "[B]<ctl>", 0, "[1,3]");
    clora_tokenizer_free(t);
}

/* Newer files say that the blank stands before the text alone, not before what a special token leaves of it. */
static void test_the_blank_before_a_text(void **state) {
    clora_tokenizer *old = load_kind("bpe", NULL), *new;
    json_t *ids[4];
    (void)state;

    new = load_kind("bpe", "{\"legacy\": false}");
    ids[0] = encode(old, "a", 0);
    ids[1] = encode(old, "</s>a", 0);
    ids[2] = encode(new, "</s>a", 0);
    ids[3] = encode(new, "a", 0);
    assert_true(json_equal(ids[0], ids[3]));
    assert_true(json_equal(json_array_get(ids[0], 0), json_array_get(ids[1], 1)));
    assert_false(json_equal(json_array_get(ids[1], 1), json_array_get(ids[2], 1)));
    for (int i = 0; i < 4; i++)
        json_decref(ids[i]);
    clora_tokenizer_free(old);
    clora_tokenizer_free(new);
}

static void test_what_is_decoded_is_the_text(void **state) {
    static const char text[] = "Once upon  a time, 日本 \xf0\x9f\x99\x82\n";
    clora_tokenizer *t = load_kind("bpe", NULL);
    int32_t *ids;
    size_t count, size;
    char *back;
    (void)state;

    assert_ok(clora_tokenizer_encode(t, text, strlen(text), 1, &ids, &count));
    assert_ok(clora_tokenizer_decode(t, ids, count, 1, &back, &size));
    assert_string_equal(back, text);
    free(back);
    free(ids);
    clora_tokenizer_free(t);
}

/* ---- Files that are wrong ---- */

static void refuse(const void *bytes, size_t size, clora_status status, const char *words) {
    clora_tokenizer *t = NULL;

    scratch_write("tokenizer.model", bytes, size);
    assert_refused(clora_tokenizer_load(&t, scratch_path("")), status, words);
    assert_non_null(strstr(clora_last_error(), "tokenizer.model"));
    assert_null(t);
}

#define REFUSE(bytes, status, words) refuse(bytes, sizeof(bytes) - 1, status, words)
#define TOKEN(size, text) "\x0a" size text /* a text, shorter than 128 bytes */
#define UNKNOWN "\x0a\x09\x0a\x05<unk>\x18\x02"

static void test_wrong_files_are_refused(void **state) {
    size_t size;
    char *bytes = read_whole(&size, model_path("bpe", "tokenizer.model"));
    (void)state;

    REFUSE("", CLORA_ERROR_FORMAT, "damaged");
    REFUSE("{\"version\": \"1.0\"}", CLORA_ERROR_FORMAT, "damaged");
    REFUSE("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", CLORA_ERROR_FORMAT, "damaged");
    REFUSE(UNKNOWN "\x0a\x02\x0a\x00", CLORA_ERROR_FORMAT, "token 1 has no text");
    REFUSE(UNKNOWN "\x0a\x03\x0a\x01\xff", CLORA_ERROR_FORMAT, "token 1 has no text");
    REFUSE(UNKNOWN "\x0a\x05\x0a\x01"
                   "a\x18\x07",
           CLORA_ERROR_FORMAT, "token 1 has no text");
    REFUSE(UNKNOWN "\x0a\x08\x0a\x01"
                   "a\x15\x00\x00\xc0\x7f",
           CLORA_ERROR_FORMAT, "token 1 has no text");
    REFUSE(UNKNOWN "\x0a\x03\x0a\x01"
                   "a\x0a\x03\x0a\x01"
                   "a",
           CLORA_ERROR_FORMAT, "is there twice");
    REFUSE(UNKNOWN "\x12\x02\x18\x03", CLORA_ERROR_UNSUPPORTED, "words or characters");
    REFUSE(UNKNOWN "\x12\x03\xc0\x01\x01", CLORA_ERROR_UNSUPPORTED, "treat_whitespace_as_suffix");
    REFUSE(UNKNOWN "\x12\x02\x18\x02\x0a\x04\x0a\x02"
                   "ab",
           CLORA_ERROR_UNSUPPORTED, "\"ab\" has a character that is no token");
    for (size_t cut = 1; cut < size; cut += 131) { /* a part of the tokens may be whole, and then has no bytes */
        clora_tokenizer *t = NULL;
        scratch_write("tokenizer.model", bytes, cut);
        (void)clora_tokenizer_load(&t, scratch_path(""));
        clora_tokenizer_free(t);
    }
    free(bytes);
}

#define T(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_ids_are_those_of_sentencepiece), T(test_a_configuration_names_special_tokens),
        T(test_the_blank_before_a_text),        T(test_what_is_decoded_is_the_text),
        T(test_wrong_files_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
