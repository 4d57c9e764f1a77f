#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tokenizer/tokenizer.h"
#include "support/scratch.h"

/* What a small file, or a small text, may cost. */

#define CPU_SECONDS 20 /* far above what is linear, far below what is not */
#define FLAGS(l, r, n) \
    ",\"single_word\":false,\"lstrip\":" l ",\"rstrip\":" r ",\"normalized\":" n ",\"special\":false}"

/* A tokenizer.json in the making. */
static text_buffer file;

static void put(const char *text) {
    assert_ok(text_append(&file, text, strlen(text)));
}

static void put_repeated(const char *text, size_t count) {
    for (size_t i = 0; i < count; i++)
        put(text);
}

/* [member, member, ...], count times the same */
static void put_list(const char *member, int count) {
    put("[");
    for (int i = 0; i < count; i++) {
        put(i ? "," : "");
        put(member);
    }
    put("]");
}

static void begin_file(void) {
    text_finish(&file);
    put("{\"version\":\"1.0\",\"post_processor\":null");
}

static clora_status load(clora_tokenizer **t) {
    put(",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"\xc2\xa1\":3},\"merges\":[]}}");
    scratch_write("tokenizer.json", file.data, file.size);
    text_finish(&file);
    return clora_tokenizer_load(t, scratch_path(""));
}

/* A component that is a sequence of `count` equal members. */
static void put_sequence(const char *component, const char *list, const char *member, int count) {
    char text[100];

    snprintf(text, sizeof(text), ",\"%s\":{\"type\":\"Sequence\",\"%s\":", component, list);
    put(text);
    put_list(member, count);
    put("}");
}

#define GROWS "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"" TWO_HUNDRED "\"}"
#define TEN "aaaaaaaaaa"
#define FIFTY TEN TEN TEN TEN TEN
#define TWO_HUNDRED FIFTY FIFTY FIFTY FIFTY
#define BYTES "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true,\"use_regex\":false}"
#define PREFIXES "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}"

static void assert_not_encoded(const char *text, const char *words) {
    clora_tokenizer *t = NULL;
    size_t count, dropped;
    pair_ids pair;
    int32_t *ids;

    assert_ok(load(&t));
    assert_refused(clora_tokenizer_encode(t, text, strlen(text), 0, &ids, &count), CLORA_ERROR_FORMAT, words);
    assert_non_null(strstr(clora_last_error(), "tokenizer.json"));
    assert_null(ids);
    assert_refused(clora_tokenizer_count_dropped(t, text, strlen(text), &dropped), CLORA_ERROR_FORMAT, words);
    assert_refused(tokenizer_encode_pair(t, text, 1, strlen(text), &pair), CLORA_ERROR_FORMAT, words);
    clora_tokenizer_free(t);
}

