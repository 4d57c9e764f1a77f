#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "data/dataset.h"
#include "support/byte_tokenizer.h"
#include "support/scratch.h"

/* ---- Forms ---- */

static void test_rows_of_several_forms_in_a_file_are_refused(void **state) {
    static const char *const rows[] = {"{\"context\": \"a\", \"target\": \"b\"}",
                                       "{\"prompt\": \"a\", \"completion\": \"b\"}",
                                       "{\"instruction\": \"a\", \"output\": \"b\"}",
                                       "{\"question\": \"a\", \"answer\": \"b\"}",
                                       "{\"text\": \"ab\"}",
                                       "{\"messages\": []}"};
    enum { ROWS = sizeof(rows) / sizeof(rows[0]) };
    char text[256];

    (void)state;
    for (size_t i = 0; i < ROWS - 1; i++)
        for (size_t k = 0; k < ROWS; k++) {
            snprintf(text, sizeof(text), "%s\n\n%s\n", rows[i], rows[k]);
            if (i != k)
                assert_bad("d.jsonl", text, "d.jsonl: line 3: has ");
            else
                clora_dataset_free(load("d.jsonl", text));
        }
    assert_bad("d.jsonl", "{\"text\": \"a\"}\n{\"question\": \"a\", \"answer\": \"b\"}",
               "line 2: has \"question\" and \"answer\", line 1 has \"text\" alone: all rows of a file have one form");
}

static void test_keys_of_one_s_own_are_named(void **state) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    static const char row[] = "{\"q\": \"ab\", \"a, b\": \"c\", \"context\": \"x\", \"target\": \"y\"}";

    (void)state;
    options.keys = "q,\"a, b\"";
    assert_only_sequence("d.json", row, &options, "abc$", "--++");
    options.keys = "q";
    assert_only_sequence("d.json", row, &options, "ab$", "-++");
    options.keys = "q,b";
    assert_not_loaded("d.json", row, strlen(row), &options, CLORA_ERROR_FORMAT,
                      "line 1: has no \"b\", which the keys \"q,b\" name");
    options.keys = "q,\"a";
    assert_not_loaded("d.json", row, strlen(row), &options, CLORA_ERROR_ARGUMENT, "keys q,\"a: a quote");
    options.keys = "a,b,c";
    assert_not_loaded("d.json", row, strlen(row), &options, CLORA_ERROR_ARGUMENT,
                      "give the context's and the target's");
    assert_not_loaded("d.csv", "a,b\n1,2\n", 8, &options, CLORA_ERROR_ARGUMENT,
                      "keys can be chosen of pairs in .jsonl");
}

static void test_texts_that_nothing_parts_are_counted(void **state) {
    clora_dataset *d = load("d.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
                                       "{\"prompt\": \"a \", \"completion\": \"b\"}\n"
                                       "{\"prompt\": \"a\", \"completion\": \" b\"}\n"
                                       "{\"prompt\": \"a\\n\", \"completion\": \"b\"}\n"
                                       "{\"prompt\": \"\", \"completion\": \"b\"}\n"
                                       "{\"prompt\": \"a\", \"completion\": \"\"}\n"
                                       "{\"prompt\": \"a\", \"completion\": \"\\n\"}\n"
                                       "{\"prompt\": \"a.\", \"completion\": \"b\"}\n");

    (void)state;
    assert_int_equal(clora_dataset_get_stats(d)->glued, 2);
    clora_dataset_free(d);
}

/* ---- Templates ---- */

/* A sequence is `before`, not learnt, and then `after` and an eos, which are. */
static void assert_parts(const char *name, const char *row, const clora_dataset_options *options, const char *before,
                         const char *after) {
    char text[512], learnt[512];
    const size_t n = strlen(before), all = n + strlen(after);

    snprintf(text, sizeof(text), "%s%s", before, after);
    memset(learnt, '-', n);
    memset(learnt + n, '+', all - n);
    learnt[all] = '\0';
    assert_only_sequence(name, row, options, text, learnt);
}

