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

#include "support/scratch.h"

/* A whole tokenizer.json, small enough to read. */
static const char base[] =
    "{\"version\":\"1.0\",\"added_tokens\":[],\"normalizer\":null,\"pre_tokenizer\":null,\"post_processor\":null,"
    "\"decoder\":null,\"model\":{\"type\":\"BPE\",\"unk_token\":null,\"fuse_unk\":false,\"byte_fallback\":false,"
    "\"vocab\":{\"<s>\":0,\"</s>\":1,\"a\":2,\"b\":3,\" \":4,\"ab\":5},\"merges\":[\"a b\"]}}";

#define ADDED(id, content, more)                                                                          \
    "{\"id\":" id ",\"content\":\"" content "\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false," \
    "\"normalized\":false,\"special\":true" more "}"

/* base with the value at a path such as "model.merges" replaced; NULL removes it. */
static void write_with(const char *path, const char *value) {
    json_t *root = json_loads(base, 0, NULL), *object = root;
    const char *dot = strchr(path, '.'), *key = dot ? dot + 1 : path;

    assert_non_null(root);
    if (dot) {
        assert_memory_equal(path, "model", 5);
        object = json_object_get(root, "model");
    }
    if (value) {
        json_t *parsed = json_loads(value, JSON_DECODE_ANY, NULL);
        if (!parsed)
            fail_msg("the test's own JSON is wrong: %s", value);
        json_object_set_new(object, key, parsed);
    } else {
        json_object_del(object, key);
    }
    char *text = json_dumps(root, 0);
    scratch_text("tokenizer.json", text);
    free(text);
    json_decref(root);
}

static clora_status load_with(const char *path, const char *value) {
    clora_tokenizer *t = NULL;

    write_with(path, value);
    const clora_status status = clora_tokenizer_load(&t, scratch_path(""));
    assert_true((status == CLORA_OK) == (t != NULL));
    clora_tokenizer_free(t);
    return status;
}

typedef struct refusal {
    const char *path, *value;
    clora_status status;
    const char *words;
} refusal;

static void check_refusals(const refusal *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        assert_refused(load_with(cases[i].path, cases[i].value), cases[i].status, cases[i].words);
        assert_non_null(strstr(clora_last_error(), "tokenizer.json")); /* every message names the file */
    }
}

#define REFUSE(cases) check_refusals(cases, sizeof(cases) / sizeof(cases[0]))

static void test_the_plain_file_loads(void **state) {
    (void)state;
    assert_ok(load_with("version", "\"1.0\""));
    assert_ok(load_with("version", NULL));
    assert_ok(load_with("model.type", NULL)); /* as the oldest files */
    assert_ok(load_with("model.merges", "[[\"a\", \"b\"]]"));
    assert_ok(load_with("model.merges", "[\"#version: 0.2\", \"a b\"]"));
    assert_ok(load_with("model.merges", "[]"));
    assert_ok(load_with("model.dropout", "0.0"));
    assert_ok(load_with("model.continuing_subword_prefix", "\"\""));
    assert_ok(load_with("a_key_of_the_future", "1"));
}

static void test_broken_vocabularies_are_refused(void **state) {
    (void)state;
    static const refusal cases[] = {
        {"model", NULL, CLORA_ERROR_FORMAT, "model must be an object"},
        {"model", "[]", CLORA_ERROR_FORMAT, "model must be an object"},
        {"model.vocab", NULL, CLORA_ERROR_FORMAT, "\"vocab\" must be an object"},
        {"model.vocab", "[\"a\"]", CLORA_ERROR_FORMAT, "\"vocab\" must be an object"},
        {"model.vocab", "{\"a\":0,\"b\":0}", CLORA_ERROR_FORMAT, "the same id 0"},
        {"model.vocab", "{\"a\":-1}", CLORA_ERROR_FORMAT, "the id of \"a\" is -1"},
        {"model.vocab", "{\"a\":4294967296}", CLORA_ERROR_FORMAT, "the id of \"a\" is 4294967296"},
        {"model.vocab", "{\"a\":2000000000}", CLORA_ERROR_FORMAT, "the id of \"a\" is 2000000000"},
        {"model.vocab", "{\"a\":\"0\"}", CLORA_ERROR_FORMAT, "the id of \"a\" is not an integer"},
        {"model.vocab", "{\"a\":0.5}", CLORA_ERROR_FORMAT, "the id of \"a\" is not an integer"},
        {"model.vocab", "{\"line\\nbreak\":null}", CLORA_ERROR_FORMAT, "the id of \"line?break\""},
        {"model.vocab", "{}", CLORA_ERROR_FORMAT, "merge 0 needs the token \"a\""},
    };
    REFUSE(cases);
}

