#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/clora.h>
#include <jansson.h>

#include "data/answers.h"
#include "data/dataset_store.h"
#include "support/fixture.h"
#include "support/scratch.h"

/* Data of preferences: files to sequences, and sequences to batches. */

static clora_tokenizer *tokenizer; /* puts <s> before a text */

static clora_status load_kind(clora_dataset **out, const char *text, clora_data_kind kind, int max_length) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;

    options.kind = kind;
    options.max_length = max_length;
    scratch_text("data.jsonl", text);
    return clora_dataset_load(out, scratch_path("data.jsonl"), tokenizer, &options);
}

static clora_dataset *load(const char *text, clora_data_kind kind) {
    clora_dataset *d = NULL;

    assert_ok(load_kind(&d, text, kind, 512));
    return d;
}

/* ---- Reading ---- */

static void assert_answer(const clora_dataset *d, size_t i, const json_t *prompt, const json_t *answer) {
    const int32_t *ids, *labels;
    const size_t n = (size_t)clora_dataset_sequence(d, i, &ids, &labels), P = json_array_size(prompt);

    assert_int_equal(n, P + json_array_size(answer));
    assert_int_equal(d->answer[i].prompt, P);
    for (size_t t = 0; t < n; t++) {
        const json_t *id = t < P ? json_array_get(prompt, t) : json_array_get(answer, t - P);
        assert_int_equal(ids[t], json_integer_value(id));
        assert_int_equal(labels[t], t < P ? -1 : ids[t]);
    }
}

/* One of the rows has prompt tokens that change with the answer, one an empty prompt, one its own end. */
static void test_prompts_and_answers_have_the_ids_of_trl(void **state) {
    (void)state;
    json_t *reference = json_load_file(fixture_path("reference/preferences.json"), 0, NULL);
    const json_t *rows = json_object_get(json_object_get(reference, "tokenized"), "llama2");
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_dataset *d = NULL;

    options.kind = CLORA_DATA_PREFERENCE;
    assert_non_null(rows);
    assert_int_equal(json_dump_file(rows, scratch_path("rows.json"), 0), 0);
    assert_ok(clora_dataset_load(&d, scratch_path("rows.json"), tokenizer, &options));
    assert_int_equal(clora_dataset_count(d), 2 * json_array_size(rows));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i), *prompt = json_object_get(row, "prompt_ids");
        assert_answer(d, 2 * i, prompt, json_object_get(row, "chosen_ids"));
        assert_answer(d, 2 * i + 1, prompt, json_object_get(row, "rejected_ids"));
        assert_true(d->answer[2 * i].desirable && !d->answer[2 * i + 1].desirable);
    }
    clora_dataset_free(d);
    json_decref(reference);
}

/* Rows of "talked" with the ids that TRL makes of them. */
static void assert_talked(const char *name, clora_data_kind kind, const clora_chat *chat, size_t count) {
    json_t *reference = json_load_file(fixture_path("reference/preferences.json"), 0, NULL);
    const json_t *rows = json_object_get(json_object_get(reference, "talked"), name);
    static const char *const keys[] = {"chosen_ids", "rejected_ids"};
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    const size_t per = kind == CLORA_DATA_PREFERENCE ? 2 : 1;
    clora_dataset *d = NULL;

    options.kind = kind;
    options.chat = chat;
    assert_int_equal(json_array_size(rows), count);
    assert_int_equal(json_dump_file(rows, scratch_path("rows.json"), 0), 0);
    assert_ok(clora_dataset_load(&d, scratch_path("rows.json"), tokenizer, &options));
    assert_int_equal(clora_dataset_count(d), per * count);
    for (size_t i = 0; i < per * count; i++) {
        const json_t *row = json_array_get(rows, i / per), *label = json_object_get(row, "label");
        assert_answer(d, i, json_object_get(row, "prompt_ids"),
                      json_object_get(row, label ? "completion_ids" : keys[i % per]));
        assert_int_equal(d->answer[i].desirable, label ? json_is_true(label) : i % 2 == 0);
    }
    clora_dataset_free(d);
    json_decref(reference);
}

