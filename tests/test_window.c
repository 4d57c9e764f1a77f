/* Layers with a window: which keys the rows of a batch see, that packing changes no loss, and that a session keeps no
 * keys there that it has no use for. */

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>

#include "model/session.h"
#include "support/failing.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "train/trainer.h"
#include "tuning/table.h"
#include "tuning/tuning.h"

enum { T = 24, WINDOW = 5, PREFIX = 7 }; /* of tiny-mistral and its prefix */

static clora_context *context;
static clora_model *model;
static model_config usual;

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
    clora_train_step done[2] = {CLORA_TRAIN_STEP_INIT, CLORA_TRAIN_STEP_INIT};

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
            assert_ok(clora_trainer_step(&done[pack], trainer));
            clora_trainer_free(trainer);
            clora_adapter_free(adapter);
        }
        assert_true(fabsf(done[0].loss - done[1].loss) < 1e-5f);
        assert_true(fabsf(done[0].grad_norm - done[1].grad_norm) < 1e-5f * done[0].grad_norm);
    }
    clora_dataset_free(dataset);
}

/* ---- sessions ---- */

enum { V = 97, SEQUENCES = 3, LONGEST = 1800, WIDE = 300, STEPS = 90, ROUNDS = 3, PROMPTS = 6 };

static int32_t id_of(int text, int t) {
    return (text * 29 + t * t % 89 + t * 37 + 11) % V;
}

/* Of LONGEST positions, with windows of WIDE. To keep all keys it is planned for a window of all. */
static clora_session *open_session(bool keeps_all, clora_adapter *adapter) {
    clora_session *session = NULL;

    model->config.max_positions = LONGEST;
    model->config.window = keeps_all ? LONGEST - 1 : WIDE;
    assert_ok(clora_session_create(&session, model, SEQUENCES, LONGEST));
    model->config.window = WIDE;
    assert_ok(clora_session_set_adapter(session, adapter));
    return session;
}

static int restore_config(void **state) {
    (void)state;
    model->config = usual;
    return 0;
}

static void prefill(float logits[V], clora_session *session, int sequence, int text, int count) {
    int32_t ids[LONGEST];

    for (int t = 0; t < count; t++)
        ids[t] = id_of(text, t);
    session_forget(session, sequence);
    assert_ok(session_prefill(session, &session->select, sequence, logits, ids, count));
}

/* Texts that begin with several pieces or less than a window, go on for long, are copied and begun anew. */
static void write_texts(float *logits, clora_session *session) {
    static const int counts[ROUNDS][SEQUENCES] = {{1400, 30, 950}, {0, 0, 1100}, {1, 0, 0}};

    for (int round = 0; round < ROUNDS; round++) {
        if (round > 0)
            session_copy(session, 1, round == 1 ? 0 : 2);
        for (int b = 0; b < SEQUENCES; b++, logits += V)
            if (counts[round][b] > 0)
                prefill(logits, session, b, 3 * round + b, counts[round][b]);
        for (int i = 0; i < STEPS; i++, logits += SEQUENCES * V) {
            int32_t ids[SEQUENCES];
            for (int b = 0; b < SEQUENCES; b++)
                ids[b] = id_of(b + round, i);
            assert_ok(session_step(session, &session->select, logits, ids, SEQUENCES));
        }
    }
    clora_session_free(session);
}

static void force_tape(int path) {
    const int values[KERNEL_PARAMETERS] = {path};
    assert_ok(tuning_force(context, kernel_find("path_tape"), path ? values : NULL));
}

enum { WRITTEN = ROUNDS * (STEPS + 1) * SEQUENCES * V };

static void assert_texts(clora_adapter *adapter) {
    float *all = calloc(WRITTEN, sizeof(*all)), *few = calloc(WRITTEN, sizeof(*few));

    write_texts(all, open_session(true, adapter));
    write_texts(few, open_session(false, adapter));
    assert_memory_equal(few, all, WRITTEN * sizeof(*all));
    free(all);
    free(few);
}

static void test_texts_are_the_same_whatever_their_layers_let_go(void **state) {
    (void)state;
    assert_texts(NULL);
    model->config.slides[0] = false;
    force_tape(TAPE_APART);
    assert_texts(NULL);
    force_tape(0);
}

static void test_a_prefix_longer_than_all_that_is_kept_is_the_same(void **state) {
    clora_prefix_options options = CLORA_PREFIX_OPTIONS_INIT;
    clora_adapter *adapter = NULL;
    float all[V], few[V];

    (void)state;
    options.tokens = 1300;
    options.init = CLORA_PREFIX_INIT_RANDOM;
    model->config.max_positions = LONGEST;
    assert_ok(clora_prefix_create(&adapter, model, &options));
    for (int i = 0; i < 2; i++) {
        clora_session *session = open_session(i, adapter);
        prefill(i ? all : few, session, 1, 0, 400);
        clora_session_free(session);
    }
    assert_memory_equal(few, all, sizeof(all));
    clora_adapter_free(adapter);
}

static void test_what_is_kept_does_not_grow_with_the_capacity(void **state) {
    clora_session *session = NULL;
    size_t bytes[2];

    (void)state;
    model->config.max_positions = LONGEST;
    for (int i = 0; i < 2; i++) {
        assert_ok(clora_session_create(&session, model, 1, i ? LONGEST : 1000));
        bytes[i] = clora_tensor_count(&session->cache.kv[1]);
        clora_session_free(session);
    }
    assert_int_equal(bytes[0], bytes[1]);
    assert_true(bytes[0] < (size_t)(1000 * 2 * model->config.kv_heads * model->config.head_dim));
}

