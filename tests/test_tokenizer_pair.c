#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "data/dataset.h"
#include "tokenizer/tokenizer.h"
#include "support/scratch.h"

/* ---- What the `tokenizers` package says: pairs.json beside each tokenizer.json ---- */

static const char *const names[] = {"gpt2",   "llama3", "smollm",  "qwen", "llama2", "metaspace",
                                    "folded", "splits", "affixes", "t5",   "xlnet",  "unigram_bytes"};

static const char *path_of(const char *name, const char *file) {
    static char path[1024];
    const char *folder = getenv("CLORA_TEST_FIXTURES");

    snprintf(path, sizeof(path), "%s/tokenizers/%s/%s", folder ? folder : "tests/fixtures", name, file);
    return path;
}

static json_t *load_json(const char *name, const char *file) {
    json_t *value = json_load_file(path_of(name, file), JSON_ALLOW_NUL, NULL);

    assert_non_null(value);
    return value;
}

static bool same_ids(const int32_t *ids, size_t count, const json_t *expected, size_t from) {
    if (count != json_array_size(expected) - from)
        return false;
    for (size_t i = 0; i < count; i++)
        if (ids[i] != json_integer_value(json_array_get(expected, from + i)))
            return false;
    return true;
}

/* line: [text, bytes of context, ids of the whole before the cut or -1, the target's ids or null] */
static void check_cut(const clora_tokenizer *t, const json_t *line, const json_t *texts, const json_t *expected,
                      const char *name) {
    const size_t index = (size_t)json_integer_value(json_array_get(line, 0));
    const size_t cut = (size_t)json_integer_value(json_array_get(line, 1));
    const int before = (int)json_integer_value(json_array_get(line, 2));
    const json_t *text = json_array_get(texts, index), *target = json_array_get(line, 3);
    const json_t *whole = json_object_get(json_array_get(expected, index), "ids");
    size_t context_count;
    pair_ids pair;
    int32_t *context;

    assert_ok(tokenizer_encode_pair(t, json_string_value(text), cut, json_string_length(text), &pair));
    assert_ok(clora_tokenizer_encode(t, json_string_value(text), cut, 0, &context, &context_count));
    if (before >= 0) {
        if (pair.context != (size_t)before || !same_ids(pair.ids, pair.count, whole, 0))
            fail_msg("%s, text %zu cut at %zu: %zu of %zu ids, wanted %d of %zu, those of the whole", name, index, cut,
                     pair.context, pair.count, before, json_array_size(whole));
    } else {
        if (pair.context != context_count || memcmp(pair.ids, context, context_count * sizeof(*context)) != 0)
            fail_msg("%s, text %zu cut at %zu: %zu ids, wanted the %zu of the context alone", name, index, cut,
                     pair.context, context_count);
        if (json_is_array(target) && !same_ids(pair.ids + pair.context, pair.count - pair.context, target, 0))
            fail_msg("%s, text %zu cut at %zu: other ids than the target's alone", name, index, cut);
    }
    free(context);
    free(pair.ids);
}

static void test_a_pair_has_the_ids_of_the_whole_where_its_tokens_have_a_border(void **state) {
    (void)state;
    json_t *texts = load_json("", "texts.json"), *line;
    size_t index;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_t *expected = load_json(names[i], "expected.json"), *cuts = load_json(names[i], "pairs.json");
        clora_tokenizer *t = NULL;
        assert_ok(clora_tokenizer_load(&t, path_of(names[i], "")));
        assert_true(json_array_size(cuts) > 300);
        json_array_foreach (cuts, index, line)
            check_cut(t, line, texts, expected, names[i]);
        clora_tokenizer_free(t);
        json_decref(expected);
        json_decref(cuts);
    }
    json_decref(texts);
}

/* ---- Small tokenizers of one kind of component each ---- */

#define NONE "null"
#define PREPEND                                                                         \
    "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":\"_\"}," \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"_\"}]}"
