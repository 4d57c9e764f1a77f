#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/dataset.h>

#include "support/scratch.h"

/* A letter is a token, "ab" is one too, and </s> is added. */
#define TOKENIZER(more)                                                                                        \
    "{" more "\"added_tokens\":[{\"id\":7,\"content\":\"</s>\",\"single_word\":false,\"lstrip\":false,"        \
    "\"rstrip\":false,\"normalized\":false,\"special\":true}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0," \
    "\"b\":1,\"u\":2,\":\":3,\"\\n\":4,\"!\":5,\"ab\":6,\"</s>\":7,\"t\":8},\"merges\":[[\"a\",\"b\"]]}}"

#define PLAIN                                                           \
    "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}{{ '\\n' }}" \
    "{% endfor %}{% if add_generation_prompt %}a:{% endif %}"

static const char TALK[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"b\"}, "
                           "{\"role\": \"assistant\", \"content\": \"ab\"}, {\"role\": \"user\", \"content\": \"bb\"}, "
                           "{\"role\": \"assistant\", \"content\": \"a\"}]}";

typedef struct talker {
    clora_chat *chat;
    clora_tokenizer *tokenizer;
    clora_chat_text *text; /* NULL after a failure */
    clora_status status;
    char learnt[256]; /* a 0 or 1 for each id */
} talker;

static void load_tokenizer(talker *t, const char *json) {
    scratch_text("tokenizer.json", json);
    scratch_text("tokenizer_config.json", "{\"eos_token\": {\"content\": \"</s>\"}}");
    assert_ok(clora_tokenizer_load(&t->tokenizer, scratch_path("")));
}

/* By this template, a row; what it gives is in the talker until quiet(). */
static void talk(talker *t, const char *source, const char *row, int prompt) {
    clora_chat_options options = CLORA_CHAT_OPTIONS_INIT;

    options.generation_prompt = prompt;
    if (!t->tokenizer)
        load_tokenizer(t, TOKENIZER(""));
    scratch_text("own.jinja", source);
    assert_ok(clora_chat_load(&t->chat, scratch_path(""), scratch_path("own.jinja")));
    t->status = clora_chat_encode(&t->text, t->chat, t->tokenizer, row, strlen(row), &options);
    for (size_t i = 0; t->text && i < t->text->count; i++)
        t->learnt[i] = (char)('0' + t->text->target[i]);
    t->learnt[t->text ? t->text->count : 0] = '\0';
}

static void quiet(talker *t) {
    clora_chat_text_free(t->text);
    clora_chat_free(t->chat);
    clora_tokenizer_free(t->tokenizer);
    *t = (talker){0};
}

static void assert_learnt(const char *source, const char *row, const char *text, const char *learnt) {
    talker t = {0};

    talk(&t, source, row, 0);
    assert_ok(t.status);
    assert_string_equal(t.text->text, text);
    if (learnt)
        assert_string_equal(t.learnt, learnt);
    quiet(&t);
}

static void assert_not_talked(const char *source, const char *row, const char *words) {
    talker t = {0};

    talk(&t, source, row, 0);
    assert_int_not_equal(t.status, CLORA_OK);
    assert_refused(t.status, t.status, words);
    quiet(&t);
}

static void test_answers_are_found_without_marks(void **state) {
    (void)state;
    assert_learnt(PLAIN, TALK, "u:b\na:ab\nu:bb\na:a\n",
                  "00000011"
                  "00000"
                  "0011");
}

static void test_marks_go_before_what_is_found(void **state) {
    (void)state;
    assert_learnt("{% for m in messages %}{{ m.role[0] }}:{% if loop.last %}{% generation %}{{ m.content }}"
                  "{% endgeneration %}!{% else %}{{ m.content }}{% endif %}{% endfor %}",
                  TALK, "u:ba:abu:bba:a!",
                  "0000000000001"
                  "0");
}

static void test_a_token_that_holds_any_of_an_answer_is_learnt(void **state) {
    (void)state;
    assert_learnt("{% for m in messages %}{{ m.content }}{% endfor %}", TALK, "babbba", "01001");
    assert_learnt("{% for m in messages %}{{ m.content }}{% endfor %}",
                  "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}, {\"role\": \"assistant\", \"content\": "
                  "\"b\"}]}",
                  "ab", "1");
}

static void test_an_end_that_the_last_turn_alone_has_is_its_own(void **state) {
    (void)state;
    assert_learnt(PLAIN
                  "{% if not add_generation_prompt and messages[-1].role == 'assistant' %}{{ eos_token }}{% endif %}",
                  TALK, "u:b\na:ab\nu:bb\na:a\n</s>",
                  "00000011"
                  "00000"
                  "00111");
}

static void test_what_is_uncertain_is_an_error(void **state) {
    (void)state;
    assert_not_talked("{% for m in messages %}{{ m.role[0] }}:{{ m.content if loop.last else '!' }}{% endfor %}"
                      "{% if add_generation_prompt %}a:{% endif %}",
                      TALK, "message 2: what the assistant says here is uncertain");
    assert_not_talked("{% for m in messages %}{{ loop.length }}{% endfor %}", TALK, "{% generation %}");
}

static void test_rows_come_in_several_forms(void **state) {
    (void)state;
    assert_learnt(
        PLAIN, "{\"conversations\": [{\"from\": \"human\", \"value\": \"b\"}, {\"from\": \"gpt\", \"value\": \"a\"}]}",
        "u:b\na:a\n", "00000011");
    assert_learnt("{{ tools is none }}{{ documents is none }}{{ messages[0] }}{{ x }}",
                  "{\"messages\": [{\"role\": \"u\", \"content\": null, \"reasoning\": \"t\"}], \"tools\": null, "
                  "\"chat_template_kwargs\": {\"x\": 1}}",
                  "TrueTrue{'thinking': 't', 'role': 'u', 'reasoning': 't', 'reasoning_content': 't'}1", NULL);
    assert_learnt("{{ tools[0].name }}",
                  "{\"messages\": [{\"role\": \"u\"}], \"tools\": \"[{\\\"name\\\": \\\"ab\\\"}]\"}", "ab", "0");
}

static void test_wrong_rows_are_named(void **state) {
    (void)state;
    assert_not_talked(PLAIN, "{\"text\": \"a\"}", "needs \"messages\"");
    assert_not_talked(PLAIN, "{\"messages\": []}", "\"messages\" is not a list of messages, or is an empty one");
    assert_not_talked(PLAIN, "{\"messages\": [1]}", "message 1 is not an object");
    assert_not_talked(PLAIN, "{\"messages\": [{\"content\": \"a\"}]}", "message 1 has no \"role\"");
    assert_not_talked(PLAIN, "{\"messages\": [{\"role\": \"u\"}], \"tools\": {}}", "\"tools\" is not a list");
    assert_not_talked(PLAIN, "{\"messages\": [{\"role\": \"u\"}], \"chat_template_kwargs\": 1}", "is not an object");
    assert_not_talked("{{ raise_exception('no') }}", TALK,
                      "own.jinja: line 1: the template refuses the conversation: no");
}

static void test_a_prompt_ends_with_what_begins_an_answer(void **state) {
    talker t = {0};
    (void)state;

    talk(&t, PLAIN, "{\"messages\": [{\"role\": \"user\", \"content\": \"b\"}]}", 1);
    assert_ok(t.status);
    assert_string_equal(t.text->text, "u:b\na:");
    quiet(&t);
}

static void test_a_tokenizer_may_change_the_text(void **state) {
    talker t = {0};
    (void)state;

    load_tokenizer(&t, TOKENIZER("\"normalizer\":{\"type\":\"Lowercase\"},"));
    talk(&t,
         "{% for m in messages %}{{ m.role[0] | upper }}:{{ m.content | upper }}{{ '\\n' }}"
         "{% endfor %}{% if add_generation_prompt %}A:{% endif %}",
         TALK, 0);
    assert_ok(t.status);
    assert_string_equal(t.text->text, "U:B\nA:AB\nU:BB\nA:A\n");
    assert_string_equal(t.learnt, "00000011"
                                  "00000"
                                  "0011");
    quiet(&t);
}

/* ---- Where templates come from ---- */

static void assert_own(const char *config, const char *row, const char *text) {
    talker t = {0};

    load_tokenizer(&t, TOKENIZER(""));
    scratch_text("tokenizer_config.json", config);
    assert_ok(clora_chat_load(&t.chat, scratch_path(""), NULL));
    assert_ok(clora_chat_encode(&t.text, t.chat, NULL, row, strlen(row), NULL));
    assert_string_equal(t.text->text, text);
    assert_null(t.text->ids);
    quiet(&t);
}

static void test_a_models_own_template_is_found(void **state) {
    static const char tools[] = "{\"messages\": [{\"role\": \"u\"}], \"tools\": [1]}";
    clora_chat *chat = NULL;
    (void)state;

    assert_own("{\"chat_template\": \"{{ bos_token }}!\", \"bos_token\": \"b\"}", TALK, "b!");
    assert_own("{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"}, "
               "{\"name\": \"default\", \"template\": \"d\"}]}",
               TALK, "d");
    assert_own("{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"t\"}, "
               "{\"name\": \"default\", \"template\": \"d\"}]}",
               tools, "t");
    scratch_text("chat_template.jinja", "file");
    assert_own("{\"chat_template\": \"config\"}", TALK, "file");
    remove(scratch_path("chat_template.jinja"));
    scratch_text("tokenizer_config.json", "{}");
    assert_refused(clora_chat_load(&chat, scratch_path(""), NULL), CLORA_ERROR_NOT_FOUND, "has no chat template");
    scratch_text("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"x\", \"template\": \"t\"}]}");
    assert_refused(clora_chat_load(&chat, scratch_path(""), NULL), CLORA_ERROR_NOT_FOUND, "named \"default\"");
    scratch_text("tokenizer_config.json", "{\"chat_template\": 1}");
    assert_refused(clora_chat_load(&chat, scratch_path(""), NULL), CLORA_ERROR_FORMAT, "must be a text or a list");
}

