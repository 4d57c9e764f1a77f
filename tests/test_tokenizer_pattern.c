#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tokenizer/regex.h"
#include "support/scratch.h"

/* Patterns are Oniguruma's: the places are what the `tokenizers` package finds. */
static void check(const char *pattern, const char *text, const char *expected) {
    regex_workspace workspace = {0};
    regex_search search;
    char places[512] = "";
    size_t start, end, n = 0;
    bool found;
    regex *rx;

    assert_ok(regex_create(&rx, pattern, strlen(pattern), "test"));
    assert_ok(regex_search_begin(&search, rx, &workspace, text, strlen(text)));
    for (;;) {
        assert_ok(regex_search_next(&search, &found, &start, &end));
        if (!found)
            break;
        n += (size_t)snprintf(places + n, sizeof(places) - n, "%s%zu-%zu", n ? " " : "", start, end);
        assert_true(n < sizeof(places));
    }
    if (strcmp(places, expected) != 0)
        fail_msg("/%s/ on \"%s\": %s, wanted %s", pattern, text, places, expected);
    regex_workspace_finish(&workspace);
    regex_free(rx);
}

static void test_repetitions_are_those_of_oniguruma(void **state) {
    (void)state;
    check("a{1,2}+", "aaaaab", "0-5"); /* + repeats an interval, it does not make it possessive */
    check("a{1,2}", "aaaaab", "0-2 2-4 4-5");
    check("a{1,2}?", "aaab", "0-1 1-2 2-3");
    check("a{,2}b", "aaab", "1-4");
    check("a++b|a", "aab", "0-3");
    check("a{", "aa{", "1-3");
    check("a{x}", "a{x}", "0-4");
}

static void test_an_empty_match_behind_a_match_does_not_count(void **state) {
    (void)state;
    check("a*", "baac", "0-0 1-3 4-4");
    check("x*", "\xe6\x97\xa5\xe6\x9c\xac", "0-0 3-3 6-6");
    check("", "ab", "0-0 1-1 2-2");
}

static void test_line_anchors_match_at_every_line(void **state) {
    (void)state;
    check("^", "a\nb\n", "0-0 2-2");
    check("$", "a\nb\n", "1-1 3-3 4-4");
    check("\\A|\\z", "a\nb\n", "0-0 4-4");
    check("\\s+$", "a  \nb  \n", "1-3 5-8");
}

static void test_a_dot_is_anything_but_a_line_feed(void **state) {
    (void)state;
    check(".", "a\r\n\xe2\x80\xa8", "0-1 1-2 3-6");
    check("\\R", "a\r\nb\n", "1-3 4-5");
}

static void test_sets_have_oniguruma_s_members(void **state) {
    (void)state;
    check("\\h+", "xAf9gz", "1-4");
    check("\\H+", "xAf9gz", "0-1 4-6");
    check("\\s", "\xe1\xa0\x8e \xc2\x85", "3-4 4-6"); /* U+180E is no white space any more */
    check("[\\S]+", "ab c", "0-2 3-4");
    check("\\w+", "a\xcc\x81_\xc2\xb2 \xe2\x82\x80", "0-6"); /* marks and Latin-1's raised digits, not U+2080 */
    check("\\d+", "12\xd9\xa3\xc2\xbd", "0-4");
    check("\\v", "\x0b\x0c", "0-1");
    check("[sdmt]", "'d!s", "1-2 3-4"); /* letters of sets are letters here */
    check("[\\p{L}\\-x]+", "a-1", "0-2");
    check("\\p{^L}+|\\P{N}", "ab1", "0-1 1-2 2-3");
    check("\\bab\\b", "ab abc ab", "0-2 7-9");
    check("\\B", "ab", "1-1");
    check("\\p{Han}+", "\xe3\x80\x81\xe4\xb8\xad\xe6\x96\x87", "3-9"); /* the script, not its extensions */
}

static void test_properties_know_the_characters_of_unicode_16(void **state) {
    (void)state;
    check("\\p{L}", "a\xf0\xb1\x8d\x90", "0-1 1-5"); /* U+31350, Unicode 15 */
    check("[^\\p{L}]", "a\xe1\xb2\x8a", "");         /* U+1C8A, Unicode 16 */
    check("\\p{N}+", "1\xf0\x91\x9b\x90", "0-5");    /* U+116D0, Unicode 16 */
    check("\\p{Han}", "\xf0\xb1\x8d\x90", "0-4");
    check("\\P{L}|\\W|\\p{Lu}", "\xf0\xb1\x8d\x90", "");
}

static void test_case_is_ignored_where_the_pattern_says_so(void **state) {
    (void)state;
    check("(?i:'s|'ve)|x", "'S'VE'VeX", "0-2 2-5 5-8");
    check("(?i)ab|c", "AbC", "0-2 2-3");
    check("(?i:k)", "\xe2\x84\xaa", "0-3"); /* the Kelvin sign */
    check("(?i:a(?-i:b))", "AbAB", "0-2");
}