#define METASPACE(scheme) \
    "{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"" scheme "\",\"split\":true}"
#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}"
#define REPLACE(pattern, content) \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":\"" pattern "\"},\"content\":\"" content "\"}"
#define ADDED(id, content, l, r)                                                                      \
    "{\"id\":" id ",\"content\":\"" content "\",\"single_word\":false,\"lstrip\":" l ",\"rstrip\":" r \
    ",\"normalized\":false,\"special\":true}"
/* a token is one letter, or what the merges of "a b", "_ a" and "c c" make; in byte-level files Ġ is the blank */
#define VOCABULARY                                                                                                \
    "{\"_\":0,\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"ab\":5,\"_a\":6,\"cc\":7,\"\xc3\xa9\":8,\"e\":9,\"\xcc\x81\":10," \
    "\" \":11,\"\xc4\xa0\":12,\"\xc4\xa0"                                                                         \
    "a\":13}"

static clora_tokenizer *make(const char *normalizer, const char *pre_tokenizer) {
    clora_tokenizer *t = NULL;
    char text[4096];

    snprintf(text, sizeof(text),
             "{\"version\":\"1.0\",\"added_tokens\":[%s,%s,%s],\"normalizer\":%s,\"pre_tokenizer\":%s,"
             "\"post_processor\":null,\"decoder\":null,\"model\":{\"type\":\"BPE\",\"vocab\":%s,\"merges\":%s}}",
             ADDED("14", "<x>", "false", "false"), ADDED("15", "<l>", "true", "false"),
             ADDED("16", "<r>", "false", "true"), normalizer, pre_tokenizer, VOCABULARY,
             "[\"a b\",\"_ a\",\"c c\",\"\xc4\xa0 a\"]");
    scratch_text("tokenizer.json", text);
    assert_ok(clora_tokenizer_load(&t, scratch_path("")));
    return t;
}

/* wanted: the tokens, each in brackets, with a bar between context and target */
static void check_pair(const clora_tokenizer *t, const char *context, const char *target, const char *wanted) {
    char text[256], got[512] = "";
    pair_ids pair;

    snprintf(text, sizeof(text), "%s%s", context, target);
    assert_ok(tokenizer_encode_pair(t, text, strlen(context), strlen(text), &pair));
    for (size_t i = 0; i <= pair.count; i++) {
        if (i == pair.context)
            strcat(got, "|");
        if (i < pair.count)
            snprintf(got + strlen(got), sizeof(got) - strlen(got), "[%s]", clora_tokenizer_token(t, pair.ids[i], NULL));
    }
    free(pair.ids);
    if (strcmp(got, wanted) != 0)
        fail_msg("\"%s\" and \"%s\": %s, wanted %s", context, target, got, wanted);
}

typedef struct expectation {
    const char *context, *target, *wanted;
} expectation;

static void check_all(const char *normalizer, const char *pre_tokenizer, const expectation *cases, size_t count) {
    clora_tokenizer *t = make(normalizer, pre_tokenizer);

    for (size_t i = 0; i < count; i++)
        check_pair(t, cases[i].context, cases[i].target, cases[i].wanted);
    clora_tokenizer_free(t);
}

#define CHECK(normalizer, pre_tokenizer, cases) \
    check_all(normalizer, pre_tokenizer, cases, sizeof(cases) / sizeof(cases[0]))