/* ---- Data files ---- */

static void test_conversations_become_sequences(void **state) {
    static const int32_t all[] = {2, 3, 1, 4, 0, 3, 6, 4, 2, 3}, learnt[] = {-1, -1, -1, -1, -1, -1, 6, 4, -1, -1};
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    const int32_t *ids = NULL, *labels = NULL;
    clora_dataset *d = NULL;
    talker t = {0};
    (void)state;

    talk(&t, PLAIN, TALK, 0);
    scratch_text("d.jsonl", TALK);
    options.max_length = 10;
    assert_refused(clora_dataset_load(&d, scratch_path("d.jsonl"), t.tokenizer, &options), CLORA_ERROR_UNSUPPORTED,
                   "line 1: chat messages");
    options.chat = t.chat;
    assert_ok(clora_dataset_load(&d, scratch_path("d.jsonl"), t.tokenizer, &options));
    assert_int_equal(clora_dataset_sequence(d, 0, &ids, &labels), 10);
    assert_memory_equal(ids, all, sizeof(all));
    assert_memory_equal(labels, learnt, sizeof(learnt));
    assert_int_equal(clora_dataset_get_stats(d)->truncated_targets, 1);
    clora_dataset_free(d);
    options.learn_context = 1;
    assert_ok(clora_dataset_load(&d, scratch_path("d.jsonl"), t.tokenizer, &options));
    assert_int_equal(clora_dataset_get_stats(d)->target_tokens, 9);
    clora_dataset_free(d);
    quiet(&t);
}

#define T(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_answers_are_found_without_marks),
        T(test_marks_go_before_what_is_found),
        T(test_a_token_that_holds_any_of_an_answer_is_learnt),
        T(test_an_end_that_the_last_turn_alone_has_is_its_own),
        T(test_what_is_uncertain_is_an_error),
        T(test_rows_come_in_several_forms),
        T(test_wrong_rows_are_named),
        T(test_a_prompt_ends_with_what_begins_an_answer),
        T(test_a_tokenizer_may_change_the_text),
        T(test_a_models_own_template_is_found),
        T(test_conversations_become_sequences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