static void test_messages_and_rows_without_a_prompt_have_the_ids_of_trl(void **state) {
    clora_chat *chat = NULL;

    (void)state;
    assert_ok(clora_chat_load(&chat, fixture_path("tokenizers/llama2"), CLORA_CHAT_CHATML));
    assert_talked("implicit", CLORA_DATA_PREFERENCE, NULL, 4);
    assert_talked("talks", CLORA_DATA_PREFERENCE, chat, 4);
    assert_talked("rated", CLORA_DATA_UNPAIRED_PREFERENCE, chat, 2);
    clora_chat_free(chat);
}

#define SAID(role, text) "[{\"role\":\"" role "\",\"content\":\"" text "\"}]"

static void test_messages_that_are_no_preference_are_refused(void **state) {
    static const char talk[] = "{\"prompt\":" SAID("user", "a") ",\"chosen\":" SAID(
        "assistant", "b") ",\"rejected\":" SAID("assistant", "c") "}";
    const struct {
        const char *row, *words;
    } bad[] = {{"{\"chosen\":" SAID("assistant", "b") ",\"rejected\":" SAID("assistant", "c") "}",
                "line 1: has no list \"prompt\""},
               {"{\"prompt\":" SAID("user", "a") ",\"chosen\":[],\"rejected\":" SAID("assistant", "c") "}",
                "line 1: \"chosen\" is an empty list"},
               {"{\"prompt\":" SAID("user", "a") ",\"chosen\":\"b\",\"rejected\":" SAID("assistant", "c") "}",
                "line 1: \"rejected\" must be a string"},
               {"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}", "line 1: holds texts"}};
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_dataset *d = NULL;
    clora_chat *chat;

    (void)state;
    assert_ok(clora_chat_load(&chat, fixture_path("tokenizers/llama2"), CLORA_CHAT_CHATML));
    assert_refused(load_kind(&d, talk, CLORA_DATA_PREFERENCE, 512), CLORA_ERROR_UNSUPPORTED, "line 1: chat messages");
    options.kind = CLORA_DATA_PREFERENCE;
    options.chat = chat;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        options.pair_template = i == 3 ? CLORA_PAIR_CHAT : CLORA_PAIR_PLAIN;
        scratch_text("data.jsonl", bad[i].row);
        assert_refused(clora_dataset_load(&d, scratch_path("data.jsonl"), tokenizer, &options), CLORA_ERROR_FORMAT,
                       bad[i].words);
    }
    options.pair_template = CLORA_PAIR_ALPACA;
    assert_refused(clora_dataset_load(&d, scratch_path("data.jsonl"), tokenizer, &options), CLORA_ERROR_ARGUMENT,
                   "a template is for pairs");
    assert_null(d);
    clora_chat_free(chat);
}

static void test_single_answers_keep_their_labels(void **state) {
    (void)state;
    clora_dataset *d = load("{\"prompt\":\"One \",\"completion\":\"day\",\"label\":true}\n"
                            "{\"prompt\":\"Two \",\"completion\":\"days\",\"label\":false}\n",
                            CLORA_DATA_UNPAIRED_PREFERENCE);

    assert_int_equal(clora_dataset_count(d), 2);
    assert_true(d->answer[0].desirable && !d->answer[1].desirable);
    clora_dataset_free(d);
}

static void refuse(const char *text, clora_data_kind kind, const char *words) {
    clora_dataset *d = (clora_dataset *)1;

    assert_refused(load_kind(&d, text, kind, 512), CLORA_ERROR_FORMAT, words);
    assert_null(d);
}

static void test_refuses_a_row_that_is_not_whole(void **state) {
    (void)state;
    static const char good[] = "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}\n";
    char text[512];
    const struct {
        const char *row, *words;
    } bad[] = {{"{\"prompt\":\"a\",\"chosen\":\"b\"}", "data.jsonl: line 2: has no \"rejected\""},
               {"{\"prompt\":\"a\",\"completion\":\"b\",\"label\":true}", "line 2: has no \"chosen\""},
               {"{\"prompt\":\"a\",\"chosen\":\"\",\"rejected\":\"c\"}", "line 2: \"chosen\" is empty"},
               {"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"\"}", "line 2: \"rejected\" is empty"},
               {"{\"prompt\":\"a\",\"chosen\":7,\"rejected\":\"c\"}", "line 2: \"chosen\" must be a string"},
               {"{\"prompt\":\"a\",\"chosen\":\"\\u0000\",\"rejected\":\"c\"}", "line 2: \"chosen\" holds a NUL"}};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "%s%s\n", good, bad[i].row);
        refuse(text, CLORA_DATA_PREFERENCE, bad[i].words);
    }
}

