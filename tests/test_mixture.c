#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data/dataset.h"
#include "data/epoch.h"
#include "support/byte_tokenizer.h"
#include "support/scratch.h"

/* ---- Several files: a row is a letter, capital in file 1, small in file 2 ---- */

static void write_rows(const char *name, char first, int count) {
    char text[2048];
    size_t used = 0;

    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(text + used, sizeof(text) - used, "{\"text\": \"-%c\"}\n", first + i);
    scratch_text(name, text);
}

static clora_dataset *load_both(double first, double second) {
    char path[2][512];
    clora_dataset *d = NULL;

    snprintf(path[0], sizeof(path[0]), "%s", scratch_path("1.jsonl"));
    snprintf(path[1], sizeof(path[1]), "%s", scratch_path("2.jsonl"));
    const clora_data_file files[] = {{path[0], first}, {path[1], second}};
    assert_ok(clora_dataset_load_files(&d, files, 2, plain, NULL));
    return d;
}

static char letter(const clora_dataset *d, size_t i) {
    const int32_t *ids;

    clora_dataset_sequence(d, i, &ids, NULL);
    return (char)ids[1];
}

/* The letters of an epoch, in its order. */
static void deal(char out[64], const clora_dataset *d, bool shuffle, uint64_t seed, uint32_t epoch) {
    epoch_order order;

    assert_ok(epoch_order_init(&order, d, shuffle, seed));
    epoch_order_start(&order, epoch);
    for (size_t i = 0; i < order.count; i++)
        out[i] = letter(d, order.order[i]);
    out[order.count] = '\0';
    epoch_order_finish(&order);
}

static void count_letters(int seen[128], const char *text) {
    for (; *text; text++)
        seen[(unsigned char)*text]++;
}

static void test_a_weight_is_how_often_a_row_comes(void **state) {
    clora_dataset *d;
    char text[64];
    int seen[128] = {0};

    (void)state;
    write_rows("1.jsonl", 'A', 4);
    write_rows("2.jsonl", 'a', 3);
    d = load_both(1, 1);
    deal(text, d, false, 0, 0);
    assert_string_equal(text, "ABCDabc");
    clora_dataset_free(d);
    d = load_both(2, 1);
    deal(text, d, false, 0, 3);
    assert_string_equal(text, "ABCDABCDabc");
    deal(text, d, true, 5, 3);
    count_letters(seen, text);
    for (char c = 'A'; c <= 'D'; c++)
        assert_int_equal(seen[(int)c], 2);
    for (char c = 'a'; c <= 'c'; c++)
        assert_int_equal(seen[(int)c], 1);
    clora_dataset_free(d);
}

static void test_no_row_comes_again_before_all_have_come(void **state) {
    clora_dataset *d;
    char text[64], all[64];
    int seen[128] = {0};

    (void)state;
    write_rows("1.jsonl", 'A', 10);
    write_rows("2.jsonl", 'a', 3);
    d = load_both(0.3, 1);
    deal(text, d, false, 0, 3);
    assert_string_equal(text, "JABabc");
    for (uint32_t epoch = 0; epoch < 10; epoch++) {
        deal(text, d, true, 7, epoch);
        assert_int_equal(strlen(text), 6);
        count_letters(seen, text);
        for (char c = 'A'; c <= 'J'; c++) /* 3 of 10 an epoch */
            assert_in_range(seen[(int)c], 3 * (epoch + 1) / 10, (3 * (epoch + 1) + 9) / 10);
    }
    clora_dataset_free(d);
    d = load_both(1.5, 0.01); /* of each file one at least */
    deal(text, d, true, 7, 0);
    deal(all, d, true, 7, 0);
    assert_string_equal(text, all);
    assert_int_equal(strlen(text), 16);
    deal(all, d, true, 8, 0);
    assert_string_not_equal(text, all);
    clora_dataset_free(d);
}