static void test_broken_merges_are_refused(void **state) {
    (void)state;
    static const refusal cases[] = {
        {"model.merges", NULL, CLORA_ERROR_FORMAT, "\"merges\" must be an array"},
        {"model.merges", "\"a b\"", CLORA_ERROR_FORMAT, "\"merges\" must be an array"},
        {"model.merges", "[\"a b\", \"a c\"]", CLORA_ERROR_FORMAT, "merge 1 needs the token \"c\""},
        {"model.merges", "[\"b a\"]", CLORA_ERROR_FORMAT, "merge 0 needs the token \"ba\""},
        {"model.merges", "[\"ab\"]", CLORA_ERROR_FORMAT, "merge 0 is not two tokens"},
        {"model.merges", "[\"a b a\"]", CLORA_ERROR_FORMAT, "merge 0 is not two tokens"},
        {"model.merges", "[\" b\"]", CLORA_ERROR_FORMAT, "merge 0 has an empty part"},
        {"model.merges", "[[\"a\", \"\"]]", CLORA_ERROR_FORMAT, "merge 0 has an empty part"},
        {"model.merges", "[[\"a\"]]", CLORA_ERROR_FORMAT, "merge 0 is not a pair"},
        {"model.merges", "[[\"a\", \"b\"], \"a b\"]", CLORA_ERROR_FORMAT, "merge 1 is not a pair"},
        {"model.merges", "[[\"a\", 3]]", CLORA_ERROR_FORMAT, "merge 0 is not a pair"},
        {"model.merges", "[3]", CLORA_ERROR_FORMAT, "merge 0 is not two tokens"},
        {"model.merges", "[null]", CLORA_ERROR_FORMAT, "merge 0 is not two tokens"},
        {"model.continuing_subword_prefix", "\"##\"", CLORA_ERROR_FORMAT, "lacks continuing_subword_prefix"},
    };
    REFUSE(cases);
}

static void test_unknown_parts_are_refused_by_name(void **state) {
    (void)state;
    static const refusal cases[] = {
        {"version", "\"2.0\"", CLORA_ERROR_UNSUPPORTED, "version \"2.0\""},
        {"model.type", "\"WordPiece\"", CLORA_ERROR_UNSUPPORTED, "model: unknown type \"WordPiece\""},
        {"model.type", "\"WordLevel\"", CLORA_ERROR_UNSUPPORTED, "model: unknown type \"WordLevel\""},
        {"model.dropout", "0.1", CLORA_ERROR_UNSUPPORTED, "dropout is 0.1"},
        {"normalizer", "{\"type\":\"BertNormalizer\"}", CLORA_ERROR_UNSUPPORTED,
         "normalizer: unknown type \"BertNormalizer\""},
        {"pre_tokenizer", "{\"type\":\"BertPreTokenizer\"}", CLORA_ERROR_UNSUPPORTED,
         "pre_tokenizer: unknown type \"BertPreTokenizer\""},
        {"post_processor", "{\"type\":\"RobertaProcessing\"}", CLORA_ERROR_UNSUPPORTED,
         "post_processor: unknown type \"RobertaProcessing\""},
        {"decoder", "{\"type\":\"CTC\"}", CLORA_ERROR_UNSUPPORTED, "decoder: unknown type \"CTC\""},
        {"decoder", "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},{\"type\":\"WordPiece\"}]}",
         CLORA_ERROR_UNSUPPORTED, "decoder: unknown type \"WordPiece\""},
        {"pre_tokenizer",
         "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a)\\\\1\"},\"behavior\":\"Isolated\",\"invert\":false}",
         CLORA_ERROR_UNSUPPORTED, "pre_tokenizer: the pattern has an unknown escape"},
    };
    REFUSE(cases);
}

