/* Which keys the rows of a batch see in layers with a window, and that packing changes no loss there. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "support/fixture.h"
#include "support/scratch.h"
#include "train/trainer.h"

enum { T = 24, WINDOW = 5, PREFIX = 7 }; /* of tiny-mistral and its prefix */

static clora_context *context;
static clora_model *model;

/* A row in the making. */
typedef struct layout {
    int32_t ids[T], targets[T], positions[T], first[T], last[T];
    int end;
} layout;

static void pad(layout *l) {
    for (int t = l->end; t < T; t++) {
        l->positions[t] = 0;
        l->first[t] = l->last[t] = t;
    }
}

/* n tokens, from a position on, of a sequence that begins at `first`. */
static void append(layout *l, int n, int position, int first) {
    for (int i = 0; i < n; i++) {
        l->positions[l->end + i] = position + i;
        l->first[l->end + i] = first;
        l->last[l->end + i] = l->end + n - 1;
    }
    l->end += n;
}

/* Two answers to one text, which both see. */
static layout fork_row(int trunk, int one, int other) {
    layout l = {.end = 0};

    append(&l, trunk + one, 0, 0);
    append(&l, other, trunk, 0);
    for (int t = 0; t < trunk; t++)
        l.last[t] = l.end - 1;
    pad(&l);
    return l;
}

static workspace *upload(layout *l, bool forked, const clora_adapter *adapter) {
    const clora_batch batch = {.B = 1,
                               .T = T,
                               .ids = l->ids,
                               .targets = l->targets,
                               .positions = l->positions,
                               .first = l->first,
                               .last = l->last,
                               .forked = forked};
    workspace *ws;

    assert_ok(workspace_plan(&ws, model,
                             &(workspace_options){.B = 1, .T = T, .positions = T, .loss = true, .adapter = adapter}));
    assert_ok(workspace_commit(ws));
    assert_ok(batch_upload(ws, &batch));
    return ws;
}

static bool sees(const layout *l, int t, int s) {
    return l->first[t] <= s && s <= t && t <= l->last[s] && l->positions[t] - l->positions[s] < WINDOW;
}

static void check(layout l, bool forked) {
    int32_t first[T], last[T];
    workspace *ws = upload(&l, forked, NULL);

    assert_ok(clora_tensor_read(&ws->window_first, first));
    assert_ok(clora_tensor_read(&ws->window_last, last));
    for (int s = 0; s < T; s++) {
        int end = s;
        for (int t = s; t < T; t++) {
            const bool seen = first[t] <= s && (!forked || t <= last[s]);
            if (seen != sees(&l, t, s))
                fail_msg("query %d, key %d: %s", t, s, seen ? "seen" : "hidden");
            end = seen ? t : end;
        }
        assert_int_equal(last[s], end);
    }
    workspace_free(ws);
}

static void test_rows_of_sequences_see_their_window(void **state) {
    layout one = {.end = 0}, packed = {.end = 0};

    (void)state;
    append(&one, T, 0, 0);
    check(one, false);
    append(&packed, 6, 0, 0);
    append(&packed, 1, 0, 6);
    append(&packed, 3, 0, 7);
    append(&packed, 11, 0, 10);
    pad(&packed);
    check(packed, false);
}

static void test_forked_rows_see_their_window_across_the_fork(void **state) {
    static const int shapes[][3] = {{9, 4, 7}, {9, 8, 2}, {2, 7, 9}, {0, 6, 6}, {12, 1, 8}, {4, 3, 1}};

    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        check(fork_row(shapes[i][0], shapes[i][1], shapes[i][2]), true);
}

/* A prefix stands at the positions before the sequence's. */
static void test_a_prefix_slides_out_of_the_window(void **state) {
    clora_adapter *adapter = fixture_adapter(model, "tiny-mistral-prefix");
    int32_t first[T][2];
    layout l = {.end = 0};

    (void)state;
    append(&l, 3, 0, 0);
    append(&l, 9, 0, 3);
    pad(&l);
    workspace *ws = upload(&l, false, adapter);
    assert_ok(clora_tensor_read(&ws->window_first, first));
    for (int t = 0; t < l.end; t++) {
        for (int s = 0; s < PREFIX; s++)
            assert_int_equal(first[t][1] <= s, PREFIX + l.positions[t] - s < WINDOW);
        for (int s = 0; s <= t; s++)
            assert_int_equal(first[t][0] <= s, sees(&l, t, s));
    }
    workspace_free(ws);
    clora_adapter_free(adapter);
}

static void test_packed_sequences_train_as_single_ones(void **state) {
    static const int32_t ids[] = {5, 17, 42, 88, 3, 61, 29, 96, 11, 54, 7, 71, 2, 33, 90, 14, 58, 26};
    static const char *const names[] = {"tiny-mistral-lora", "tiny-mistral-prefix"};
    const int lengths[] = {7, 3, 8};
    clora_dataset *dataset = NULL;
    clora_train_step done[2];

    (void)state;
    assert_ok(clora_dataset_from_ids(&dataset, ids, NULL, lengths, 3));
    for (int i = 0; i < 2; i++) {
        for (int pack = 0; pack < 2; pack++) {
            clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
            clora_adapter *adapter = fixture_adapter(model, names[i]);
            clora_trainer *trainer = NULL;
            options.steps = 1;
            options.pack = pack;
            options.batch_size = 3 - 2 * pack;
            options.max_length = 18;
            assert_ok(clora_trainer_create(&trainer, model, adapter, dataset, &options));
            assert_ok(clora_trainer_step(trainer, &done[pack]));
            clora_trainer_free(trainer);
            clora_adapter_free(adapter);
        }
        assert_true(fabsf(done[0].loss - done[1].loss) < 1e-5f);
        assert_true(fabsf(done[0].grad_norm - done[1].grad_norm) < 1e-5f * done[0].grad_norm);
    }
    clora_dataset_free(dataset);
}

static int load(void **state) {
    (void)state;
    return clora_model_load(&model, context, fixture_path("tiny-mistral"), NULL) != CLORA_OK;
}

static int finish(void **state) {
    (void)state;
    clora_model_free(model);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_of_sequences_see_their_window),
        cmocka_unit_test(test_forked_rows_see_their_window_across_the_fork),
        cmocka_unit_test(test_a_prefix_slides_out_of_the_window),
        cmocka_unit_test(test_packed_sequences_train_as_single_ones),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    const int failed = cmocka_run_group_tests(tests, load, finish);
    clora_context_free(context);
    return failed;
}