static void test_batches_go_through_an_epoch_of_the_mixture(void **state) {
    const clora_loader_options options = {.batch_size = 3, .shuffle = 1, .seed = 4};
    const clora_batch *batch;
    clora_loader *loader;
    clora_dataset *d;
    char text[64], got[64] = "";

    (void)state;
    write_rows("1.jsonl", 'A', 4);
    write_rows("2.jsonl", 'a', 3);
    d = load_both(0.5, 2);
    assert_ok(clora_loader_create(&loader, d, &options));
    assert_int_equal(clora_loader_batches_per_epoch(loader), 3);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        got[0] = '\0';
        for (int i = 0; i < 3; i++) {
            assert_ok(clora_loader_next(loader, &batch));
            for (int b = 0; b < batch->B; b++)
                snprintf(got + strlen(got), 2, "%c", (char)batch->ids[b * batch->T + 1]);
        }
        deal(text, d, true, 4, epoch);
        assert_string_equal(got, text);
    }
    clora_loader_free(loader);
    clora_dataset_free(d);
}

static void test_wrong_weights_and_files_are_refused(void **state) {
    char path[512];
    clora_dataset *d = NULL;

    (void)state;
    write_rows("1.jsonl", 'A', 4);
    scratch_text("empty.jsonl", "\n");
    snprintf(path, sizeof(path), "%s", scratch_path("empty.jsonl"));
    clora_data_file files[] = {{scratch_path("1.jsonl"), 0}, {path, 1}};
    assert_refused(clora_dataset_load_files(&d, files, 1, plain, NULL), CLORA_ERROR_ARGUMENT, "a weight of 0");
    files[0].weight = 1001;
    assert_refused(clora_dataset_load_files(&d, files, 1, plain, NULL), CLORA_ERROR_ARGUMENT, "a weight of 1001");
    files[0] = (clora_data_file){scratch_path("1.jsonl"), 1};
    assert_refused(clora_dataset_load_files(&d, files, 2, plain, NULL), CLORA_ERROR_FORMAT,
                   "empty.jsonl holds no sequences");
    assert_refused(clora_dataset_load_files(&d, files, 0, plain, NULL), CLORA_ERROR_ARGUMENT, "at least one file");
    assert_null(d);
}

/* ---- A part that is held out ---- */

static void split_letters(char rest[64], char held[64], const clora_dataset *d, double share, uint64_t seed) {
    clora_dataset *side[2];
    char *const text[] = {rest, held};

    assert_ok(clora_dataset_split(&side[0], &side[1], d, share, seed));
    for (int s = 0; s < 2; s++) {
        size_t n = clora_dataset_count(side[s]);
        for (size_t i = 0; i < n; i++)
            text[s][i] = letter(side[s], i);
        text[s][n] = '\0';
        clora_dataset_free(side[s]);
    }
}

static void test_what_is_held_out_depends_on_rows_and_seed_alone(void **state) {
    static const char reversed[] = "{\"text\": \"-C\"}\n{\"text\": \"-B\"}\n{\"text\": \"-A\"}\n";
    clora_dataset *d, *other;
    char rest[64], held[64], rest2[64], held2[64];
    int seen[128] = {0}, differ = 0;

    (void)state;
    write_rows("1.jsonl", 'A', 20);
    write_rows("2.jsonl", 'a', 20);
    d = load_both(1, 1);
    split_letters(rest, held, d, 0.25, 3);
    assert_int_equal(strlen(held), 10);
    count_letters(seen, rest);
    count_letters(seen, held);
    for (int c = 0; c < 20; c++)
        assert_true(seen['A' + c] == 1 && seen['a' + c] == 1);
    for (uint64_t seed = 4; seed < 8; seed++) {
        split_letters(rest2, held2, d, 0.25, seed);
        differ += strcmp(held, held2) != 0;
    }
    assert_int_equal(differ, 4);
    clora_dataset_free(d);
    d = load("d.jsonl", "{\"text\": \"-A\"}\n{\"text\": \"-B\"}\n{\"text\": \"-C\"}\n");
    other = load("d.jsonl", reversed);
    split_letters(rest, held, d, 0.3, 3);
    split_letters(rest2, held2, other, 0.3, 3);
    assert_string_equal(held, held2);
    clora_dataset_free(d);
    clora_dataset_free(other);
}