#define ALPACA "Below is an instruction that describes a task"
#define WRITE "Write a response that appropriately completes the request.\n\n### Instruction:\n"

static void test_alpaca_has_its_text_with_and_without_an_input(void **state) {
    static const char *const without = ALPACA ". " WRITE "Sing.\n\n### Response:\n";
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;

    (void)state;
    options.pair_template = CLORA_PAIR_ALPACA;
    assert_parts("d.jsonl", "{\"instruction\": \"Sing.\", \"output\": \"La\"}", &options, without, "La$");
    assert_parts("d.jsonl", "{\"instruction\": \"Sing.\", \"input\": \"\", \"output\": \"La\"}", &options, without,
                 "La$");
    assert_parts("d.jsonl", "{\"instruction\": \"Sing.\", \"input\": \"do\\nre\", \"output\": \"La\"}", &options,
                 ALPACA ", paired with an input that provides further context. " WRITE
                        "Sing.\n\n### Input:\ndo\nre\n\n### Response:\n",
                 "La$");
    assert_parts("d.jsonl", "{\"prompt\": \"Sing.\", \"completion\": \"La\"}", &options, without, "La$");
    assert_parts("d.csv", "context,target\nSing.,La\n", &options, without, "La$");
    assert_not_loaded("d.jsonl", "{\"text\": \"a\"}", 13, &options, CLORA_ERROR_FORMAT,
                      "line 1: a text without a prompt");
    assert_not_loaded("d.txt", "a", 1, &options, CLORA_ERROR_FORMAT, "a text without a prompt");
    options.columns = "target";
    assert_not_loaded("d.csv", "target\nLa\n", 10, &options, CLORA_ERROR_FORMAT, "line 2: a text without a prompt");
}

/* A chat template's text ends as the template says: no eos is added. */
static void test_a_chat_template_makes_turns_of_pairs(void **state) {
    static const char *const before = "<|im_start|>user\nab\nx<|im_end|>\n<|im_start|>assistant\n",
                             *const row = "{\"instruction\": \"ab\", \"input\": \"x\", \"output\": \"c\"}";
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_chat *chat = NULL;

    (void)state;
    options.pair_template = CLORA_PAIR_CHAT;
    assert_not_loaded("d.jsonl", row, strlen(row), &options, CLORA_ERROR_ARGUMENT, "there is none");
    scratch_text("tokenizer_config.json", "{}");
    scratch_text("tokenizer.json", "{}");
    assert_ok(clora_chat_load(&chat, scratch_path(""), CLORA_CHAT_CHATML));
    options.chat = chat;
    assert_parts("d.jsonl", row, &options, before, "c<|im_end|>\n");
    assert_parts("d.csv", "context,target\n\"ab\nx\",c\n", &options, before, "c<|im_end|>\n");
    clora_chat_free(chat);
    scratch_text("t.jinja", "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}{{ '!' if m.role == 'assistant' }}"
                            "{% endfor %}{% if add_generation_prompt %}a:{% endif %}");
    assert_ok(clora_chat_load(&chat, scratch_path(""), scratch_path("t.jinja")));
    options.chat = chat;
    assert_parts("d.jsonl", row, &options, "u:ab\nxa:", "c!");
    clora_chat_free(chat);
}

