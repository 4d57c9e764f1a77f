#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "data/dataset.h"
#include "support/scratch.h"

enum { COUNT = 7 };
static const int counted_lengths[COUNT] = {3, 5, 2, 4, 6, 2, 3};

/* Sequence i is 10 i, 10 i + 1, ...; its second id is not learnt when it is longer than two. */
static clora_dataset *counted(void) {
    int32_t ids[32], labels[32];
    clora_dataset *dataset = NULL;
    size_t n = 0;

    for (int i = 0; i < COUNT; i++)
        for (int t = 0; t < counted_lengths[i]; t++, n++) {
            ids[n] = 10 * i + t;
            labels[n] = t == 1 && counted_lengths[i] > 2 ? -100 : ids[n];
        }
    assert_ok(clora_dataset_from_ids(&dataset, ids, labels, counted_lengths, COUNT));
    return dataset;
}

static clora_loader *make_loader(const clora_dataset *dataset, clora_loader_options options) {
    clora_loader *loader = NULL;

    assert_ok(clora_loader_create(&loader, dataset, &options));
    return loader;
}

static const clora_batch *next(clora_loader *loader) {
    const clora_batch *batch = NULL;

    assert_ok(clora_loader_next(loader, &batch));
    return batch;
}

/* Everything that must hold in any batch of counted(); adds to seen[] how often each sequence is in it. */
static void assert_batch_is_sound(const clora_batch *batch, int *seen) {
    size_t tokens = 0, learnt = 0, sequences = 0;

    for (int b = 0; b < batch->B; b++)
        for (int t = 0; t < batch->T; t++) {
            const int e = b * batch->T + t;
            const int first = batch->first[e], last = batch->last[e], position = batch->positions[e];
            if (first == t && last == t) { /* no sequence is that short: padding */
                assert_true(batch->ids[e] == 0 && batch->targets[e] == -1 && position == 0);
                continue;
            }
            const int i = batch->ids[e] / 10;
            assert_int_equal(position, t - first);
            assert_int_equal(batch->ids[e], 10 * i + position);
            assert_int_equal(last - first + 1, counted_lengths[i]);
            const int masked = t == last || (position == 0 && counted_lengths[i] > 2);
            assert_int_equal(batch->targets[e], masked ? -1 : batch->ids[e] + 1);
            tokens++;
            learnt += batch->targets[e] >= 0;
            sequences += position == 0;
            seen[i] += position == 0;
        }
    assert_int_equal(batch->tokens, tokens);
    assert_int_equal(batch->learnt, learnt);
    assert_int_equal(batch->sequences, sequences);
}

static void test_a_batch_is_padded_to_its_longest_and_shifted_by_one(void **state) {
    (void)state;
    clora_dataset *d = counted();
    clora_loader *loader = make_loader(d, (clora_loader_options){.batch_size = 3});
    const clora_batch *batch = next(loader);

    assert_int_equal(clora_loader_batches_per_epoch(loader), 3);
    assert_int_equal(batch->B, 3);
    assert_int_equal(batch->T, 5);
    static const int32_t ids[] = {0, 1, 2, 0, 0, 10, 11, 12, 13, 14, 20, 21, 0, 0, 0};
    static const int32_t targets[] = {-1, 2, -1, -1, -1, -1, 12, 13, 14, -1, 21, -1, -1, -1, -1};
    static const int32_t positions[] = {0, 1, 2, 0, 0, 0, 1, 2, 3, 4, 0, 1, 0, 0, 0};
    static const int32_t first[] = {0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 2, 3, 4};
    static const int32_t last[] = {2, 2, 2, 3, 4, 4, 4, 4, 4, 4, 1, 1, 2, 3, 4};
    assert_memory_equal(batch->ids, ids, sizeof(ids));
    assert_memory_equal(batch->targets, targets, sizeof(targets));
    assert_memory_equal(batch->positions, positions, sizeof(positions));
    assert_memory_equal(batch->first, first, sizeof(first));
    assert_memory_equal(batch->last, last, sizeof(last));
    assert_int_equal(batch->tokens, 10);
    assert_int_equal(batch->learnt, 5);
    assert_int_equal(batch->sequences, 3);
    clora_loader_free(loader);
    clora_dataset_free(d);
}