/* A call of several pieces that fails leaves the text as it was, or one that is refused: never a wrong one. */
static void test_a_call_that_fails_leaves_no_wrong_text(void **state) {
    float expected[V], logits[V];
    int32_t ids[1000];
    int kept = 0, lost = 0;

    (void)state;
    for (int t = 0; t < 1000; t++)
        ids[t] = id_of(7, t);
    clora_session *session = open_session(false, NULL);
    prefill(logits, session, 0, 0, 600);
    assert_ok(session_prefill(session, &session->select, 0, expected, ids, 1));
    bool failed = true;
    for (long at = 3; failed; at += 37) {
        prefill(logits, session, 0, 0, 600);
        failing_from("opencl", at, false);
        failed = session_prefill(session, &session->select, 0, logits, ids, 1000) != CLORA_OK;
        failing_from(NULL, 0, false);
        if (!failed)
            break;
        if (session_has_lost(session, 0)) {
            assert_refused(session_prefill(session, &session->select, 0, logits, ids, 1), CLORA_ERROR_ARGUMENT,
                           "begin anew");
            lost++;
            continue;
        }
        assert_int_equal(clora_session_length(session), 600);
        assert_ok(session_prefill(session, &session->select, 0, logits, ids, 1));
        assert_memory_equal(logits, expected, sizeof(logits));
        kept++;
    }
    assert_true(kept > 0 && lost > 0);
    clora_session_free(session);
}

/* Prompts after one another in the same session, or with nothing that they could take. */
static void ask_all(float *logits, size_t *reused, bool apart) {
    static const int prompts[][2] = {{500, 500}, {500, 900}, {600, 700}, {700, 1300}, {0, 100}, {700, 1200}};
    clora_session *session = open_session(false, NULL);
    int32_t ids[LONGEST];

    for (int i = 0; i < PROMPTS; i++) {
        const int common = prompts[i][0], T = prompts[i][1];
        for (int t = 0; t < T; t++)
            ids[t] = id_of(t < common ? 0 : i + 1, t);
        if (apart)
            context->updates++;
        session_forget(session, i % 2);
        assert_ok(session_prefill(session, &session->select, i % 2, logits + i * V, ids, T));
        reused[i] = clora_session_reused(session);
    }
    clora_session_free(session);
}

static void test_prompts_share_what_is_still_there(void **state) {
    float shared[PROMPTS * V], apart[PROMPTS * V];
    size_t reused[PROMPTS], none[PROMPTS];

    (void)state;
    ask_all(shared, reused, false);
    ask_all(apart, none, true);
    assert_int_equal(none[PROMPTS - 1], 0);
    if (kernel_explicit_vectors(context))
        assert_memory_equal(shared, apart, sizeof(shared));
    assert_true(relative_error(shared, apart, PROMPTS * V) < 1e-5);
    for (int i = 1; i < 4; i++)
        assert_true(reused[i] > reused[i - 1] + 400);
    assert_true(reused[PROMPTS - 1] == reused[PROMPTS - 2]); /* the first of its tokens have gone */
}

static void test_what_was_made_before_training_is_not_taken(void **state) {
    static const int lengths[] = {18};
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;
    clora_adapter *adapter = fixture_adapter(model, "tiny-mistral-lora");
    clora_session *session = open_session(false, adapter);
    clora_dataset *dataset = NULL;
    float before[V], after[V];
    int32_t ids[18];

    (void)state;
    for (int t = 0; t < 18; t++)
        ids[t] = id_of(3, t);
    assert_ok(clora_dataset_from_ids(&dataset, ids, NULL, lengths, 1));
    prefill(before, session, 0, 0, 200);
    prefill(after, session, 1, 0, 200);
    const size_t reused = clora_session_reused(session);
    assert_true(reused > 100);
    options.steps = 1;
    options.lr = 0.1f;
    assert_ok(clora_train(model, adapter, dataset, &options, NULL, NULL));
    prefill(after, session, 0, 0, 200);
    assert_int_equal(clora_session_reused(session), reused);
    assert_memory_not_equal(after, before, sizeof(before));
    clora_dataset_free(dataset);
    clora_session_free(session);
    clora_adapter_free(adapter);
}

static int load(void **state) {
    (void)state;
    if (clora_model_load(&model, context, fixture_path("tiny-mistral"), NULL) != CLORA_OK)
        return 1;
    usual = model->config;
    return 0;
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
        cmocka_unit_test_teardown(test_texts_are_the_same_whatever_their_layers_let_go, restore_config),
        cmocka_unit_test_teardown(test_a_prefix_longer_than_all_that_is_kept_is_the_same, restore_config),
        cmocka_unit_test_teardown(test_what_is_kept_does_not_grow_with_the_capacity, restore_config),
        cmocka_unit_test_teardown(test_a_call_that_fails_leaves_no_wrong_text, restore_config),
        cmocka_unit_test_teardown(test_prompts_share_what_is_still_there, restore_config),
        cmocka_unit_test_teardown(test_what_was_made_before_training_is_not_taken, restore_config),
    };
    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        return 77;
    }
    const int failed = cmocka_run_group_tests(tests, load, finish);
    clora_context_free(context);
    return failed;
}