static void test_the_blank_of_a_beginning_is_not_put_before_a_target(void **state) {
    (void)state;
    static const expectation cases[] = {
        {"d", "d", "[_][d]|[d]"},
        {"d", " d", "[_][d]|[_][d]"},
        {"d", "ab", "[_][d]|[ab]"},
        {"d", " a", "[_][d]|[_a]"},
        {"", "d", "|[_][d]"}, /* the target is the whole text */
        {"", " d", NULL},     /* Prepend and Metaspace differ here */
        {"d", "", "[_][d]|"},
        {"c", "c", "[_][c]|[c]"}, /* a token of the whole would cross: apart */
        {"cc", "cd", "[_][cc]|[c][d]"},
        {"d ", "a", "[_][d][_]|[a]"},
        {"d ", "d", "[_][d][_]|[d]"},
        {" ", "a", NULL},
        {"c", "ca<x>a", NULL},
    };
    static const char *const others[3][3] = {{"|[_][_][d]", "[_][_]|[a]", "[_][c]|[c][a][<x>][_a]"},
                                             {"|[_][d]", "[_]|[a]", "[_][c]|[c][a][<x>][_a]"},
                                             {"|[_][d]", "[_]|[a]", "[_][c]|[c][a][<x>][a]"}};
    const char *const normalizers[3] = {PREPEND, NONE, NONE};
    const char *const pre_tokenizers[3] = {NONE, METASPACE("always"), METASPACE("first")};

    for (int kind = 0; kind < 3; kind++) {
        clora_tokenizer *t = make(normalizers[kind], pre_tokenizers[kind]);
        size_t other = 0;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
            check_pair(t, cases[i].context, cases[i].target, cases[i].wanted ? cases[i].wanted : others[kind][other++]);
        clora_tokenizer_free(t);
    }
}

static void test_without_a_prefix_nothing_is_special(void **state) {
    (void)state;
    static const expectation cases[] = {{"d", "d", "[d]|[d]"},     {"d", " a", "[d]|[_a]"}, {"", "d", "|[d]"},
                                        {"d ", "a", "[d][_]|[a]"}, {"c", "c", "[c]|[c]"},   {"a", "b", "[a]|[b]"}};
    CHECK(NONE, METASPACE("never"), cases);
}

static void test_the_blank_of_a_byte_level_beginning_is_not_put_before_a_target(void **state) {
    (void)state;
    static const expectation cases[] = {
        {"d", "d", "[\xc4\xa0][d]|[d]"},
        {"c", "c", "[\xc4\xa0][c]|[c]"},
        {"d", " a",
         "[\xc4\xa0][d]|[\xc4\xa0"
         "a]"},
        {"d ", "a", "[\xc4\xa0][d][\xc4\xa0]|[a]"}, /* " a" would cross */
        {"", "a",
         "|[\xc4\xa0"
         "a]"},
    };
    CHECK(NONE, BYTE_LEVEL, cases);
}

static void test_added_tokens_at_the_border(void **state) {
    (void)state;
    static const expectation cases[] = {
        {"d<x>", "a", "[d][<x>]|[a]"},  {"d", "<x>a", "[d]|[<x>][a]"},
        {"d<", "x>", "[d]|"},          /* the token crosses; neither < nor x nor > is in the vocabulary */
        {"d", " <l>", "[d]|[<l>]"},    /* the blank that it takes is the target's */
        {"d ", "<l>", "[d][ ]|[<l>]"}, /* this one is the context's */
        {"d <l>", "d", "[d][<l>]|[d]"}, {"<r> ", "d", "[<r>]|[d]"},
        {"<r>", " d", "[<r>]|[ ][d]"}, /* it would take the target's blank */
    };
    CHECK(NONE, NONE, cases);
    static const expectation with_blank[] = {
        {"d<x>", "a", "[_][d][<x>]|[_a]"}, /* as in the whole text: each stretch between added tokens begins so */
        {"d", "<x>a", "[_][d]|[<x>][_a]"},
        {"d ", "<l>a", "[_][d][_]|[<l>][_a]"},
        {"<x>", "<x>", "[<x>]|[<x>]"},
    };
    CHECK(PREPEND, NONE, with_blank);
}