static void test_a_preference_among_pairs_is_named(void **state) {
    (void)state;
    refuse("{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c\"}", CLORA_DATA_PAIRS,
           "line 1: a preference (\"chosen\"), no pair: train on it with --objective dpo");
}

static void test_refuses_an_unknown_label(void **state) {
    (void)state;
    refuse("{\"prompt\":\"a\",\"completion\":\"b\",\"label\":\"good\"}", CLORA_DATA_UNPAIRED_PREFERENCE,
           "line 1: \"label\" must be true");
    refuse("{\"prompt\":\"a\",\"completion\":\"b\",\"label\":1}", CLORA_DATA_UNPAIRED_PREFERENCE,
           "line 1: \"label\" must be true");
    refuse("{\"prompt\":\"a\",\"completion\":\"b\"}", CLORA_DATA_UNPAIRED_PREFERENCE, "line 1: has no \"label\"");
    refuse("{\"prompt\":\"a\",\"completion\":\"\",\"label\":true}", CLORA_DATA_UNPAIRED_PREFERENCE,
           "line 1: \"completion\" is empty");
}

static void test_refuses_other_files_and_kinds(void **state) {
    (void)state;
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_dataset *d = NULL;

    options.kind = CLORA_DATA_PREFERENCE;
    scratch_text("data.csv", "prompt,chosen,rejected\na,b,c\n");
    assert_refused(clora_dataset_load(&d, scratch_path("data.csv"), tokenizer, &options), CLORA_ERROR_ARGUMENT,
                   "are read from .jsonl");
    options.kind = (clora_data_kind)99;
    assert_refused(clora_dataset_load(&d, scratch_path("data.csv"), tokenizer, &options), CLORA_ERROR_ARGUMENT,
                   "no kind of data with number 99");
}

static void test_a_prompt_that_fills_the_length_drops_its_row(void **state) {
    (void)state;
    static const char rows[] = "{\"prompt\":\"One day the little dog ran to the park \",\"chosen\":\"b\","
                               "\"rejected\":\"c\"}\n"
                               "{\"prompt\":\"x\",\"chosen\":\"One day the little dog ran to the park\","
                               "\"rejected\":\"y\"}\n";
    clora_dataset *d = NULL;

    assert_ok(load_kind(&d, rows, CLORA_DATA_PREFERENCE, 5));
    const clora_dataset_stats *stats = clora_dataset_get_stats(d);
    assert_int_equal(stats->long_prompts, 1);
    assert_int_equal(stats->sequences, 2);
    assert_int_equal(stats->truncated_targets, 1);
    assert_int_equal(stats->longest, 5);
    clora_dataset_free(d);
    assert_refused(load_kind(&d, rows, CLORA_DATA_PREFERENCE, 2), CLORA_ERROR_FORMAT, "every prompt alone has 2 ids");
}

/* ---- Batches ---- */

/* Answer i to prompt p: ids 10 p, 10 p + 1, ... of the prompt, then 100 (p + 1) + 10 i, ... of the answer. */
static clora_dataset *counted(clora_data_kind kind, int prompts) {
    const int per = kind == CLORA_DATA_PREFERENCE ? 2 : 1;
    clora_dataset *d = NULL;
    size_t learnt;

    assert_ok(dataset_new(&d));
    d->kind = kind;
    for (int p = 0; p < prompts; p++)
        for (int i = 0; i < per; i++) {
            const int P = 1 + p % 3, n = 1 + (p + i) % 4;
            for (int32_t t = 0; t < P + n; t++) {
                const int32_t id = t < P ? 10 * p + t : 100 * (p + 1) + 10 * i + t - P;
                assert_ok(dataset_push(d, &id, t < P ? NULL : &id, 1));
            }
            assert_ok(dataset_mark_answer(d, (dataset_answer){P, per == 2 ? i == 0 : p % 2 == 0}));
            assert_ok(dataset_close_sequence(d, &learnt));
        }
    return d;
}

static answer_loader *make_loader(const clora_dataset *d, answer_loader_options options) {
    answer_loader *loader = NULL;

    assert_ok(answer_loader_create(&loader, d, &options));
    return loader;
}