static void test_equal_rows_are_on_one_side(void **state) {
    clora_dataset *d, *a, *b;
    char rest[64], held[64];

    (void)state;
    d = load("d.jsonl", "{\"text\": \"-A\"}\n{\"text\": \"-B\"}\n{\"text\": \"-A\"}\n{\"text\": \"-B\"}\n");
    for (uint64_t seed = 0; seed < 4; seed++) {
        split_letters(rest, held, d, 0.01, seed);
        assert_true((strcmp(rest, "AA") == 0 && strcmp(held, "BB") == 0) ||
                    (strcmp(rest, "BB") == 0 && strcmp(held, "AA") == 0));
    }
    assert_refused(clora_dataset_split(&a, &b, d, 0.9, 0), CLORA_ERROR_ARGUMENT, "none is left to train on");
    assert_refused(clora_dataset_split(&a, &b, d, 1, 0), CLORA_ERROR_ARGUMENT, "a share of 1");
    assert_refused(clora_dataset_split(&a, &b, d, 0, 0), CLORA_ERROR_ARGUMENT, "a share of 0");
    assert_null(a);
    clora_dataset_free(d);
}

static void test_weights_are_those_of_the_rest(void **state) {
    clora_dataset *d, *rest, *held;
    char text[64];

    (void)state;
    write_rows("1.jsonl", 'A', 4);
    write_rows("2.jsonl", 'a', 4);
    d = load_both(1, 3);
    assert_ok(clora_dataset_split(&rest, &held, d, 0.25, 1));
    deal(text, held, true, 0, 0);
    assert_int_equal(strlen(text), 2);
    const int small = (text[0] >= 'a') + (text[1] >= 'a');
    deal(text, rest, true, 0, 0);
    assert_int_equal(strlen(text), (4 - (2 - small)) + 3 * (4 - small));
    clora_dataset_free(d);
    clora_dataset_free(rest);
    clora_dataset_free(held);
}

static void test_answers_to_a_prompt_stay_together(void **state) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    const int32_t *ids[2];
    clora_dataset *d, *rest, *held;

    (void)state;
    options.kind = CLORA_DATA_PREFERENCE;
    d = load_with("d.jsonl",
                  "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n"
                  "{\"prompt\": \"d\", \"chosen\": \"e\", \"rejected\": \"f\"}\n"
                  "{\"prompt\": \"g\", \"chosen\": \"h\", \"rejected\": \"i\"}\n",
                  plain, &options);
    assert_ok(clora_dataset_split(&rest, &held, d, 0.34, 2));
    assert_int_equal(clora_dataset_count(held), 2);
    assert_int_equal(clora_dataset_count(rest), 4);
    clora_dataset_sequence(held, 0, &ids[0], NULL);
    clora_dataset_sequence(held, 1, &ids[1], NULL);
    assert_int_equal(ids[0][0], ids[1][0]);
    assert_int_equal(ids[0][1] + 1, ids[1][1]);
    assert_int_equal(clora_dataset_get_stats(held)->longest_row, clora_dataset_get_stats(d)->longest_row);
    clora_dataset_free(d);
    clora_dataset_free(rest);
    clora_dataset_free(held);
}

#define T(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_a_weight_is_how_often_a_row_comes),
        T(test_no_row_comes_again_before_all_have_come),
        T(test_batches_go_through_an_epoch_of_the_mixture),
        T(test_wrong_weights_and_files_are_refused),
        T(test_what_is_held_out_depends_on_rows_and_seed_alone),
        T(test_equal_rows_are_on_one_side),
        T(test_weights_are_those_of_the_rest),
        T(test_answers_to_a_prompt_stay_together),
    };

    return cmocka_run_group_tests(tests, byte_tokenizers_make, byte_tokenizers_free);
}
