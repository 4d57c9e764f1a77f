#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "data/dataset.h"
#include "support/byte_tokenizer.h"
#include "support/scratch.h"

static void test_a_pair_is_context_target_eos_of_which_the_context_is_masked(void **state) {
    (void)state;
    clora_dataset *d = load("d.jsonl", "{\"context\": \"ab\", \"target\": \" cd\"}\n");

    assert_int_equal(clora_dataset_count(d), 1);
    assert_sequence(d, 0, "ab cd$", "--++++");
    const clora_dataset_stats *stats = clora_dataset_get_stats(d);
    assert_int_equal(stats->sequences, 1);
    assert_int_equal(stats->tokens, 6);
    assert_int_equal(stats->target_tokens, 4);
    assert_int_equal(stats->longest, 6);
    assert_int_equal(stats->largest_id, EOS);
    assert_int_equal(stats->truncated_contexts + stats->truncated_targets + stats->left_out + stats->dropped, 0);
    clora_dataset_free(d);
    clora_dataset_free(NULL);
}

static void test_a_bos_comes_first_when_the_tokenizer_adds_one(void **state) {
    (void)state;
    clora_dataset *d = load_with("d.jsonl", "{\"context\": \"ab\", \"target\": \"c\"}", with_bos, NULL);

    assert_sequence(d, 0, "^abc$", "---++");
    clora_dataset_free(d);
}

static void test_the_options_choose_eos_and_what_is_learnt(void **state) {
    (void)state;
    const char *line = "{\"context\": \"ab\", \"target\": \"cd\"}";
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_dataset *d;

    options.learn_context = 1;
    d = load_with("d.jsonl", line, with_bos, &options);
    assert_sequence(d, 0, "^abcd$", "-+++++");
    clora_dataset_free(d);
    d = load_with("d.jsonl", line, plain, &options);
    assert_sequence(d, 0, "abcd$", "-++++"); /* nothing stands before the first */
    clora_dataset_free(d);
    options.learn_context = 0;
    options.eos = 0;
    d = load_with("d.jsonl", line, plain, &options);
    assert_sequence(d, 0, "abcd", "--++");
    clora_dataset_free(d);
    options.eos = 1;
    options.eos_id = '!';
    d = load_with("d.jsonl", line, plain, &options);
    assert_sequence(d, 0, "abcd!", "--+++");
    clora_dataset_free(d);
}

static void test_special_tokens_in_a_text_become_their_ids(void **state) {
    (void)state;
    clora_dataset *d = load("d.jsonl", "{\"context\": \"<s>a</s>\", \"target\": \"<s>b</s>c\"}");

    assert_sequence(d, 0, "^a$^b$c$", "---+++++");
    clora_dataset_free(d);
}

static void test_a_text_with_its_own_bos_or_eos_gets_no_second_one(void **state) {
    (void)state;
    clora_dataset *d = load_with("d.jsonl",
                                 "{\"context\": \"<s>a\", \"target\": \"b</s>\"}\n"
                                 "{\"context\": \"<s>\", \"target\": \"b\"}\n"
                                 "{\"context\": \"\", \"target\": \"<s>ab</s>\"}\n"
                                 "{\"context\": \"a\", \"target\": \"<s>b</s>c\"}\n"
                                 "{\"context\": \"\", \"target\": \"</s>\"}\n",
                                 with_bos, NULL);

    assert_sequence(d, 0, "^ab$", "--++");
    assert_sequence(d, 1, "^b$", "-++");
    assert_sequence(d, 2, "^ab$", "-+++");
    assert_sequence(d, 3, "^a^b$c$", "--+++++");
    assert_sequence(d, 4, "^$", "-+");
    assert_int_equal(clora_dataset_get_stats(d)->own_bos, 3);
    assert_int_equal(clora_dataset_get_stats(d)->own_eos, 3);
    clora_dataset_free(d);
    d = load_with("d.txt", "<s>ab</s>", with_bos, NULL);
    assert_sequence(d, 0, "^ab$", "-+++");
    clora_dataset_free(d);
}

static void test_ends_that_are_not_added_stay_as_the_text_has_them(void **state) {
    (void)state;
    const char *line = "{\"context\": \"<s>a\", \"target\": \"b</s>\"}";
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_dataset *d = load("d.jsonl", line); /* no bos is added */

    assert_sequence(d, 0, "^ab$", "--++");
    assert_int_equal(clora_dataset_get_stats(d)->own_bos, 0);
    clora_dataset_free(d);
    options.eos = 0;
    d = load_with("d.jsonl", line, with_bos, &options);
    assert_sequence(d, 0, "^ab$", "--++");
    assert_int_equal(clora_dataset_get_stats(d)->own_eos, 0);
    clora_dataset_free(d);
    options.eos = 1;
    options.max_length = 3; /* what is cut is cut as if the text were without */
    d = load_with("d.jsonl", "{\"context\": \"<s>abc\", \"target\": \"x</s>\"}", with_bos, &options);
    assert_sequence(d, 0, "^x$", "-++");
    clora_dataset_free(d);
}