#define UNIGRAM(unknown, tokens) "{\"type\":\"Unigram\",\"unk_id\":" unknown ",\"vocab\":" tokens "}"

static void test_broken_unigram_vocabularies_are_refused(void **state) {
    (void)state;
    static const refusal cases[] = {
        {"model", UNIGRAM("0", "{\"a\":0}"), CLORA_ERROR_FORMAT, "\"vocab\" must be an array of tokens and scores"},
        {"model", UNIGRAM("0", "[[\"a\",-1],[\"b\"]]"), CLORA_ERROR_FORMAT,
         "token 1 of \"vocab\" is not [text, score]"},
        {"model", UNIGRAM("0", "[[\"a\",\"-1\"]]"), CLORA_ERROR_FORMAT, "token 0 of \"vocab\" is not [text, score]"},
        {"model", UNIGRAM("0", "[[1,-1]]"), CLORA_ERROR_FORMAT, "token 0 of \"vocab\" is not [text, score]"},
        {"model", UNIGRAM("0", "[7]"), CLORA_ERROR_FORMAT, "token 0 of \"vocab\" is not [text, score]"},
        {"model", UNIGRAM("1", "[[\"a\",-1]]"), CLORA_ERROR_FORMAT, "\"unk_id\" is 1, in a vocabulary of 1 tokens"},
        {"model", UNIGRAM("-2", "[[\"a\",-1]]"), CLORA_ERROR_FORMAT, "\"unk_id\" is -2"},
        {"model", UNIGRAM("\"a\"", "[[\"a\",-1]]"), CLORA_ERROR_FORMAT, "\"unk_id\" must be"},
    };
    char text[4200];

    REFUSE(cases);
    assert_ok(load_with("model", UNIGRAM("null", "[]")));
    assert_ok(load_with("model", "{\"unk_id\":0,\"vocab\":[[\"a\",-1]]}")); /* as the oldest files */
    for (int size = 2048; size <= 2049; size++) {
        snprintf(text, sizeof(text), UNIGRAM("0", "[[\"%0*d\",-1]]"), size, 0);
        const clora_status status = load_with("model", text);
        assert_int_equal(status, size > 2048 ? CLORA_ERROR_UNSUPPORTED : CLORA_OK);
    }
    assert_non_null(strstr(clora_last_error(), "has 2049 bytes"));
}

#define CHARSMAP(text) "{\"type\":\"Precompiled\",\"precompiled_charsmap\":" text "}"

static void test_broken_charsmaps_are_refused(void **state) {
    (void)state;
    static const refusal cases[] = {
        {"normalizer", "{\"type\":\"Precompiled\"}", CLORA_ERROR_FORMAT, "\"precompiled_charsmap\" must be a string"},
        {"normalizer", CHARSMAP("null"), CLORA_ERROR_FORMAT, "\"precompiled_charsmap\" must be a string"},
        {"normalizer", CHARSMAP("\"!!!!\""), CLORA_ERROR_FORMAT, "is not base64"},
        {"normalizer", CHARSMAP("\"AAA\""), CLORA_ERROR_FORMAT, "is not base64"},
        {"normalizer", CHARSMAP("\"A===\""), CLORA_ERROR_FORMAT, "is not base64"},
        {"normalizer", CHARSMAP("\"\""), CLORA_ERROR_FORMAT, "is cut short"},
        {"normalizer", CHARSMAP("\"AAAAAA==\""), CLORA_ERROR_FORMAT, "is cut short"},
        {"normalizer", CHARSMAP("\"CAAAAAAAAAA=\""), CLORA_ERROR_FORMAT, "is cut short"},
        {"normalizer", CHARSMAP("\"BAAAAAAAAAD/\""), CLORA_ERROR_FORMAT, "writes what is not UTF-8"},
    };

    REFUSE(cases);
    assert_ok(load_with("normalizer", CHARSMAP("\"BAAAAAAAAABhAA==\"")));
}

