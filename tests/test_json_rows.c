#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/dataset.h>

#include "data/dataset.h"
#include "data/json_rows.h"
#include "support/scratch.h"

/* ---- Rows, written down as "line:text " ---- */

static char seen[1024];

static clora_status write_down(void *user, const json_t *object, size_t line) {
    const char *text = json_string_value(json_object_get(object, "text"));

    (void)user;
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%zu:%s ", line, text ? text : "?");
    return CLORA_OK;
}

static clora_status read_rows(const void *bytes, size_t size) {
    data_source *source = NULL;

    seen[0] = '\0';
    scratch_write("rows.json", bytes, size);
    assert_ok(data_source_open(&source, scratch_path("rows.json")));
    const clora_status status = json_rows_read(source, write_down, NULL);
    data_source_close(source);
    return status;
}

static void assert_rows(const char *text, const char *expected) {
    assert_ok(read_rows(text, strlen(text)));
    assert_string_equal(seen, expected);
}

static void assert_no_rows(const char *text, const char *words) {
    assert_refused(read_rows(text, strlen(text)), CLORA_ERROR_FORMAT, words);
}

static void test_an_object_a_line_is_a_row(void **state) {
    (void)state;
    assert_rows("{\"text\": \"a\"}\n{\"text\": \"b\"}", "1:a 2:b ");
    assert_rows("\xEF\xBB\xBF{\"text\": \"a\"}\r\n\r\n \t\n  {\"text\": \"b\"}  \r\n\n", "1:a 4:b ");
    assert_rows("\xEF\xBB\xBF\n{\"text\": \"[\"}\n", "2:[ ");
    assert_rows("\n \n", "");
}

static void test_an_array_is_read_however_its_lines_are_broken(void **state) {
    (void)state;
    assert_rows("[{\"text\": \"a\"}, {\"text\": \"b\"}]", "1:a 1:b ");
    assert_rows("\xEF\xBB\xBF\n [\n  {\n    \"text\": \"a\"\n  },\n\n  {\n    \"text\": \"b\"\n  }\n]\n\n", "3:a 7:b ");
    assert_rows("[{\"text\":\n\"a\"}\n,{\"x\": [1, {\"y\": [\"]\"]}], \"text\": \"b\"}\n]", "1:a 3:b ");
    assert_rows("[\r\n{\"text\": \"a]\\\\\"},\r\n{\"text\": \"b,\\\"}\"}\r\n]\r\n", "2:a]\\ 3:b,\"} ");
    assert_rows("[]", "");
    assert_rows("[\n\n]\n", "");
}

static void test_numbers_that_nobody_reads_are_no_error(void **state) {
    (void)state;
    static const char *const numbers[] = {"1e400",         "-1.5E+999", "123456789012345678901234567890",
                                          "NaN",           "-Infinity", "[1e-400, Infinity, 1e5]",
                                          "{\"n\": 1e400}"};
    char text[256], longer[512];

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        snprintf(text, sizeof(text), "{\"n\": %s, \"text\": \"a 1e400 NaN \\\" Infinity\"}", numbers[i]);
        assert_rows(text, "1:a 1e400 NaN \" Infinity ");
        snprintf(longer, sizeof(longer), "[\n%s]", text);
        assert_rows(longer, "2:a 1e400 NaN \" Infinity ");
    }
    snprintf(longer, sizeof(longer), "{\"n\": %0400d, \"text\": \"a\"}", 0);
    assert_no_rows(longer, "line 1: not JSON"); /* a number does not begin with 0 */
    longer[6] = '9';
    assert_rows(longer, "1:a ");
}