static void test_of_lists_of_messages_all_of_the_completion_is_learnt(void **state) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_chat *chat = NULL;

    (void)state;
    scratch_text("tokenizer_config.json", "{}");
    scratch_text("tokenizer.json", "{}");
    assert_ok(clora_chat_load(&chat, scratch_path(""), CLORA_CHAT_CHATML));
    options.chat = chat;
    static const char row[] =
        "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": \"b\"}, "
        "{\"role\": \"user\", \"content\": \"c\"}], \"completion\": [{\"role\": \"assistant\", \"content\": \"d\"}, "
        "{\"role\": \"user\", \"content\": \"e\"}]}";
    assert_parts("d.jsonl", row, &options,
                 "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n"
                 "<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n",
                 "d<|im_end|>\n<|im_start|>user\ne<|im_end|>\n");
    assert_not_loaded("d.jsonl", "{\"prompt\": [], \"completion\": []}", 32, &options, CLORA_ERROR_FORMAT,
                      "line 1: \"prompt\" is not a list of messages, or is an empty one");
    static const char half[] = "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}], \"completion\": \"b\"}";
    assert_not_loaded("d.jsonl", half, strlen(half), &options, CLORA_ERROR_FORMAT,
                      "line 1: \"completion\" is not a list of messages");
    static const char mixed[] = "{\"prompt\": \"a\", \"completion\": \"b\"}\n"
                                "{\"prompt\": [{\"role\": \"user\", \"content\": \"a\"}], \"completion\": []}";
    assert_not_loaded("d.jsonl", mixed, strlen(mixed), &options, CLORA_ERROR_FORMAT,
                      "line 2: has messages as \"prompt\" and \"completion\", line 1 has \"prompt\"");
    clora_chat_free(chat);
}

/* ---- Prompts ---- */

static char seen[1024];

static int write_down(void *user, const char *text, size_t size, size_t line) {
    (void)user;
    assert_int_equal(strlen(text), size);
    snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%zu:%s|", line, text);
    return 0;
}

static void assert_prompts(const char *rows, const clora_dataset_options *options, const char *expected) {
    seen[0] = '\0';
    scratch_text("p.jsonl", rows);
    assert_ok(clora_dataset_read_prompts(scratch_path("p.jsonl"), options, write_down, NULL));
    assert_string_equal(seen, expected);
}

static void test_prompts_are_what_training_puts_before_a_completion(void **state) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_chat *chat = NULL;

    (void)state;
    assert_prompts("{\"question\": \"a\"}\n{\"question\": \"b\", \"answer\": \"c\"}", NULL, "1:a|2:b|");
    options.keys = "q,a";
    assert_prompts("{\"q\": \"x\", \"prompt\": \"y\", \"completion\": \"z\"}", &options, "1:x|");
    options.keys = NULL;
    options.pair_template = CLORA_PAIR_ALPACA;
    assert_prompts("{\"instruction\": \"Sing.\"}", &options, "1:" ALPACA ". " WRITE "Sing.\n\n### Response:\n|");
    scratch_text("tokenizer_config.json", "{}");
    scratch_text("tokenizer.json", "{}");
    assert_ok(clora_chat_load(&chat, scratch_path(""), CLORA_CHAT_CHATML));
    options.pair_template = CLORA_PAIR_CHAT;
    options.chat = chat;
    assert_prompts("{\"instruction\": \"Sing.\", \"input\": \"do\"}", &options,
                   "1:<|im_start|>user\nSing.\ndo<|im_end|>\n<|im_start|>assistant\n|");
    clora_chat_free(chat);
}

/* ---- gzip ---- */

static size_t pack(const char *name, const char *text, size_t size) {
    gzFile out = gzopen(scratch_path(name), "wb");

    assert_non_null(out);
    assert_int_equal(gzwrite(out, text, (unsigned)size), size);
    assert_int_equal(gzclose(out), Z_OK);
    return size;
}

/* The bytes of a file of the scratch directory. */
static size_t read_file(char *out, size_t room, const char *name) {
    FILE *in = fopen(scratch_path(name), "rb");

    assert_non_null(in);
    const size_t size = fread(out, 1, room, in);
    fclose(in);
    return size;
}