/* The rows of an answer see the ids before them, in order, and nothing else. */
static void assert_sees_its_own(const clora_batch *rows, const batch_answer *a, const int32_t *ids) {
    for (int k = 0; k < a->answer.count; k++) {
        const int m = a->answer.begin + k, row = m / rows->T * rows->T, t = m - row;
        int seen = 0;
        for (int s = rows->first[m]; s <= t; s++) {
            if (rows->forked && t > rows->last[row + s])
                continue;
            assert_int_equal(rows->positions[row + s], seen);
            assert_int_equal(rows->ids[row + s], ids[seen++]);
        }
        assert_int_equal(seen, rows->positions[m] + 1);
    }
}

/* The rows of an answer predict its ids, and no other rows predict anything. */
static void assert_batch_is_sound(const answer_batch *batch, const clora_dataset *d, bool learn_prompts) {
    const clora_batch *rows = &batch->rows;
    size_t learnt = 0, targets = 0;

    for (size_t i = 0; i < batch->count; i++) {
        const batch_answer *a = &batch->answer[i];
        const int32_t *ids;
        const int n = clora_dataset_sequence(d, a->sequence, &ids, NULL), P = d->answer[a->sequence].prompt;
        assert_int_equal(a->answer.count, n - P);
        assert_int_equal(a->desirable, d->answer[a->sequence].desirable);
        for (int k = 0; k < a->answer.count; k++) {
            assert_int_equal(rows->targets[a->answer.begin + k], ids[P + k]);
            assert_int_equal(rows->ids[a->answer.begin + k], ids[P + k - 1]);
            assert_int_equal(rows->positions[a->answer.begin + k], P + k - 1);
        }
        assert_int_equal(a->prompt.count, P - 1);
        for (int k = 0; k < a->prompt.count; k++) {
            const int wanted = learn_prompts && (a->desirable || rows->forked) ? ids[k + 1] : -1;
            assert_int_equal(rows->ids[a->prompt.begin + k], ids[k]);
            assert_int_equal(rows->targets[a->prompt.begin + k], wanted);
        }
        assert_sees_its_own(rows, a, ids);
        learnt += (size_t)(a->answer.count + (learn_prompts && a->desirable ? a->prompt.count : 0));
    }
    for (int m = 0; m < rows->B * rows->T; m++)
        targets += rows->targets[m] >= 0;
    assert_int_equal(targets, learnt);
    assert_int_equal(rows->learnt, learnt);
}

static void test_an_epoch_has_every_prompt_once_with_both_answers(void **state) {
    (void)state;
    clora_dataset *d = counted(CLORA_DATA_PREFERENCE, 7);

    for (int learn_prompts = 0; learn_prompts < 2; learn_prompts++) {
        answer_loader *loader = make_loader(
            d, (answer_loader_options){.batch_size = 3, .shuffle = 1, .seed = 5, .learn_prompts = learn_prompts != 0});
        int seen[14] = {0};
        assert_int_equal(answer_loader_batches_per_epoch(loader), 3);
        for (int i = 0; i < 6; i++) { /* two epochs */
            const answer_batch *batch;
            answer_loader_peek(loader, &(answer_view){0}, &batch);
            answer_loader_advance(loader);
            assert_int_equal(batch->count, i % 3 == 2 ? 2 : 6);
            assert_int_equal(batch->rows.B, batch->count / 2); /* a prompt's answers share a row */
            assert_batch_is_sound(batch, d, learn_prompts != 0);
            for (size_t k = 0; k < batch->count; k += 2) {
                assert_int_equal(batch->answer[k].sequence + 1, batch->answer[k + 1].sequence);
                assert_true(batch->answer[k].desirable && !batch->answer[k + 1].desirable);
                seen[batch->answer[k].sequence]++;
                seen[batch->answer[k + 1].sequence]++;
            }
        }
        for (int k = 0; k < 14; k++)
            assert_int_equal(seen[k], 2);
        answer_loader_free(loader);
    }
    clora_dataset_free(d);
}