static void test_parts_with_wrong_values_are_refused(void **state) {
    (void)state;
    static const refusal cases[] = {
        {"version", "1", CLORA_ERROR_FORMAT, "\"version\" must be a string"},
        {"normalizer", "[]", CLORA_ERROR_FORMAT, "normalizer: wanted an object"},
        {"normalizer", "{}", CLORA_ERROR_FORMAT, "normalizer: \"type\" is missing"},
        {"normalizer", "{\"type\":7}", CLORA_ERROR_FORMAT, "\"type\" must be a string"},
        {"normalizer", "{\"type\":\"Prepend\"}", CLORA_ERROR_FORMAT, "\"prepend\" must be a string"},
        {"normalizer", "{\"type\":\"Replace\",\"content\":\"\"}", CLORA_ERROR_FORMAT, "\"pattern\" must be"},
        {"normalizer", "{\"type\":\"Replace\",\"content\":\"\",\"pattern\":\"x\"}", CLORA_ERROR_FORMAT,
         "\"pattern\" must be"},
        {"normalizer", "{\"type\":\"Strip\",\"strip_left\":true}", CLORA_ERROR_FORMAT,
         "\"strip_right\" must be true or false"},
        {"normalizer", "{\"type\":\"Sequence\"}", CLORA_ERROR_FORMAT, "\"normalizers\" must be an array"},
        {"normalizer", "{\"type\":\"Sequence\",\"normalizers\":[null]}", CLORA_ERROR_FORMAT,
         "normalizer: wanted an object"},
        {"pre_tokenizer", "{\"type\":\"ByteLevel\"}", CLORA_ERROR_FORMAT, "\"add_prefix_space\" must be true or false"},
        {"pre_tokenizer", "{\"type\":\"Digits\"}", CLORA_ERROR_FORMAT, "\"individual_digits\" must be"},
        {"pre_tokenizer", "{\"type\":\"Punctuation\",\"behavior\":\"Lost\"}", CLORA_ERROR_FORMAT,
         "\"behavior\" must be"},
        {"pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"xy\"}", CLORA_ERROR_FORMAT,
         "\"replacement\" must be one character"},
        {"pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"x\",\"prepend_scheme\":\"last\"}",
         CLORA_ERROR_FORMAT, "\"prepend_scheme\" must be"},
        {"pre_tokenizer",
         "{\"type\":\"Metaspace\",\"replacement\":\"x\",\"prepend_scheme\":\"first\",\"add_prefix_space\":false}",
         CLORA_ERROR_FORMAT, "contradict"},
        {"decoder", "{\"type\":\"Strip\",\"content\":\" \",\"start\":-1,\"stop\":0}", CLORA_ERROR_FORMAT,
         "\"start\" must be a number from 0 up"},
        {"decoder", "{\"type\":\"Strip\",\"content\":\"\",\"start\":1,\"stop\":0}", CLORA_ERROR_FORMAT,
         "\"content\" must be one character"},
        {"post_processor", "{\"type\":\"TemplateProcessing\"}", CLORA_ERROR_FORMAT, "\"single\" must be an array"},
        {"post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[]}", CLORA_ERROR_FORMAT,
         "lacks the sequence A"},
        {"post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}}]}",
         CLORA_ERROR_FORMAT, "no ids for \"<s>\""},
        {"post_processor",
         "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{\"id\":\"A\"}}]"
         ","
         "\"special_tokens\":{\"x\":{\"ids\":[99]}}}",
         CLORA_ERROR_FORMAT, "\"x\" has an id that is not in the vocabulary"},
    };
    REFUSE(cases);
}