static void test_the_other_names_of_a_pair_are_read(void **state) {
    static const char *const rows[] = {"{\"prompt\": \"ab\", \"completion\": \"c\", \"context\": \"x\"}",
                                       "{\"instruction\": \"ab\", \"output\": \"c\"}",
                                       "{\"instruction\": \"ab\", \"input\": \"\", \"output\": \"c\"}",
                                       "{\"instruction\": \"ab\", \"input\": null, \"output\": \"c\"}",
                                       "{\"question\": \"ab\", \"answer\": \"c\", \"context\": \"\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_only_sequence("d.jsonl", rows[i], NULL, "abc$", "--++");
    assert_only_sequence("d.jsonl", "{\"instruction\": \"ab\", \"input\": \"x\", \"output\": \"c\", \"text\": \"z\"}",
                         NULL, "ab\nxc$", "----++");
    assert_only_sequence("d.jsonl", "{\"text\": \"abc\"}", NULL, "abc$", "-+++");
    assert_bad("d.jsonl", "{\"context\": \"x\", \"question\": \"ab\", \"answer\": \"c\"}",
               "line 1: has a \"context\" beside \"question\" and \"answer\"");
    assert_bad("d.jsonl", "{\"question\": \"ab\", \"text\": \"c\"}", "has \"question\" but no \"answer\"");
}

static void test_blank_lines_other_keys_and_foreign_line_ends_do_no_harm(void **state) {
    (void)state;
    clora_dataset *d = load("d.JSONL", "\xEF\xBB\xBF\r\n  \t\n{\"context\": \"a\", \"target\": \"\\u00e9\", \"n\": "
                                       "123456789012345678901234567890, \"x\": [{}]}\r\n\n\n"
                                       "{\"target\":\"d\",\"context\":\"\"}");

    assert_int_equal(clora_dataset_count(d), 2);
    assert_sequence(d, 0, "a\xc3\xa9$", "-+++");
    assert_sequence(d, 1, "d$", "-+");
    clora_dataset_free(d);
}

static void test_a_long_context_loses_ids_from_its_left_but_not_the_bos(void **state) {
    (void)state;
    const clora_dataset_options options = options_of_length(6);
    clora_dataset *d = load_with("d.jsonl",
                                 "{\"context\": \"abc\", \"target\": \"xy\"}\n"
                                 "{\"context\": \"ab\", \"target\": \"xy\"}\n"
                                 "{\"context\": \"abcdef\", \"target\": \"wxyz\"}\n",
                                 with_bos, &options);

    assert_sequence(d, 0, "^bcxy$", "---+++");
    assert_sequence(d, 1, "^abxy$", "---+++");
    assert_sequence(d, 2, "^wxyz$", "-+++++");
    assert_int_equal(clora_dataset_get_stats(d)->truncated_contexts, 2);
    assert_int_equal(clora_dataset_get_stats(d)->truncated_targets, 0);
    clora_dataset_free(d);
}

static void test_a_target_that_alone_is_too_long_is_cut_on_the_right_without_eos(void **state) {
    (void)state;
    const clora_dataset_options options = options_of_length(5);
    clora_dataset *d = load_with("d.jsonl",
                                 "{\"context\": \"abc\", \"target\": \"uvwxyz\"}\n"
                                 "{\"context\": \"\", \"target\": \"wxyz\"}\n"
                                 "{\"context\": \"\", \"target\": \"xyz\"}\n",
                                 with_bos, &options);

    assert_sequence(d, 0, "^uvwx", "-++++");
    assert_sequence(d, 1, "^wxyz", "-++++");
    assert_sequence(d, 2, "^xyz$", "-++++");
    assert_int_equal(clora_dataset_get_stats(d)->truncated_contexts, 1);
    assert_int_equal(clora_dataset_get_stats(d)->truncated_targets, 2);
    assert_int_equal(clora_dataset_get_stats(d)->longest, 5);
    clora_dataset_free(d);
}

static void test_characters_without_a_token_are_counted(void **state) {
    (void)state;
    clora_dataset *d = load("d.jsonl", "{\"context\": \"a\\u0004\", \"target\": \"b\\u0004\\u0004\"}");

    assert_sequence(d, 0, "ab$", "-++");
    assert_int_equal(clora_dataset_get_stats(d)->dropped, 3);
    clora_dataset_free(d);
}

/* ---- Text files ---- */

static void test_a_text_is_cut_into_windows(void **state) {
    (void)state;
    const clora_dataset_options options = options_of_length(4);
    clora_dataset *d = load_with("d.txt",
                                 "\xEF\xBB\xBF"
                                 "abcdef\nhi",
                                 with_bos, &options);

    assert_int_equal(clora_dataset_count(d), 3);
    assert_sequence(d, 0, "^abc", "-+++");
    assert_sequence(d, 1, "def\n", "-+++");
    assert_sequence(d, 2, "hi$", "-++");
    clora_dataset_free(d);
}

static void test_a_last_window_of_one_id_is_left_out_and_counted(void **state) {
    (void)state;
    const clora_dataset_options options = options_of_length(4);
    clora_dataset *d = load_with("d.txt", "abcdefgh", plain, &options);

    assert_int_equal(clora_dataset_count(d), 2);
    assert_int_equal(clora_dataset_get_stats(d)->left_out, 1);
    assert_int_equal(clora_dataset_get_stats(d)->tokens, 8);
    clora_dataset_free(d);
}

/* ---- CSV files ---- */

static clora_dataset *load_csv(const char *text, const char *columns) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;

    options.columns = columns;
    return load_with("d.csv", text, plain, &options);
}