static void test_what_gzip_packed_is_read_by_its_content(void **state) {
    static const char *const files[][2] = {{"d.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\"}"},
                                           {"d.jsonl.gz", "{\"prompt\": \"a\", \"completion\": \"b\"}"},
                                           {"d.JSON.GZ", "[{\"prompt\": \"a\", \"completion\": \"b\"}\n]"},
                                           {"d.csv.gz", "context,target\na,b\n"},
                                           {"d.tsv.gz", "context\ttarget\na\tb\n"}};
    clora_dataset *d = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        pack(files[i][0], files[i][1], strlen(files[i][1]));
        assert_ok(clora_dataset_load(&d, scratch_path(files[i][0]), plain, NULL));
        assert_sequence(d, 0, "ab$", "-++");
        clora_dataset_free(d);
        scratch_text(files[i][0], files[i][1]); /* as it is, whatever its name */
        assert_ok(clora_dataset_load(&d, scratch_path(files[i][0]), plain, NULL));
        clora_dataset_free(d);
    }
    pack("d.txt.gz", "abc", 3);
    assert_ok(clora_dataset_load(&d, scratch_path("d.txt.gz"), plain, NULL));
    assert_sequence(d, 0, "abc$", "-+++");
    clora_dataset_free(d);
    pack("d.jsonl", "PAR1....", 8);
    assert_refused(clora_dataset_load(&d, scratch_path("d.jsonl"), plain, NULL), CLORA_ERROR_FORMAT, "a Parquet table");
    seen[0] = '\0';
    pack("p", "{\"text\": \"a\"}", 13);
    assert_ok(clora_dataset_read_texts(scratch_path("p"), 0, write_down, NULL));
    assert_string_equal(seen, "1:a|");
}

/* Several packed files end to end are one, as gzip has it. */
static void test_a_damaged_or_cut_off_file_is_an_error_that_names_it(void **state) {
    char text[4096], bytes[8192];
    clora_dataset *d = NULL;
    size_t used = 0;

    (void)state;
    for (int i = 0; used < sizeof(text) - 64; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "{\"text\": \"%d\"}\n", i * 7919);
    pack("d.jsonl.gz", text, used);
    const size_t size = read_file(bytes, sizeof(bytes), "d.jsonl.gz");
    for (size_t cut = 3; cut < size; cut += 7) {
        scratch_write("d.jsonl.gz", bytes, cut);
        assert_refused(clora_dataset_load(&d, scratch_path("d.jsonl.gz"), plain, NULL), CLORA_ERROR_FORMAT,
                       "d.jsonl.gz: what gzip packed is damaged or cut off");
    }
    bytes[size - 6] ^= 1; /* the checksum */
    scratch_write("d.jsonl.gz", bytes, size);
    assert_refused(clora_dataset_load(&d, scratch_path("d.jsonl.gz"), plain, NULL), CLORA_ERROR_FORMAT,
                   "d.jsonl.gz: what gzip packed is damaged");
    bytes[size - 6] ^= 1;
    memcpy(bytes + size, bytes, size);
    scratch_write("d.jsonl.gz", bytes, 2 * size);
    assert_ok(clora_dataset_load(&d, scratch_path("d.jsonl.gz"), plain, NULL));
    assert_int_equal(clora_dataset_count(d) % 2, 0);
    clora_dataset_free(d);
}

#define T(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_rows_of_several_forms_in_a_file_are_refused),
        T(test_keys_of_one_s_own_are_named),
        T(test_texts_that_nothing_parts_are_counted),
        T(test_alpaca_has_its_text_with_and_without_an_input),
        T(test_a_chat_template_makes_turns_of_pairs),
        T(test_of_lists_of_messages_all_of_the_completion_is_learnt),
        T(test_prompts_are_what_training_puts_before_a_completion),
        T(test_what_gzip_packed_is_read_by_its_content),
        T(test_a_damaged_or_cut_off_file_is_an_error_that_names_it),
    };

    return cmocka_run_group_tests(tests, byte_tokenizers_make, byte_tokenizers_free);
}