static void test_what_normalizes_to_one_thing_is_not_parted(void **state) {
    (void)state;
    static const expectation composed[] = {
        {"ae",
         "\xcc\x81"
         "b",
         "[a][e]|[\xcc\x81][b]"}, /* e and an accent that comes after the border */
        {"ae\xcc\x81", "b", "[a][\xc3\xa9]|[b]"},
        {"a\xc3\xa9", "e\xcc\x81", "[a][\xc3\xa9]|[\xc3\xa9]"},
        {"a", "e\xcc\x81", "[a]|[\xc3\xa9]"},
    };
    CHECK("{\"type\":\"NFC\"}", NONE, composed);
    static const expectation replaced[] = {
        {"ad", "da", "[a][d]|[d][a]"}, /* "dd" becomes "b", but not across the border */
        {"add", "da", "[ab]|[d][a]"},
        {"dd", "dd", "[b]|[b]"},
        {"dd", "add", "[b]|[ab]"},
    };
    CHECK(REPLACE("dd", "b"), NONE, replaced);
    static const expectation stripped[] = {{" a", " b ", "[a]|[ ][b]"}, {"  ", "b", "|[b]"}, {"a", "  ", "[a]|"}};
    CHECK("{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", NONE, stripped);
    static const expectation small[] = {{"A\xc4\xb0", "B", "[a]|[b]"}, {"D", "AB", "[d]|[ab]"}};
    CHECK("{\"type\":\"Lowercase\"}", NONE, small);
}

/* The pattern sees what comes after the border, and its piece of the whole differs from that of the context alone. */
static void test_pieces_are_those_of_the_whole_text(void **state) {
    (void)state;
    static const expectation cases[] = {
        {"ac", "cd", "[a][c]|[c][d]"}, {"acc", "d", "[a][c][c]|[d]"}, {"acc", "a", "[a][cc]|[a]"}};
    CHECK(NONE, "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"c(?=c?d)\"},\"behavior\":\"Isolated\",\"invert\":false}",
          cases);
}

static void test_long_stretches_are_followed_too(void **state) {
    (void)state;
    clora_tokenizer *t = make(NONE, NONE);
    char text[402];
    pair_ids pair;

    memset(text, 'c', sizeof(text));
    for (size_t cut = 0; cut <= sizeof(text); cut++) {
        assert_ok(tokenizer_encode_pair(t, text, cut, sizeof(text), &pair));
        assert_int_equal(pair.context, (cut + 1) / 2); /* cc, cc, ..., and a single c where the cut is odd */
        assert_int_equal(pair.count, cut % 2 ? 202 : 201);
        free(pair.ids);
    }
    clora_tokenizer_free(t);
}

/* ---- From a file to sequences ---- */

static void test_a_dataset_learns_the_target_without_a_blank_in_front(void **state) {
    (void)state;
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_tokenizer *t = make(PREPEND, NONE);
    const int32_t wanted[] = {0, 4, 5, 14}, labels_wanted[] = {-1, -1, 5, 14}, *ids, *labels;
    clora_dataset *dataset = NULL;

    options.eos_id = 14;
    scratch_text("d.jsonl", "{\"context\": \"d\", \"target\": \"ab\"}\n");
    assert_ok(clora_dataset_load(&dataset, scratch_path("d.jsonl"), t, &options));
    assert_int_equal(clora_dataset_sequence(dataset, 0, &ids, &labels), 4);
    assert_memory_equal(ids, wanted, sizeof(wanted));
    assert_memory_equal(labels, labels_wanted, sizeof(labels_wanted));
    clora_dataset_free(dataset);
    clora_tokenizer_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pair_has_the_ids_of_the_whole_where_its_tokens_have_a_border),
        cmocka_unit_test_setup_teardown(test_the_blank_of_a_beginning_is_not_put_before_a_target, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_without_a_prefix_nothing_is_special, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_the_blank_of_a_byte_level_beginning_is_not_put_before_a_target,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_added_tokens_at_the_border, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_what_normalizes_to_one_thing_is_not_parted, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(test_pieces_are_those_of_the_whole_text, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_long_stretches_are_followed_too, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_a_dataset_learns_the_target_without_a_blank_in_front, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