static void test_csv_columns_are_taken_by_name(void **state) {
    (void)state;
    clora_dataset *d = load_csv("id,ref,mr\n1,b,a\n2,d,c", "mr,ref");

    assert_int_equal(clora_dataset_count(d), 2);
    assert_sequence(d, 0, "ab$", "-++");
    assert_sequence(d, 1, "cd$", "-++");
    clora_dataset_free(d);
    d = load_csv("target,context\nb,a\n", NULL);
    assert_sequence(d, 0, "ab$", "-++");
    clora_dataset_free(d);
    d = load_csv("x\nabc\n", "x");
    assert_sequence(d, 0, "abc$", "-+++");
    clora_dataset_free(d);
}

static void test_csv_quotes_hold_commas_quotes_and_line_ends(void **state) {
    (void)state;
    clora_dataset *d = load_csv("\xEF\xBB\xBF\"mr\",\"r\"\"f\"\r\n"
                                "\"a,\"\"b\"\"\r\nc\",\"\"\"\"\r\n"
                                "\r\n"
                                "\"\",x y\r\n"
                                ",\"y\"",
                                "mr,r\"f");

    assert_int_equal(clora_dataset_count(d), 3);
    assert_sequence(d, 0, "a,\"b\"\r\nc\"$", "--------++");
    assert_sequence(d, 1, "x y$", "-+++");
    assert_sequence(d, 2, "y$", "-+");
    clora_dataset_free(d);
}

static void test_wrong_csv_is_refused_with_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"context,target\na,b\n\nc\n", "line 4: 1 fields where the header has 2"},
        {"context,target\n\"a\nb\",c,d\n", "line 2: 3 fields"},
        {"context,target\n\"a\n\n\",b\nc,d,e\n", "line 5: 3 fields"},
        {"context,target\na,b\nc,\"d\ne\nf", "line 3: a quoted field begins here and never ends"},
        {"context,target\na,b\"c\"\n", "line 2: a quote inside a field without quotes"},
        {"context,target\na,\"b\" c\n", "line 2: text after a field's closing quote"},
        {"context,target\na,b\n\xff,c\n", "line 3: not UTF-8"},
        {"context,target\n", "holds no sequences"},
        {"context,target", "holds no sequences"},
        {"\n\n", "holds no sequences"},
        {"", "holds no sequences"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_bad("d.csv", cases[i].text, cases[i].words);
    assert_not_loaded("d.csv", "context,target\na,b\0\n", 19, NULL, CLORA_ERROR_FORMAT, "line 2: holds a NUL");
}

/* ---- Bad files ---- */