/* Eight million bytes would be made of one: enough to see, and no harm where nobody counts. */
static void test_normalizers_that_multiply_a_text_are_stopped(void **state) {
    (void)state;
    begin_file();
    put_sequence("normalizer", "normalizers", GROWS, 3);
    assert_not_encoded("ab", "normalizer: its members make a text more than 64 times as long");
    begin_file(); /* one step alone */
    put(",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"");
    put_repeated("bbbbbbbbbb", 400000);
    put("\"}");
    assert_not_encoded("ab", "normalizer: its members make");
}

static void test_normalizers_that_multiply_added_tokens_are_stopped(void **state) {
    (void)state;
    clora_tokenizer *t;

    begin_file();
    put(",\"added_tokens\":[{\"id\":4,\"content\":\"a<\"" FLAGS("false", "false", "true") "]");
    put_sequence("normalizer", "normalizers", GROWS, 3);
    assert_refused(load(&t), CLORA_ERROR_FORMAT, "normalizer: its members make");
    begin_file(); /* each of many within bounds, but not together */
    put(",\"added_tokens\":[");
    for (int i = 0; i < 200; i++) {
        char token[200];
        snprintf(token, sizeof(token), "%s{\"id\":%d,\"content\":\"<%da>\"" FLAGS("false", "false", "true"),
                 i ? "," : "", 4 + i, i);
        put(token);
    }
    put("]");
    put_sequence("normalizer", "normalizers", GROWS, 2);
    assert_refused(load(&t), CLORA_ERROR_FORMAT, "normalizer: its members make");
}

static void test_pre_tokenizers_that_multiply_a_text_are_stopped(void **state) {
    (void)state;
    begin_file();
    put_sequence("pre_tokenizer", "pretokenizers", BYTES, 24); /* two bytes of each that is not ASCII */
    assert_not_encoded("\xc3\xa9"
                       "b",
                       "pre_tokenizer: its members make");
    begin_file();
    put_sequence("pre_tokenizer", "pretokenizers", PREFIXES, 24); /* a blank before each piece, which parts it again */
    assert_not_encoded("a1", "pre_tokenizer: its members make");
}

static void test_decoders_that_multiply_a_text_are_stopped(void **state) {
    (void)state;
    const int32_t ids[] = {0};
    clora_tokenizer *t = NULL;
    clora_decoder *decoder;
    const char *piece;
    size_t size;
    char *text;

    begin_file();
    put_sequence("decoder", "decoders", GROWS, 3);
    assert_ok(load(&t));
    assert_refused(clora_tokenizer_decode(t, ids, 1, 0, &text, &size), CLORA_ERROR_FORMAT, "decoder: its members make");
    assert_non_null(strstr(clora_last_error(), "tokenizer.json"));
    assert_null(text);
    assert_ok(clora_decoder_create(&decoder, t, NULL, 0));
    for (int again = 0; again < 3; again++)
        assert_refused(clora_decoder_push(decoder, 0, &piece, &size), CLORA_ERROR_FORMAT, "decoder: its members make");
    clora_decoder_free(decoder);
    clora_tokenizer_free(t);
}

/* What writing systems take: U+FDFA becomes 18 letters, and each of their bytes a character. */
static void test_what_real_components_make_of_a_text_is_not_too_much(void **state) {
    (void)state;
    enum { MANY = 200000 };
    clora_tokenizer *t = NULL;
    text_buffer text = {0};
    size_t count;
    int32_t *ids;

    for (int i = 0; i < MANY; i++)
        assert_ok(text_append(&text, "\xef\xb7\xba", 3));
    begin_file();
    put(",\"normalizer\":{\"type\":\"NFKC\"},\"pre_tokenizer\":" PREFIXES);
    assert_ok(load(&t));
    assert_ok(clora_tokenizer_encode(t, text.data, text.size, 0, &ids, &count));
    free(ids);
    clora_tokenizer_free(t);
    text_finish(&text);
}

static void test_components_have_few_members(void **state) {
    (void)state;
    clora_tokenizer *t = NULL;

    begin_file();
    put_sequence("normalizer", "normalizers", "{\"type\":\"Lowercase\"}", 32);
    assert_ok(load(&t));
    clora_tokenizer_free(t);
    begin_file();
    put_sequence("normalizer", "normalizers", "{\"type\":\"Lowercase\"}", 33);
    assert_refused(load(&t), CLORA_ERROR_FORMAT, "normalizer: more than 32 members");
}

static clora_status load_template(clora_tokenizer **t, int names, int ids, int behind) {
    text_finish(&file);
    put("{\"version\":\"1.0\",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[");
    put_repeated("{\"SpecialToken\":{\"id\":\"x\"}},", (size_t)names);
    put("{\"Sequence\":{\"id\":\"A\"}}");
    put_repeated(",{\"SpecialToken\":{\"id\":\"x\"}}", (size_t)behind);
    put("],\"special_tokens\":{\"x\":{\"ids\":");
    put_list("0", ids);
    put("}}}");
    return load(t);
}

static void test_a_template_adds_few_ids(void **state) {
    (void)state;
    clora_tokenizer *t = NULL;
    size_t count;
    int32_t *ids;

    assert_ok(load_template(&t, 8, 8, 8));
    assert_ok(clora_tokenizer_encode(t, "a", 1, 1, &ids, &count));
    assert_int_equal(count, 129);
    free(ids);
    clora_tokenizer_free(t);
    assert_refused(load_template(&t, 5, 13, 0), CLORA_ERROR_FORMAT, "more than 64 ids");
    assert_refused(load_template(&t, 0, 13, 5), CLORA_ERROR_FORMAT, "more than 64 ids");
    assert_refused(load_template(&t, 2000, 2000, 0), CLORA_ERROR_FORMAT, "more than 64 ids");
}

static void test_files_beyond_any_real_one_are_refused(void **state) {
    (void)state;
    clora_tokenizer *t = NULL;

    scratch_text("tokenizer.json", "");
    assert_int_equal(truncate(scratch_path("tokenizer.json"), (64 << 20) + 1), 0);
    assert_refused(clora_tokenizer_load(&t, scratch_path("")), CLORA_ERROR_FORMAT, "larger than");
    begin_file();
    assert_ok(load(&t));
    clora_tokenizer_free(t);
    scratch_text("tokenizer_config.json", "");
    assert_int_equal(truncate(scratch_path("tokenizer_config.json"), (4 << 20) + 1), 0);
    assert_refused(clora_tokenizer_load(&t, scratch_path("")), CLORA_ERROR_FORMAT,
                   "tokenizer_config.json: it is larger");
}

/* ---- Time: in a process that is ended when it takes far too much ---- */

static void assert_ends(void (*work)(void)) {
    int ended;
    const pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit limit = {CPU_SECONDS, CPU_SECONDS};
        setrlimit(RLIMIT_CPU, &limit);
        work();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
}

static void need(int right) {
    if (!right)
        _exit(1);
}

static void load_many_added_tokens(void) {
    enum { MANY = 100000 };
    clora_tokenizer *t = NULL;
    char token[200];

    begin_file();
    put(",\"added_tokens\":[");
    for (int i = 0; i < MANY; i++) {
        snprintf(token, sizeof(token), "%s{\"id\":%d,\"content\":\"<t%06d>\"" FLAGS("false", "false", "true"),
                 i ? "," : "", 4 + i, i);
        put(token);
    }
    put("]");
    need(load(&t) == CLORA_OK && clora_tokenizer_vocab_size(t) == MANY + 4);
    need(clora_tokenizer_id(t, "<t099999>", 9) == MANY + 3);
    clora_tokenizer_free(t);
}

/* text with an added token; how many ids that has */
static void encode_with(const char *content, const char *flags, char *text, size_t size, size_t wanted) {
    clora_tokenizer *t = NULL;
    int32_t *ids = NULL;
    size_t count = 0;

    begin_file();
    put(",\"added_tokens\":[{\"id\":0,\"content\":\"a\"" FLAGS("false", "false", "false"));
    put(",{\"id\":4,\"content\":\"");
    put(content);
    put("\"");
    put(flags);
    put("]");
    need(load(&t) == CLORA_OK);
    need(clora_tokenizer_encode(t, text, size, 0, &ids, &count) == CLORA_OK && count == wanted);
    free(ids);
    clora_tokenizer_free(t);
    free(text);
}

static char *filled(size_t size, char with) {
    char *text = malloc(size + 1);

    need(text != NULL);
    memset(text, with, size);
    text[size] = '\0';
    return text;
}

enum { BLANKS = 200000, LETTERS = 500000, LONG = 100000 };

static void strip_many_blanks_on_the_left(void) {
    encode_with(" ", FLAGS("true", "false", "false"), filled(BLANKS, ' '), BLANKS, BLANKS);
}

static void strip_many_blanks_on_the_right(void) {
    encode_with(" ", FLAGS("false", "true", "false"), filled(BLANKS, ' '), BLANKS, BLANKS);
}

/* The long token begins everywhere and is nowhere; the short one inside it is found at each place. */
static void look_for_a_long_token(void) {
    char *token = filled(LONG, 'a');

    token[LONG - 1] = 'c';
    encode_with(token, FLAGS("false", "false", "false"), filled(LETTERS, 'a'), LETTERS, LETTERS);
    free(token);
}

static void test_added_tokens_cost_no_more_than_their_length(void **state) {
    (void)state;
    assert_ends(load_many_added_tokens);
    assert_ends(strip_many_blanks_on_the_left);
    assert_ends(strip_many_blanks_on_the_right);
    assert_ends(look_for_a_long_token);
}

/* The author of a file cannot know where its merges and tokens come to lie: it is elsewhere each time. */
static void test_no_two_tables_hash_alike(void **state) {
    (void)state;
    clora_tokenizer *one = NULL, *other = NULL;

    begin_file();
    assert_ok(load(&one));
    begin_file();
    assert_ok(load(&other));
    assert_true(one->model.bpe.merges.multiplier != other->model.bpe.merges.multiplier);
    assert_true(one->model.bpe.vocab.index.seed != other->model.bpe.vocab.index.seed);
    assert_true(one->added.index.seed != one->model.bpe.vocab.index.seed);
    assert_true(one->model.bpe.merges.multiplier % 2 == 1);
    clora_tokenizer_free(one);
    clora_tokenizer_free(other);
}

#define T(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_normalizers_that_multiply_a_text_are_stopped),
        T(test_normalizers_that_multiply_added_tokens_are_stopped),
        T(test_pre_tokenizers_that_multiply_a_text_are_stopped),
        T(test_decoders_that_multiply_a_text_are_stopped),
        T(test_what_real_components_make_of_a_text_is_not_too_much),
        T(test_components_have_few_members),
        T(test_a_template_adds_few_ids),
        T(test_files_beyond_any_real_one_are_refused),
        T(test_added_tokens_cost_no_more_than_their_length),
        T(test_no_two_tables_hash_alike),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);

    text_finish(&file);
    return failed;
}