static void test_broken_added_tokens_are_refused(void **state) {
    (void)state;
    static const refusal cases[] = {
        {"added_tokens", "{}", CLORA_ERROR_FORMAT, "added_tokens must be an array"},
        {"added_tokens", "[7]", CLORA_ERROR_FORMAT, "\"id\" must be an integer"},
        {"added_tokens", "[{\"id\":0}]", CLORA_ERROR_FORMAT, "\"content\" must be a string"},
        {"added_tokens", "[{\"id\":0,\"content\":\"<s>\"}]", CLORA_ERROR_FORMAT,
         "\"single_word\" must be true or false"},
        {"added_tokens", "[" ADDED("1", "<s>", "") "]", CLORA_ERROR_FORMAT,
         "\"<s>\" has the id 1 where 0 is its place"},
        {"added_tokens", "[" ADDED("9", "<x>", "") "]", CLORA_ERROR_FORMAT,
         "\"<x>\" has the id 9 where 6 is its place"},
        {"added_tokens", "[" ADDED("-6", "<x>", "") "]", CLORA_ERROR_FORMAT, "\"<x>\" has the id -6"},
    };
    REFUSE(cases);
    assert_ok(
        load_with("added_tokens", "[" ADDED("0", "<s>", "") "," ADDED("6", "<x>", "") "," ADDED("6", "<x>", "") "]"));
}

static void test_deep_sequences_and_deep_json_are_refused(void **state) {
    (void)state;
    enum { DEPTH = 100000 };
    char *deep = malloc(2 * DEPTH + 1), nested[4096] = "{\"type\":\"NFC\"}";
    clora_tokenizer *t;

    for (int i = 0; i < 40; i++) {
        char outer[4096];
        const int n = snprintf(outer, sizeof(outer), "{\"type\":\"Sequence\",\"normalizers\":[%s]}", nested);
        assert_true(n > 0 && (size_t)n < sizeof(outer));
        memcpy(nested, outer, (size_t)n + 1);
    }
    assert_refused(load_with("normalizer", nested), CLORA_ERROR_FORMAT, "too deep");
    assert_non_null(deep);
    memset(deep, '[', DEPTH);
    memset(deep + DEPTH, ']', DEPTH);
    scratch_write("tokenizer.json", deep, 2 * DEPTH);
    assert_refused(clora_tokenizer_load(&t, scratch_path("")), CLORA_ERROR_FORMAT, "not valid JSON");
    free(deep);
}

/* Every way of cutting the file short ends in a message, never in a tokenizer. */
static void test_a_truncated_file_is_refused(void **state) {
    (void)state;
    clora_tokenizer *t;

    for (size_t size = 0; size < sizeof(base) - 1; size += 7) {
        scratch_write("tokenizer.json", base, size);
        assert_refused(clora_tokenizer_load(&t, scratch_path("")), CLORA_ERROR_FORMAT, "tokenizer.json");
        assert_null(t);
    }
}

static void test_a_missing_file_is_not_found(void **state) {
    (void)state;
    clora_tokenizer *t;

    assert_refused(clora_tokenizer_load(&t, scratch_path("")), CLORA_ERROR_NOT_FOUND, "tokenizer.json");
}

static void test_an_unknown_token_outside_the_vocabulary_is_an_error_when_it_is_needed(void **state) {
    (void)state;
    clora_tokenizer *t;
    size_t count;
    int32_t *ids;

    write_with("model.unk_token", "\"<nothing>\"");
    assert_ok(clora_tokenizer_load(&t, scratch_path("")));
    assert_ok(clora_tokenizer_encode(t, "ab a", 4, 0, &ids, &count));
    assert_int_equal(count, 3);
    free(ids);
    assert_refused(clora_tokenizer_encode(t, "xyz", 3, 0, &ids, &count), CLORA_ERROR_FORMAT, "<nothing>");
    clora_tokenizer_free(t);
}