static void test_a_wrong_line_is_refused_with_its_number(void **state) {
    (void)state;
    static const struct {
        const char *line, *words;
    } cases[] = {
        {"{\"context\": \"a\"}", "line 3: has \"context\" but no \"target\""},
        {"{\"target\": \"a\"}", "line 3: has \"target\" but no \"context\""},
        {"{\"prompt\": \"a\", \"target\": \"a\"}", "line 3: has \"target\" but no \"context\""},
        {"{\"prompt\": \"a\", \"text\": \"b\"}", "line 3: has \"prompt\" but no \"completion\""},
        {"{\"a\": 1}", "line 3: needs \"context\" and \"target\""},
        {"{}", "line 3: needs \"context\" and \"target\""},
        {"{\"context\": \"a\", \"target\": 1}", "line 3: \"target\" must be a string"},
        {"{\"context\": null, \"target\": \"a\"}", "line 3: \"context\" must be a string"},
        {"{\"instruction\": \"a\", \"input\": 1, \"output\": \"a\"}", "line 3: \"input\" must be a string"},
        {"{\"text\": [\"a\"]}", "line 3: \"text\" must be a string"},
        {"{\"context\": \"a\", \"target\": \"b\\u0000\"}", "line 3: \"target\" holds a NUL"},
        {"{\"context\": \"a\", \"target\": \"b\"", "line 3: not JSON: "},
        {"{\"context\": \"a\", \"context\": \"b\", \"target\": \"b\"}", "line 3: not JSON: duplicate"},
        {"{\"context\": \"\\ud800\", \"target\": \"b\"}", "line 3: not JSON: "},
        {"hello", "line 3: not JSON: "},
        {"[{\"text\": \"a\"}]", "line 3: not a JSON object; an array must be all of the file, or be taken apart"},
        {"{\"context\": \"a\",",
         "line 3: not JSON: the value does not end in this line; an object must be in one line"},
        {"\"text\"", "line 3: not a JSON object"},
        {"{\"text\": \"\xc3\"}", "line 3: not UTF-8 (byte 0xc3)"},
        {"{\"text\": \"\xed\xa0\x80\"}", "line 3: not UTF-8"},
        {"{\"text\": \"\xc0\xaf\"}", "line 3: not UTF-8"},
        {"{\"text\": \"\xf4\x90\x80\x80\"}", "line 3: not UTF-8"},
        {"{\"x\": \"\xff\", \"text\": \"a\"}", "line 3: not UTF-8"},
    };
    char text[512];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const bool pair = strstr(cases[i].line, "\"target\"") || strstr(cases[i].line, "\"output\"");
        snprintf(text, sizeof(text), "%s\n\n%s\n{\"text\": \"ok\"}\n", pair ? "" : "{\"text\": \"ok\"}", cases[i].line);
        assert_bad("d.jsonl", text, cases[i].words);
    }
    assert_not_loaded("d.jsonl", "{\"text\": \"ok\"}\n\0\n", 17, NULL, CLORA_ERROR_FORMAT, "line 2: holds a NUL");
    static const char chat[] = "\n{\"messages\": []}";
    assert_not_loaded("d.jsonl", chat, strlen(chat), NULL, CLORA_ERROR_UNSUPPORTED, "line 2: chat messages");
}

static void test_an_empty_target_is_learnt_by_its_eos_or_refused(void **state) {
    (void)state;
    static const char line[] = "{\"context\": \"ab\", \"target\": \"\"}";
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_dataset *d = load("d.jsonl", line);

    assert_sequence(d, 0, "ab$", "--+");
    clora_dataset_free(d);
    options.eos = 0;
    assert_not_loaded("d.jsonl", line, strlen(line), &options, CLORA_ERROR_FORMAT, "line 1: nothing to learn");
}

static void test_pairs_without_anything_to_learn_are_passed_over_and_counted(void **state) {
    (void)state;
    static const char lines[] =
        "{\"context\": \"\", \"target\": \"\"}\n{\"context\": \"ab\", \"target\": \"\"}\n"
        "{\"context\": \"\", \"target\": \"\"}\n{\"context\": \"a\", \"target\": \"b\"}\n"
        "{\"context\": \"a\", \"target\": \"\\u0004\"}\n{\"context\": \"\", \"target\": \"c\"}\n";
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_dataset *d = load("d.jsonl", lines);

    assert_int_equal(clora_dataset_count(d), 4);
    assert_sequence(d, 0, "ab$", "--+");
    assert_int_equal(clora_dataset_get_stats(d)->skipped, 2);
    assert_int_equal(clora_dataset_get_stats(d)->empty_targets, 2);
    clora_dataset_free(d);
    options.eos = 0;
    d = load_with("d.jsonl", lines, plain, &options);
    assert_int_equal(clora_dataset_count(d), 1);
    assert_sequence(d, 0, "ab", "-+");
    assert_int_equal(clora_dataset_get_stats(d)->skipped, 5);
    assert_int_equal(clora_dataset_get_stats(d)->empty_targets, 0);
    clora_dataset_free(d);
    d = load_with("d.csv", "context,target\nab,\na,b\n", plain, &options);
    assert_int_equal(clora_dataset_count(d), 1);
    clora_dataset_free(d);
    scratch_text("d.csv", "context,target\n\nab,\ncd,\n");
    assert_refused(clora_dataset_load(&d, scratch_path("d.csv"), plain, &options), CLORA_ERROR_FORMAT,
                   "line 3: nothing to learn");
}