static void test_groups_and_looking_around(void **state) {
    (void)state;
    check("(a|b)+c", "abac", "0-4");
    check("(?>a|ab)c", "abc ac", "4-6");
    check("(?<=a)b|(?<!a)b$", "abb", "1-2 2-3");
    check("\\s+(?!\\S)|\\s+", "a   b ", "1-3 3-4 5-6");
    check("\\u0041|\\x42|\\x{43}|\\/", "ABC/", "0-1 1-2 2-3 3-4");
}

static void test_what_has_no_counterpart_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        clora_status status;
        const char *words;
    } cases[] = {
        {"(a)\\1", CLORA_ERROR_UNSUPPORTED, "unknown escape"},
        {"a\\Gb", CLORA_ERROR_UNSUPPORTED, "unknown escape"},
        {"[a&&b]", CLORA_ERROR_UNSUPPORTED, "class inside a class or &&"},
        {"[a[b]]", CLORA_ERROR_UNSUPPORTED, "class inside a class or &&"},
        {"[[:alpha:]]", CLORA_ERROR_UNSUPPORTED, "class inside a class or &&"},
        {"[]a]", CLORA_ERROR_UNSUPPORTED, "begins with ]"},
        {"[\\d-x]", CLORA_ERROR_UNSUPPORTED, "range that begins with a set"},
        {"[\\P{L}]", CLORA_ERROR_UNSUPPORTED, "negated set inside a class"},
        {"(?<n>a)", CLORA_ERROR_UNSUPPORTED, "unknown kind of group"},
        {"(?x: a )", CLORA_ERROR_UNSUPPORTED, "unknown kind of group"},
        {"a(?i)b", CLORA_ERROR_UNSUPPORTED, "unknown kind of group"},
        {"\\p{Alpha}", CLORA_ERROR_UNSUPPORTED, "unknown property"},
        {"\\p{Cn}", CLORA_ERROR_UNSUPPORTED, "unknown property"},
        {"\\pL", CLORA_ERROR_UNSUPPORTED, "\\p without {"},
        {"a{2}?", CLORA_ERROR_UNSUPPORTED, "{n}?"},
        {"a**", CLORA_ERROR_UNSUPPORTED, "repetition of a repetition"},
        {"a{3,2}", CLORA_ERROR_UNSUPPORTED, "interval"},
        {"(?i:st)", CLORA_ERROR_UNSUPPORTED, "ligature"},
        {"(?i:\xc3\xa4)", CLORA_ERROR_UNSUPPORTED, "beyond ASCII"},
        {"(?i:\\p{Lu})", CLORA_ERROR_UNSUPPORTED, "letter case"},
        {"(", CLORA_ERROR_FORMAT, "a group without )"},
        {"a)", CLORA_ERROR_FORMAT, "a ) without a group"},
        {"[a", CLORA_ERROR_FORMAT, "a class without ]"},
        {"[z-a]", CLORA_ERROR_FORMAT, "backwards"},
        {"*a", CLORA_ERROR_FORMAT, "repetition of nothing"},
        {"a\\", CLORA_ERROR_FORMAT, "a \\ at its end"},
        {"\\xe4", CLORA_ERROR_FORMAT, "no character"},
        {"\\x{110000}", CLORA_ERROR_FORMAT, "no character"},
        {"\\p{L", CLORA_ERROR_FORMAT, "a \\p without }"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        regex *rx;
        assert_refused(regex_create(&rx, cases[i].pattern, strlen(cases[i].pattern), "test"), cases[i].status,
                       cases[i].words);
        assert_null(rx);
    }
}

static void test_a_search_without_end_is_an_error(void **state) {
    (void)state;
    static const char pattern[] = "(?:(?:a|a)+)+(?:b|c)";
    static const char text[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!";
    regex_workspace workspace = {0};
    regex_search search;
    size_t start, end;
    bool found;
    regex *rx;

    assert_ok(regex_create(&rx, pattern, sizeof(pattern) - 1, "test"));
    assert_ok(regex_search_begin(&search, rx, &workspace, text, sizeof(text) - 1));
    assert_refused(regex_search_next(&search, &found, &start, &end), CLORA_ERROR_UNSUPPORTED, "match limit");
    regex_workspace_finish(&workspace);
    regex_free(rx);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_repetitions_are_those_of_oniguruma),
        cmocka_unit_test(test_an_empty_match_behind_a_match_does_not_count),
        cmocka_unit_test(test_line_anchors_match_at_every_line),
        cmocka_unit_test(test_a_dot_is_anything_but_a_line_feed),
        cmocka_unit_test(test_sets_have_oniguruma_s_members),
        cmocka_unit_test(test_properties_know_the_characters_of_unicode_16),
        cmocka_unit_test(test_case_is_ignored_where_the_pattern_says_so),
        cmocka_unit_test(test_groups_and_looking_around),
        cmocka_unit_test(test_what_has_no_counterpart_is_refused),
        cmocka_unit_test(test_a_search_without_end_is_an_error),
    };
    return cmocka_run_group_tests_name("tokenizer pattern", tests, NULL, NULL);
}