static void test_a_unigram_without_an_unknown_token_needs_none_until_it_does(void **state) {
    (void)state;
    clora_tokenizer *t;
    size_t count;
    int32_t *ids;

    write_with("model", UNIGRAM("null", "[[\"a\",-1],[\"b\",-2],[\"ab\",-2.5]]"));
    assert_ok(clora_tokenizer_load(&t, scratch_path("")));
    assert_ok(clora_tokenizer_encode(t, "aab", 3, 0, &ids, &count));
    assert_int_equal(count, 2);
    assert_int_equal(ids[1], 2);
    free(ids);
    assert_refused(clora_tokenizer_encode(t, "axb", 3, 0, &ids, &count), CLORA_ERROR_FORMAT, "no \"unk_id\"");
    clora_tokenizer_free(t);
}

/* What the getters say with this tokenizer_config.json (none if NULL). */
static void check_config(const char *post, const char *config, int bos, int eos, int adds) {
    clora_tokenizer *t;

    write_with("post_processor", post);
    if (config)
        scratch_text("tokenizer_config.json", config);
    assert_ok(clora_tokenizer_load(&t, scratch_path("")));
    assert_int_equal(clora_tokenizer_bos(t), bos);
    assert_int_equal(clora_tokenizer_eos(t), eos);
    assert_int_equal(clora_tokenizer_adds_bos(t), adds);
    clora_tokenizer_free(t);
}

static void test_the_files_say_which_bos_and_eos(void **state) {
    (void)state;
    static const char bytes[] = "{\"type\":\"ByteLevel\"}";
    static const char around[] =
        "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{\"id\":\"A\"}}],"
        "\"special_tokens\":{\"x\":{\"ids\":[2]}}}";

    check_config("null", NULL, -1, -1, 0);
    check_config(around, NULL, 2, -1, 1);
    check_config("null", "{}", -1, -1, 0);
    check_config("null", "{\"bos_token\":null,\"eos_token\":null}", -1, -1, 0);
    check_config("null", "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\"}", 0, 1, 0);
    check_config("null", "{\"bos_token\":\"<s>\",\"add_bos_token\":true}", 0, -1, 1);
    check_config("null", "{\"eos_token\":{\"content\":\"</s>\",\"lstrip\":false}}", -1, 1, 0);
    check_config("null", "{\"bos_token\":\"\",\"eos_token\":{\"content\":\"\"}}", -1, -1, 0);
    /* transformers' "no limit" as an integer, and what else is not read */
    check_config("null",
                 "{\"model_max_length\":1000000000000000019884624838656,\"scale\":NaN,\"least\":[-Infinity,1e400],"
                 "\"eos_token\":\"</s>\"}",
                 -1, 1, 0);
    /* with a post-processor add_bos_token says nothing, and the template says which */
    check_config(bytes, "{\"bos_token\":\"<s>\",\"add_bos_token\":true}", 0, -1, 0);
    check_config(around, "{\"bos_token\":\"<s>\",\"add_bos_token\":false}", 2, -1, 1);
}

/* As transformers 4.57 has it; 5 agrees on the classes that do not listen. */
static void test_only_llama_s_classes_listen_to_add_bos_token(void **state) {
    (void)state;
    static const struct {
        const char *class;
        int adds;
    } cases[] = {
        {"\"LlamaTokenizer\"", 1},
        {"\"LlamaTokenizerFast\"", 1},
        {"\"CodeLlamaTokenizer\"", 1},
        {"\"CodeLlamaTokenizerFast\"", 1},
        {"null", 1},
        {"\"PreTrainedTokenizerFast\"", 0},
        {"\"PreTrainedTokenizer\"", 0},
        {"\"TokenizersBackend\"", 0},
        {"\"GPT2TokenizerFast\"", 0},
        {"\"\"", 0},
    };
    static const char around[] =
        "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}},{\"Sequence\":{\"id\":\"A\"}}],"
        "\"special_tokens\":{\"x\":{\"ids\":[0]}}}";
    char config[200];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(config, sizeof(config), "{\"tokenizer_class\":%s,\"bos_token\":\"<s>\",\"add_bos_token\":true}",
                 cases[i].class);
        check_config("null", config, 0, -1, cases[i].adds);
        check_config(around, config, 0, -1, 1); /* a post-processor decides for all */
        snprintf(config, sizeof(config), "{\"tokenizer_class\":%s,\"bos_token\":\"<s>\",\"add_bos_token\":false}",
                 cases[i].class);
        check_config("null", config, 0, -1, 0);
    }
    check_config("null", "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"add_bos_token\":true}", -1, -1, 0);
}