static void test_a_deep_line_is_refused(void **state) {
    (void)state;
    enum { DEPTH = 500000 };
    char *text = malloc(DEPTH + 3);

    memset(text, '[', DEPTH);
    memcpy(text, "{\"a\":", 5);
    text[DEPTH] = '\0';
    assert_bad("d.jsonl", text, "line 1: not JSON: maximum parsing depth");
    memset(text, '[', 5);
    assert_bad("d.jsonl", text, "the array that begins in line 1 never ends");
    memcpy(text + DEPTH, ",]", 3);
    assert_bad("d.jsonl", text, "the array that begins in line 1 never ends");
    memset(text + DEPTH / 2, ']', DEPTH - DEPTH / 2);
    text[DEPTH] = '\0';
    assert_bad("d.jsonl", text, "line 1: not JSON: maximum parsing depth");
    free(text);
}

static void test_a_file_without_sequences_is_refused(void **state) {
    (void)state;
    assert_bad("d.jsonl", "", "d.jsonl holds no sequences");
    assert_bad("d.jsonl", "\xEF\xBB\xBF", "holds no sequences");
    assert_bad("d.jsonl", "\r\n \n", "holds no sequences");
    assert_bad("d.txt", "", "d.txt holds no sequences");
    assert_bad("d.txt", "\n\xe2\x28\xa1", "line 2: not UTF-8");
}

static void test_options_that_fit_nothing_are_refused(void **state) {
    (void)state;
    clora_dataset_options options = options_of_length(1);
    clora_dataset *dataset = NULL;
    clora_tokenizer *without = byte_tokenizer("{}");

    assert_not_loaded("d.jsonl", "", 0, &options, CLORA_ERROR_ARGUMENT, "a maximum length of 1; the least is 2");
    assert_not_loaded("d.xml", "", 0, NULL, CLORA_ERROR_ARGUMENT, "must end in .jsonl, .json, .csv, .tsv or .txt");
    scratch_text("d.jsonl", "{\"text\": \"ab\"}");
    assert_refused(clora_dataset_load(&dataset, scratch_path("d.jsonl"), without, NULL), CLORA_ERROR_ARGUMENT,
                   "names no eos");
    assert_refused(clora_dataset_load(&dataset, scratch_path("none.jsonl"), plain, NULL), CLORA_ERROR_NOT_FOUND,
                   "none.jsonl");
    scratch_mkdir("dir.jsonl");
    assert_refused(clora_dataset_load(&dataset, scratch_path("dir.jsonl"), plain, NULL), CLORA_ERROR_IO, "directory");
    clora_tokenizer_free(without);
}

#define D(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        D(test_a_pair_is_context_target_eos_of_which_the_context_is_masked),
        D(test_a_bos_comes_first_when_the_tokenizer_adds_one),
        D(test_the_options_choose_eos_and_what_is_learnt),
        D(test_special_tokens_in_a_text_become_their_ids),
        D(test_a_text_with_its_own_bos_or_eos_gets_no_second_one),
        D(test_ends_that_are_not_added_stay_as_the_text_has_them),
        D(test_the_other_names_of_a_pair_are_read),
        D(test_blank_lines_other_keys_and_foreign_line_ends_do_no_harm),
        D(test_a_long_context_loses_ids_from_its_left_but_not_the_bos),
        D(test_a_target_that_alone_is_too_long_is_cut_on_the_right_without_eos),
        D(test_characters_without_a_token_are_counted),
        D(test_a_text_is_cut_into_windows),
        D(test_a_last_window_of_one_id_is_left_out_and_counted),
        D(test_csv_columns_are_taken_by_name),
        D(test_csv_quotes_hold_commas_quotes_and_line_ends),
        D(test_wrong_csv_is_refused_with_its_line),
        D(test_a_wrong_line_is_refused_with_its_number),
        D(test_an_empty_target_is_learnt_by_its_eos_or_refused),
        D(test_pairs_without_anything_to_learn_are_passed_over_and_counted),
        D(test_a_deep_line_is_refused),
        D(test_a_file_without_sequences_is_refused),
        D(test_options_that_fit_nothing_are_refused),
    };

    return cmocka_run_group_tests(tests, byte_tokenizers_make, byte_tokenizers_free);
}