static void test_what_is_wrong_is_named_with_its_line(void **state) {
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"{\"text\": \"a\"}\n{\n\"text\": \"b\"\n}", "line 2: not JSON: the value does not end in this line"},
        {"{\n  \"text\": \"a\"\n}\n", "line 1: not JSON: the value does not end in this line"},
        {"{\"text\": \"a\"}\n[]", "line 2: not a JSON object; an array must be all of the file"},
        {"{\"text\": \"a\"} {\"text\": \"b\"}", "line 1: not JSON"},
        {"{\"n\": 01e400}", "line 1: not JSON"},
        {"{\"n\": nan}", "line 1: not JSON"},
        {"3", "line 1: not a JSON object"},
        {"1e400", "line 1: not a JSON object"},
        {"[{\"text\": \"a\"},\n{\"text\": \"b\"},\n]", "line 3: not JSON: a comma of the array has no value beside it"},
        {"[,{\"text\": \"a\"}]", "line 1: not JSON: a comma"},
        {"[{\"text\": \"a\"},,{\"text\": \"b\"}]", "line 1: not JSON: a comma"},
        {"\n[\n{\"text\": \"a\"},\n{\"te", "the array that begins in line 2 never ends"},
        {"[{\"text\": \"a\"}", "the array that begins in line 1 never ends"},
        {"[{\"text\": \"a\"}\n{\"text\": \"b\"}]", "line 2: not JSON"},
        {"[\n{\n\"text\": \"a\"\n\"x\": 1\n}]", "line 4: not JSON"},
        {"[\n{\"text\": \"a\"},\n 5]", "line 3: not a JSON object"},
        {"[\n[{\"text\": \"a\"}]]", "line 2: not a JSON object"},
        {"[}]", "line 1: not JSON"},
        {"[{\"text\": \"a\"}]\n\n[{\"text\": \"b\"}]", "line 3: text after the end of the array"},
        {"[{\"text\": \"a\"}] x", "line 1: text after the end of the array"},
        {"[\n{\"text\": \"\xff\"}]", "line 2: not UTF-8 (byte 0xff)"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_no_rows(cases[i].text, cases[i].words);
    assert_refused(read_rows("[\n{\"a\0\": 1}]", 13), CLORA_ERROR_FORMAT, "line 2: holds a NUL");
}

static clora_status count(void *user, const json_t *object, size_t line) {
    (void)object;
    (void)line;
    ++*(size_t *)user;
    return CLORA_OK;
}

static void test_an_array_of_many_rows_in_one_line_is_read_row_by_row(void **state) {
    (void)state;
    enum { ROWS = 200000 };
    char *text = NULL;
    size_t size = 0, rows = 0;
    FILE *out = open_memstream(&text, &size);

    for (int i = 0; i < ROWS; i++)
        fprintf(out, "%c{\"text\": \"%d\"}", i ? ',' : '[', i);
    fputc(']', out);
    fclose(out);
    data_source *source = NULL;
    scratch_write("d.json", text, size);
    assert_ok(data_source_open(&source, scratch_path("d.json")));
    assert_ok(json_rows_read(source, count, &rows));
    assert_int_equal(rows, ROWS);
    data_source_close(source);
    free(text);
}

/* ---- Files that are something else ---- */

static void test_a_file_of_another_kind_is_named_with_a_remedy(void **state) {
    (void)state;
    static const char tar[512] = {'a', [257] = 'u', 's', 't', 'a', 'r'};
    static const struct {
        const char *bytes;
        size_t size;
        const char *words;
    } cases[] = {
        {"\x1f\x8b\x08\0\0\0\0\0", 8, "what gzip packed is damaged or cut off"},
        {"\x28\xb5\x2f\xfd\x04\0", 6, "zstd"},
        {"\xfd\x37zXZ\0\0", 7, "xz"},
        {"BZh91AY&SY\0", 11, "bzip2"},
        {"PK\3\4\x0a\0", 6, "a zip archive or an Excel workbook"},
        {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "an Excel workbook; save the table as CSV"},
        {"PAR1\x15\0", 6, "a Parquet table"},
        {"ARROW1\0\0", 8, "an Arrow table"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", 57, "Git LFS pointer"},
        {"\xff\xff\xff\xff\x10\1\0\0", 8, "an Arrow table"},
        {"\x89HDF\r\n\x1a\n", 8, "an HDF5 file"},
        {"\x93NUMPY\1\0", 8, "a NumPy array"},
        {"\x80\4\x95\x0e\0\0", 6, "a Python pickle, which clora does not run"},
        {"\x80\2}q\0.", 6, "a Python pickle"},
        {tar, sizeof(tar), "a tar archive"},
        {"\x40\1\0\0\0\0\0\0{\"a\":{}}", 16, "a safetensors file"},
        {"\xff\xfe\0\0{\0\0\0", 8, "UTF-32; convert it"},
        {"\xff\xfe{\0\"\0", 6, "UTF-16; convert it"},
        {"\xfe\xff\0{\0\"", 6, "UTF-16; convert it"},
        {"{\0\"\0", 4, "UTF-16; convert it to UTF-8 (iconv -f UTF-16LE"},
        {"\0{\0\"", 4, "UTF-16; convert it to UTF-8 (iconv -f UTF-16BE"},
    };
    static const char *const names[] = {"d.jsonl", "d.json", "d.csv", "d.txt", "d.jsonl.gz", "d.parquet"};
    dataset_tally tally;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
            scratch_write(names[k], cases[i].bytes, cases[i].size);
            assert_refused(dataset_count(&tally, scratch_path(names[k]), NULL), CLORA_ERROR_FORMAT, cases[i].words);
        }
        assert_refused(read_rows(cases[i].bytes, cases[i].size), CLORA_ERROR_FORMAT, cases[i].words);
    }
    assert_no_rows("BZh is a word", "not JSON");
}