static void test_bos_is_added_where_the_config_says_so(void **state) {
    (void)state;
    clora_tokenizer *t;
    size_t count;
    int32_t *ids;

    write_with("post_processor", "null");
    scratch_text("tokenizer_config.json", "{\"bos_token\":\"<s>\",\"add_bos_token\":true}");
    assert_ok(clora_tokenizer_load(&t, scratch_path("")));
    assert_ok(clora_tokenizer_encode(t, "ab", 2, 1, &ids, &count));
    assert_int_equal(count, 2);
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], 5);
    free(ids);
    clora_tokenizer_free(t);
}

static void test_a_broken_config_is_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"[]", "tokenizer_config.json"},
        {"{", "not valid JSON"},
        {"{\"eos_token\":\"<no>\"}", "\"eos_token\" is \"<no>\", which is not in the vocabulary"},
        {"{\"eos_token\":7}", "\"eos_token\" must be a string or an object"},
        {"{\"eos_token\":NaN}", "\"eos_token\" must be a string or an object"},
        {"{\"bos_token\":{\"content\":1e400}}", "\"bos_token\" must be a string or an object"},
        {"{\"add_bos_token\":1000000000000000019884624838656}", "\"add_bos_token\" must be true or false"},
        {"{\"bos_token\":{\"text\":\"<s>\"}}", "\"bos_token\" must be a string or an object"},
        {"{\"tokenizer_class\":7}", "\"tokenizer_class\" must be a string"},
        {"{\"add_bos_token\":\"yes\"}", "\"add_bos_token\" must be true or false"},
        {"{\"add_bos_token\":true}", "there is no \"bos_token\""},
    };
    clora_tokenizer *t;

    write_with("post_processor", "null");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scratch_text("tokenizer_config.json", cases[i][0]);
        assert_refused(clora_tokenizer_load(&t, scratch_path("")), CLORA_ERROR_FORMAT, cases[i][1]);
    }
}

#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_the_plain_file_loads),
        SCRATCH_TEST(test_broken_vocabularies_are_refused),
        SCRATCH_TEST(test_broken_merges_are_refused),
        SCRATCH_TEST(test_unknown_parts_are_refused_by_name),
        SCRATCH_TEST(test_broken_unigram_vocabularies_are_refused),
        SCRATCH_TEST(test_broken_charsmaps_are_refused),
        SCRATCH_TEST(test_parts_with_wrong_values_are_refused),
        SCRATCH_TEST(test_broken_added_tokens_are_refused),
        SCRATCH_TEST(test_deep_sequences_and_deep_json_are_refused),
        SCRATCH_TEST(test_a_truncated_file_is_refused),
        SCRATCH_TEST(test_a_missing_file_is_not_found),
        SCRATCH_TEST(test_an_unknown_token_outside_the_vocabulary_is_an_error_when_it_is_needed),
        SCRATCH_TEST(test_a_unigram_without_an_unknown_token_needs_none_until_it_does),
        SCRATCH_TEST(test_the_files_say_which_bos_and_eos),
        SCRATCH_TEST(test_only_llama_s_classes_listen_to_add_bos_token),
        SCRATCH_TEST(test_bos_is_added_where_the_config_says_so),
        SCRATCH_TEST(test_a_broken_config_is_refused),
    };
    return cmocka_run_group_tests_name("tokenizer files", tests, NULL, NULL);
}
