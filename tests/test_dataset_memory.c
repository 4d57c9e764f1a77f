#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/dataset.h>

#include "support/byte_tokenizer.h"
#include "support/scratch.h"

/* ---- Pairs in memory ---- */

static void assert_same_dataset(const clora_dataset *a, const clora_dataset *b) {
    char of_a[33], of_b[33];

    assert_ok(clora_dataset_hash(of_a, a));
    assert_ok(clora_dataset_hash(of_b, b));
    assert_string_equal(of_a, of_b);
    assert_int_equal(clora_dataset_get_stats(a)->truncated_contexts, clora_dataset_get_stats(b)->truncated_contexts);
    assert_int_equal(clora_dataset_get_stats(a)->skipped, clora_dataset_get_stats(b)->skipped);
}

static void test_pairs_in_memory_are_those_of_a_file(void **state) {
    (void)state;
    static const clora_pair pairs[] = {{"ab", " cd"}, {"a long context", "e"}, {"", "f"}, {"g", ""}};
    const char *lines = "{\"context\": \"ab\", \"target\": \" cd\"}\n"
                        "{\"context\": \"a long context\", \"target\": \"e\"}\n"
                        "{\"context\": \"\", \"target\": \"f\"}\n"
                        "{\"context\": \"g\", \"target\": \"\"}\n";
    clora_dataset_options options = options_of_length(8);
    clora_dataset *own, *of_file;

    for (int alpaca = 0; alpaca < 2; alpaca++) {
        options.pair_template = alpaca ? CLORA_PAIR_ALPACA : CLORA_PAIR_PLAIN;
        options.max_length = alpaca ? 300 : 8;
        options.eos = alpaca;
        of_file = load_with("d.jsonl", lines, with_bos, &options);
        assert_ok(clora_dataset_from_pairs(&own, pairs, 4, with_bos, &options));
        assert_same_dataset(own, of_file);
        clora_dataset_free(own);
        clora_dataset_free(of_file);
    }
    of_file = load("d.jsonl", "{\"text\": \"abc\"}\n");
    assert_ok(clora_dataset_from_pairs(&own, &(const clora_pair){NULL, "abc"}, 1, plain, NULL));
    assert_same_dataset(own, of_file);
    clora_dataset_free(own);
    clora_dataset_free(of_file);
}

static void test_pairs_in_memory_that_make_no_dataset_are_refused(void **state) {
    (void)state;
    static const clora_pair empty[] = {{"a", ""}, {"b", ""}}, bytes[] = {{"a", "b"}, {"\xff", "b"}};
    static const clora_pair missing[] = {{"a", NULL}}, text[] = {{NULL, "a"}};
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_dataset *d = (clora_dataset *)1;

    assert_refused(clora_dataset_from_pairs(&d, bytes, 2, plain, NULL), CLORA_ERROR_FORMAT,
                   "pair 2: the context is not");
    assert_refused(clora_dataset_from_pairs(&d, missing, 1, plain, NULL), CLORA_ERROR_FORMAT, "pair 1: there is no");
    assert_refused(clora_dataset_from_pairs(&d, bytes, 0, plain, NULL), CLORA_ERROR_ARGUMENT, "at least one pair");
    options.eos = 0;
    assert_refused(clora_dataset_from_pairs(&d, empty, 2, plain, &options), CLORA_ERROR_FORMAT, "pair 1: nothing to");
    options.pair_template = CLORA_PAIR_ALPACA;
    assert_refused(clora_dataset_from_pairs(&d, text, 1, plain, &options), CLORA_ERROR_FORMAT,
                   "pair 1: a text without");
    options.pair_template = CLORA_PAIR_CHAT;
    assert_refused(clora_dataset_from_pairs(&d, bytes, 1, plain, &options), CLORA_ERROR_ARGUMENT, "chat template");
    options.keys = "a,b";
    assert_refused(clora_dataset_from_pairs(&d, bytes, 1, plain, &options), CLORA_ERROR_ARGUMENT, "keys");
    assert_null(d);
}

/* ---- Own ids ---- */

static void test_own_ids_and_labels_make_a_dataset(void **state) {
    (void)state;
    static const int32_t ids[] = {5, 6, 7, 8, 9}, labels[] = {5, -100, 70, -1, 9};
    static const int lengths[] = {3, 2};
    const int32_t *i, *l;
    clora_dataset *d = NULL;

    assert_ok(clora_dataset_from_ids(&d, ids, labels, lengths, 2));
    assert_int_equal(clora_dataset_sequence(d, 0, &i, &l), 3);
    assert_memory_equal(i, ids, 3 * sizeof(*i));
    assert_memory_equal(l, ((const int32_t[]){-1, -1, 70}), 3 * sizeof(*l));
    assert_int_equal(clora_dataset_sequence(d, 1, &i, NULL), 2);
    assert_int_equal(clora_dataset_get_stats(d)->target_tokens, 2);
    assert_int_equal(clora_dataset_get_stats(d)->largest_id, 70);
    clora_dataset_free(d);
    assert_ok(clora_dataset_from_ids(&d, ids, NULL, lengths, 2));
    assert_int_equal(clora_dataset_get_stats(d)->target_tokens, 3);
    clora_dataset_free(d);
}

static void test_own_ids_that_make_no_sequence_are_refused(void **state) {
    (void)state;
    static const int32_t ids[] = {1, 2, -3, 4}, none[] = {1, -100, -100, -100};
    clora_dataset *d = (clora_dataset *)1;

    assert_refused(clora_dataset_from_ids(&d, ids, NULL, (const int[]){4}, 1), CLORA_ERROR_ARGUMENT, "id -3");
    assert_refused(clora_dataset_from_ids(&d, ids, NULL, (const int[]){2, 1}, 2), CLORA_ERROR_ARGUMENT,
                   "sequence 1 has length 1");
    assert_refused(clora_dataset_from_ids(&d, ids, none, (const int[]){2}, 1), CLORA_ERROR_ARGUMENT,
                   "no target tokens");
    assert_refused(clora_dataset_from_ids(&d, ids, NULL, NULL, 0), CLORA_ERROR_ARGUMENT, "at least one");
    assert_null(d);
}

#define D(name) cmocka_unit_test_setup_teardown(name, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        D(test_pairs_in_memory_are_those_of_a_file),
        D(test_pairs_in_memory_that_make_no_dataset_are_refused),
        D(test_own_ids_and_labels_make_a_dataset),
        D(test_own_ids_that_make_no_sequence_are_refused),
    };
    return cmocka_run_group_tests(tests, byte_tokenizers_make, byte_tokenizers_free);
}