static void test_mismatched_prompts_have_the_answers_before_theirs(void **state) {
    (void)state;
    clora_dataset *d = counted(CLORA_DATA_UNPAIRED_PREFERENCE, 5);
    answer_loader *loader = make_loader(d, (answer_loader_options){.batch_size = 3, .mismatch = true});
    const answer_batch *batch;
    int B, T;

    answer_loader_shape(loader, &B, &T);
    assert_true(B == 3 && T == 3 + 4); /* the longest answer may follow the longest prompt */
    for (int round = 0; round < 2; round++) {
        const int from = 3 * round, n = round == 0 ? 3 : 2;
        answer_loader_peek(loader, &(answer_view){.mismatched = true}, &batch);
        assert_int_equal(batch->count, n);
        for (int i = 0; i < n; i++) {
            const int p = from + i, other = from + (i + n - 1) % n; /* whose answer it is */
            const batch_answer *a = &batch->answer[i];
            assert_int_equal(a->prompt.count, p % 3);
            assert_int_equal(batch->rows.ids[a->prompt.begin], 10 * p);
            assert_int_equal(a->answer.count, 1 + other % 4);
            assert_int_equal(batch->rows.targets[a->answer.begin], 100 * (other + 1));
        }
        answer_loader_peek(loader, &(answer_view){0}, &batch);
        answer_loader_advance(loader);
        assert_batch_is_sound(batch, d, false);
        assert_int_equal(batch->answer[0].sequence, from);
    }
    answer_loader_free(loader);
    clora_dataset_free(d);
}

static void test_a_learnt_prompt_stands_before_both_answers(void **state) {
    (void)state;
    enum { V = 2, FIRST = 5000 };
    clora_dataset *d = counted(CLORA_DATA_PREFERENCE, 2);
    answer_loader *loader = make_loader(
        d, (answer_loader_options){.batch_size = 2, .learn_prompts = true, .prompt = V, .prompt_id = FIRST});
    const answer_batch *batch;
    size_t tokens;

    answer_loader_peek(loader, &(answer_view){0}, &batch);
    tokens = batch->rows.tokens;
    answer_loader_peek(loader, &(answer_view){.prompt = V}, &batch);
    assert_int_equal(batch->rows.tokens, tokens);
    assert_int_equal(batch->rows.prompt, V);
    for (size_t i = 0; i < batch->count; i++) {
        const batch_answer *a = &batch->answer[i];
        const int row = (int)(i / 2) * batch->rows.T, P = d->answer[i].prompt;
        const int32_t *ids;
        clora_dataset_sequence(d, i, &ids, NULL);
        for (int t = 0; t < V; t++) {
            assert_int_equal(batch->rows.ids[row + t], FIRST + t);
            assert_int_equal(batch->rows.targets[row + t], t == V - 1 ? ids[0] : -1);
        }
        assert_int_equal(a->prompt.begin, row + V - 1);
        assert_int_equal(a->prompt.count, P); /* its first id too is predicted now */
        assert_int_equal(batch->rows.positions[a->answer.begin], V + P - 1);
        assert_int_equal(batch->rows.ids[a->answer.begin], ids[P - 1]);
        assert_int_equal(batch->rows.targets[a->answer.begin], ids[P]);
    }
    answer_loader_free(loader);
    clora_dataset_free(d);
}

static int load_tokenizer(void **state) {
    (void)state;
    return clora_tokenizer_load(&tokenizer, fixture_path("tokenizers/llama2")) != CLORA_OK;
}

static int free_tokenizer(void **state) {
    (void)state;
    clora_tokenizer_free(tokenizer);
    return 0;
}

#define SCRATCH_TEST(f) cmocka_unit_test_setup_teardown(f, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(test_prompts_and_answers_have_the_ids_of_trl),
        SCRATCH_TEST(test_messages_and_rows_without_a_prompt_have_the_ids_of_trl),
        SCRATCH_TEST(test_messages_that_are_no_preference_are_refused),
        SCRATCH_TEST(test_single_answers_keep_their_labels),
        SCRATCH_TEST(test_refuses_a_row_that_is_not_whole),
        SCRATCH_TEST(test_a_preference_among_pairs_is_named),
        SCRATCH_TEST(test_refuses_an_unknown_label),
        SCRATCH_TEST(test_refuses_other_files_and_kinds),
        SCRATCH_TEST(test_a_prompt_that_fills_the_length_drops_its_row),
        cmocka_unit_test(test_an_epoch_has_every_prompt_once_with_both_answers),
        cmocka_unit_test(test_a_learnt_prompt_stands_before_both_answers),
        cmocka_unit_test(test_mismatched_prompts_have_the_answers_before_theirs),
    };
    return cmocka_run_group_tests(tests, load_tokenizer, free_tokenizer);
}