static void test_pairs_in_an_array_are_those_of_the_lines(void **state) {
    (void)state;
    dataset_tally lines, array;

    scratch_text("d.jsonl", "{\"context\": \"a\", \"target\": \"bc\"}\n{\"context\": \"de\", \"target\": \"f\"}\n");
    scratch_text("d.json", "[\n  {\n \"context\": \"a\",\n \"target\": \"bc\"},\n{\"context\": \"de\", \"target\": "
                           "\"f\"}\n]\n");
    assert_ok(dataset_count(&lines, scratch_path("d.jsonl"), NULL));
    assert_ok(dataset_count(&array, scratch_path("d.json"), NULL));
    assert_int_equal(lines.pairs, 2);
    assert_memory_equal(&lines, &array, sizeof(lines));
    scratch_text("d.json", "[\n]\n");
    assert_refused(dataset_count(&array, scratch_path("d.json"), NULL), CLORA_ERROR_FORMAT, "holds no sequences");
}

/* ---- Texts alone ---- */

static int write_text(void *user, const char *text, size_t size, size_t line) {
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%zu:%.*s ", line, (int)size, text);
    return user && strcmp(text, user) == 0;
}

static void assert_texts(const char *file, int prompts, const char *expected) {
    seen[0] = '\0';
    scratch_text("d.txt", file);
    assert_ok(clora_dataset_read_texts(scratch_path("d.txt"), prompts, write_text, NULL));
    assert_string_equal(seen, expected);
}

static void test_the_prompt_of_a_row_is_its_context_by_any_name(void **state) {
    (void)state;
    assert_texts(
        "{\"context\": \"a\", \"target\": \"z\"}\n{\"context\": \"b\"}\n{\"prompt\": \"c\", \"completion\": \"z\"}\n"
        "{\"instruction\": \"d\", \"input\": \"e\", \"output\": \"z\"}\n{\"instruction\": \"f\", \"input\": \"\"}\n"
        "{\"text\": \"g\"}\n{\"context\": \"z\", \"prompt\": \"h\", \"completion\": \"z\"}\n"
        "{\"context\": null, \"prompt\": \"i\"}\n",
        1, "1:a 2:b 3:c 4:d\ne 5:f 6:g 7:h 8:i ");
    assert_texts("[{\"instruction\": \"a\"},\n{\"text\": \"b\"}]", 1, "1:a 2:b ");
    assert_texts("[{\"text\": \"a\", \"context\": \"z\"},\n{\"text\": \"b\"}]", 0, "1:a 2:b ");
}

static void test_a_row_without_the_text_is_named_and_a_callback_can_stop(void **state) {
    (void)state;
    scratch_text("d.txt", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"output\": \"c\"}\n");
    for (int prompts = 0; prompts < 2; prompts++) {
        seen[0] = '\0';
        assert_refused(clora_dataset_read_texts(scratch_path("d.txt"), prompts, write_text, NULL), CLORA_ERROR_FORMAT,
                       prompts ? "d.txt: line 3: no \"context\"" : "d.txt: line 3: no \"text\"");
        assert_string_equal(seen, "1:a 2:b ");
        seen[0] = '\0';
        assert_refused(clora_dataset_read_texts(scratch_path("d.txt"), prompts, write_text, (char[]){"a"}),
                       CLORA_CANCELLED, "d.txt: stopped at line 1");
        assert_string_equal(seen, "1:a ");
    }
    assert_refused(clora_dataset_read_texts(scratch_path("none"), 0, write_text, NULL), CLORA_ERROR_NOT_FOUND, "none");
    assert_refused(clora_dataset_read_texts(scratch_path(""), 0, write_text, NULL), CLORA_ERROR_IO, "directory");
}

#define T(name) cmocka_unit_test(name)
#define D(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_an_object_a_line_is_a_row),
        T(test_an_array_is_read_however_its_lines_are_broken),
        T(test_numbers_that_nobody_reads_are_no_error),
        T(test_what_is_wrong_is_named_with_its_line),
        T(test_an_array_of_many_rows_in_one_line_is_read_row_by_row),
        D(test_a_file_of_another_kind_is_named_with_a_remedy),
        D(test_pairs_in_an_array_are_those_of_the_lines),
        D(test_the_prompt_of_a_row_is_its_context_by_any_name),
        D(test_a_row_without_the_text_is_named_and_a_callback_can_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