static void test_no_batch_spans_two_epochs(void **state) {
    (void)state;
    clora_dataset *d = counted();
    clora_loader *loader = make_loader(d, (clora_loader_options){.batch_size = 3});

    for (int epoch = 0; epoch < 2; epoch++) {
        assert_int_equal(next(loader)->ids[0], 0);
        assert_int_equal(next(loader)->ids[0], 30);
        const clora_batch *batch = next(loader);
        assert_int_equal(batch->B, 1);
        assert_int_equal(batch->T, 3);
        assert_int_equal(batch->ids[0], 60);
    }
    clora_loader_free(loader);
    clora_dataset_free(d);
}

static void test_packed_rows_hold_whole_sequences_in_order(void **state) {
    (void)state;
    clora_dataset *d = counted();
    clora_loader *loader = make_loader(d, (clora_loader_options){.batch_size = 2, .pack = 1, .max_length = 8});
    const clora_batch *batch = next(loader);
    static const int32_t ids[] = {0, 1, 2, 10, 11, 12, 13, 14, 20, 21, 30, 31, 32, 33, 0, 0};
    static const int32_t positions[] = {0, 1, 2, 0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3, 0, 0};
    static const int32_t first[] = {0, 0, 0, 3, 3, 3, 3, 3, 0, 0, 2, 2, 2, 2, 6, 7};
    static const int32_t last[] = {2, 2, 2, 7, 7, 7, 7, 7, 1, 1, 5, 5, 5, 5, 6, 7};
    static const int32_t targets[] = {-1, 2, -1, -1, 12, 13, 14, -1, 21, -1, -1, 32, 33, -1, -1, -1};

    assert_int_equal(clora_loader_batches_per_epoch(loader), 2); /* rows: 3 + 5, 2 + 4, 6 + 2, 3 */
    assert_int_equal(batch->T, 8);
    assert_memory_equal(batch->ids, ids, sizeof(ids));
    assert_memory_equal(batch->positions, positions, sizeof(positions));
    assert_memory_equal(batch->first, first, sizeof(first));
    assert_memory_equal(batch->last, last, sizeof(last));
    assert_memory_equal(batch->targets, targets, sizeof(targets));
    assert_int_equal(batch->sequences, 4);
    batch = next(loader);
    assert_int_equal(batch->B, 2);
    assert_int_equal(batch->ids[0], 40);
    assert_int_equal(batch->ids[8], 60);
    clora_loader_free(loader);
    clora_dataset_free(d);
}

static void test_each_epoch_holds_each_sequence_once_in_an_order_of_its_own(void **state) {
    (void)state;
    clora_dataset *d = counted();

    for (int pack = 0; pack < 2; pack++) {
        clora_loader *loader = make_loader(
            d, (clora_loader_options){.batch_size = 2, .pack = pack, .max_length = 7, .shuffle = 1, .seed = 3});
        int32_t firsts[8] = {0};
        for (int epoch = 0; epoch < 8; epoch++) {
            int seen[COUNT] = {0};
            assert_ok(clora_loader_seek(loader, (batch_place){(uint32_t)epoch, 0}));
            for (size_t n = clora_loader_batches_per_epoch(loader); n > 0; n--) {
                const clora_batch *batch = next(loader);
                assert_true(batch->T <= 7);
                assert_batch_is_sound(batch, seen);
                firsts[epoch] = firsts[epoch] * 3 + batch->ids[0];
            }
            for (int i = 0; i < COUNT; i++)
                assert_int_equal(seen[i], 1);
        }
        int same = 0;
        for (int epoch = 1; epoch < 8; epoch++)
            same += firsts[epoch] == firsts[0];
        assert_true(same < 3);
        clora_loader_free(loader);
    }
    clora_dataset_free(d);
}

