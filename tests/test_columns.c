#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data/dataset.h"
#include "support/scratch.h"

/* Rows in which column 1 has one character, column 2 two, and so on: lengths tell which columns were read. */

static void assert_columns(const char *name, const char *text, const char *columns, int context, int target) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    dataset_tally tally;

    options.columns = columns;
    scratch_text(name, text);
    assert_ok(dataset_count(&tally, scratch_path(name), &options));
    assert_int_equal(tally.pairs, 1);
    assert_int_equal(tally.context_characters, context);
    assert_int_equal(tally.target_characters, target);
}

static void assert_no_columns(const char *name, const char *text, const char *columns, const char *words) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    dataset_tally tally;

    options.columns = columns;
    scratch_text(name, text);
    assert_refused(dataset_count(&tally, scratch_path(name), &options), CLORA_ERROR_ARGUMENT, words);
}

static void test_the_header_row_tells_the_separator(void **state) {
    (void)state;
    assert_columns("d.csv", "id,context,target\n1,22,333\n", NULL, 2, 3);
    assert_columns("d.csv", "id;context;target\n1;2,;3,3\n", NULL, 2, 3);
    assert_columns("d.csv", "id\tcontext\ttarget\r\n1\t2;\t\"3\t3\"\r\n", NULL, 2, 3);
    assert_columns("d.tsv", "id\tcontext\ttarget\n1\t2,\t333\n", NULL, 2, 3);
    assert_columns("d.TSV", "id,context,target\n1,22,333\n", NULL, 2, 3);
    assert_columns("d.csv", "\xEF\xBB\xBF\r\n\"id\";\"context\";\"target\"\r\n1;\"2;\";\"3\n3\"\r\n", NULL, 2, 3);
}

static void test_the_names_decide_where_other_separators_are_in_the_header(void **state) {
    (void)state;
    assert_columns("d.csv", "n;the question, as asked, today;context;target\n1;22;333;4444\n", NULL, 3, 4);
    assert_columns("d.csv", "\"a;b;c;d\",context,target\n1,22,333\n", NULL, 2, 3);
    assert_columns("d.csv", "x;y\tcontext\ttarget;z;w\n1\t22\t333\n", "context,target;z;w", 2, 3);
    assert_columns("d.csv", "a;text\n1;22\n", "text", 0, 2);
    assert_columns("d.tsv", "a, b, c\td, e, f\n1\t22\n", "1,2", 1, 2);
}

static void test_columns_go_by_number(void **state) {
    (void)state;
    static const char text[] = "q;r;s\n1;22;333\n";

    assert_columns("d.csv", text, "1,2", 1, 2);
    assert_columns("d.csv", text, "3,1", 3, 1);
    assert_columns("d.csv", text, "2", 0, 2);
    assert_columns("d.csv", text, "q,3", 1, 3);
    assert_columns("d.csv", "q,q,q\n1,22,333\n", "2,3", 2, 3);
    assert_columns("d.csv", "2,1,x\n1,22,333\n", "1,2", 2, 1); /* a name comes before a number */
    assert_columns("d.csv", "2,1,x\n1,22,333\n", "\"1\",3", 2, 3);
    assert_no_columns("d.csv", text, "\"1\",2", "no column \"1\"; its columns are \"q\", \"r\", \"s\"");
    assert_no_columns("d.csv", text, "1,4", "no column \"4\"");
    assert_no_columns("d.csv", text, "0", "no column \"0\"");
    assert_no_columns("d.csv", text, "99999999999999999999999999", "no column \"99");
    assert_no_columns("d.csv", text, "-1", "no column \"-1\"");
}

static void test_names_with_commas_stand_in_quotes(void **state) {
    (void)state;
    static const char text[] = "id,\"Answer, short\",\"say \"\"x\"\"\"\n1,22,333\n";

    assert_columns("d.csv", text, "\"Answer, short\",\"say \"\"x\"\"\"", 2, 3);
    assert_columns("d.csv", text, "id,\"Answer, short\"", 1, 2);
    assert_columns("d.csv", text, "\"id\",say \"x\"", 1, 3);
    assert_columns("d.csv", text, "\"Answer, short\"", 0, 2);
    assert_no_columns("d.csv", text, "Answer, short,id", "stands in double quotes");
    assert_no_columns("d.csv", text, "\"Answer, short", "a quote that does not close a name");
    assert_no_columns("d.csv", text, "\"Answer\" short,id", "a quote that does not close a name");
}

static void test_a_column_that_is_not_there_is_named_with_those_that_are(void **state) {
    (void)state;
    static const char text[] = "mr,ref,ref\na,b,c\n";

    assert_no_columns("d.csv", text, NULL,
                      "no column \"context\"; its columns are \"mr\", \"ref\", \"ref\" (choose with --columns, by name "
                      "or number)");
    assert_no_columns("d.csv", text, "mr,ref",
                      "more than one column \"ref\" (2 and 3): choose by number, as in --columns 2");
    assert_no_columns("d.csv", text, "mr,", "no column \"\"");
    assert_no_columns("d.csv", text, "a,b,c", "columns \"a,b,c\"");
    assert_no_columns("d.jsonl", text, "a,b", ".csv and .tsv files only");
}

static void test_what_is_not_there_is_said_with_what_helps(void **state) {
    (void)state;
    char header[4096] = "";

    assert_no_columns("d.csv", "mr;ref\na;b\n", NULL,
                      "no column \"context\"; its columns are \"mr\", \"ref\" (choose with "
                      "--columns, by name or number)");
    assert_no_columns("d.csv", "a;b;b\n1;2;3\n", "a,b", "more than one column \"b\" (2 and 3): choose by number");
    assert_no_columns("d.csv", "context|target\na|b\n", NULL,
                      "its header row is one column, \"context|target\" (commas, "
                      "semicolons or tabs separate columns");
    assert_no_columns("d.csv", "\"a\nb\x1b[2J\",c\n1,2\n", NULL, "its columns are \"a\\u000ab\\u001b[2J\", \"c\"");
    for (int i = 0; i < 200; i++)
        strcat(header, i ? ",\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9" : "x");
    strcat(header, "\n");
    assert_no_columns("d.csv", header, NULL, "\"\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\", ... (choose");
}

#define D(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        D(test_the_header_row_tells_the_separator),
        D(test_the_names_decide_where_other_separators_are_in_the_header),
        D(test_columns_go_by_number),
        D(test_names_with_commas_stand_in_quotes),
        D(test_a_column_that_is_not_there_is_named_with_those_that_are),
        D(test_what_is_not_there_is_said_with_what_helps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