static void test_seeking_gives_what_walking_there_gives(void **state) {
    (void)state;
    clora_dataset *d = counted();
    const clora_loader_options options = {.batch_size = 2, .pack = 1, .max_length = 7, .shuffle = 1, .seed = 9};
    clora_loader *walker = make_loader(d, options), *jumper = make_loader(d, options);

    for (uint32_t epoch = 0; epoch < 5; epoch++) {
        size_t batches = 1;
        for (size_t i = 0; i < batches; i++) {
            const clora_batch *a = next(walker);
            batches = clora_loader_batches_per_epoch(walker); /* known once the walker is in that epoch */
            assert_ok(clora_loader_seek(jumper, (batch_place){epoch + 1, 0})); /* somewhere else first */
            assert_ok(clora_loader_seek(jumper, (batch_place){epoch, i}));
            const clora_batch *b = next(jumper);
            assert_true(a->B == b->B && a->T == b->T && a->learnt == b->learnt);
            assert_memory_equal(a->ids, b->ids, (size_t)(a->B * a->T) * sizeof(int32_t));
        }
    }
    assert_refused(clora_loader_seek(jumper, (batch_place){0, 99}), CLORA_ERROR_ARGUMENT, "no batch 99");
    assert_ok(clora_loader_seek(jumper, (batch_place){0, clora_loader_batches_per_epoch(jumper)}));
    const clora_batch *wrapped = next(jumper);
    const int32_t id = wrapped->ids[0];
    assert_ok(clora_loader_seek(walker, (batch_place){1, 0}));
    assert_int_equal(next(walker)->ids[0], id);
    clora_loader_free(walker);
    clora_loader_free(jumper);
    clora_dataset_free(d);
}

static void test_the_seed_decides_the_order(void **state) {
    (void)state;
    clora_dataset *d = counted();
    int differ = 0;

    for (uint64_t seed = 0; seed < 8; seed++) {
        const clora_loader_options options = {.batch_size = COUNT, .shuffle = 1, .seed = seed};
        clora_loader *a = make_loader(d, options), *b = make_loader(d, options);
        const clora_batch *x = next(a), *y = next(b);
        assert_memory_equal(x->ids, y->ids, (size_t)(x->B * x->T) * sizeof(int32_t));
        differ += x->ids[0] != 0;
        clora_loader_free(a);
        clora_loader_free(b);
    }
    assert_true(differ > 3);
    clora_dataset_free(d);
}

static void test_loader_options_that_fit_nothing_are_refused(void **state) {
    (void)state;
    clora_dataset *d = counted();
    clora_loader *loader = (clora_loader *)1;

    assert_refused(clora_loader_create(&loader, d, &(clora_loader_options){.batch_size = 0}), CLORA_ERROR_ARGUMENT,
                   "batch size 0");
    assert_refused(clora_loader_create(&loader, d, &(clora_loader_options){.batch_size = 1, .max_length = 5}),
                   CLORA_ERROR_ARGUMENT, "a sequence of 6 ids is longer than the maximum length 5");
    assert_refused(clora_loader_create(&loader, d, &(clora_loader_options){.batch_size = 1, .max_length = -1}),
                   CLORA_ERROR_ARGUMENT, "maximum length of -1");
    assert_refused(
        clora_loader_create(&loader, d, &(clora_loader_options){.batch_size = 7, .pack = 1, .max_length = INT32_MAX}),
        CLORA_ERROR_ARGUMENT, "too many");
    assert_null(loader);
    loader = make_loader(d, (clora_loader_options){.batch_size = INT32_MAX});
    assert_int_equal(next(loader)->B, COUNT);
    clora_loader_free(loader);
    clora_loader_free(NULL);
    clora_dataset_free(d);
}

#define T(name) cmocka_unit_test(name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_a_batch_is_padded_to_its_longest_and_shifted_by_one),
        T(test_no_batch_spans_two_epochs),
        T(test_packed_rows_hold_whole_sequences_in_order),
        T(test_each_epoch_holds_each_sequence_once_in_an_order_of_its_own),
        T(test_seeking_gives_what_walking_there_gives),
        T(test_the_seed_decides_the_order),
        T(test_loader_options_that_fit_nothing_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
