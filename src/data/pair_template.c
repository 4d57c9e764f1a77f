#include "data/pair_template.h"

#include <string.h>

#include <jansson.h>

#include "chat/chat.h"
#include "data/chat_rows.h"

static clora_status put(text_buffer *out, dataset_text text) {
    return text_append(out, text.data, text.size);
}

static clora_status put_string(text_buffer *out, const char *text) {
    return text_append(out, text, strlen(text));
}

/* What the prompt is about follows it on a line of its own. */
static clora_status write_plain(text_buffer *out, const pair_text *pair) {
    clora_status status = CLORA_OK;

    TRY(put(out, pair->prompt));
    if (pair->more.size > 0)
        TRY(put_string(out, "\n"));
    TRY(put(out, pair->more));
done:
    return status;
}

/* As the "text" of Stanford Alpaca's data has it. */
static clora_status write_alpaca(text_buffer *out, const pair_text *pair) {
    clora_status status = CLORA_OK;

    TRY(put_string(out, "Below is an instruction that describes a task"));
    if (pair->more.size > 0)
        TRY(put_string(out, ", paired with an input that provides further context"));
    TRY(put_string(out, ". Write a response that appropriately completes the request.\n\n### Instruction:\n"));
    TRY(put(out, pair->prompt));
    if (pair->more.size > 0)
        TRY(put_string(out, "\n\n### Input:\n"));
    TRY(put(out, pair->more));
    TRY(put_string(out, "\n\n### Response:\n"));
done:
    return status;
}

static clora_status write_prompt(text_buffer *out, clora_pair_template template, const pair_text *pair) {
    return template == CLORA_PAIR_ALPACA ? write_alpaca(out, pair) : write_plain(out, pair);
}

/* ---- By a chat template ---- */

static clora_status need_chat(const dataset_builder *builder) {
    return builder->options.chat ? CLORA_OK
                                 : clora_fail(CLORA_ERROR_ARGUMENT,
                                              "%s: pairs become text by a chat template, and "
                                              "there is none",
                                              builder->path);
}

/* What a user says; and what the assistant answers, unless that is NULL. */
static clora_status make_conversation(json_t **out, const dataset_builder *builder, const pair_text *pair,
                                      const dataset_text *answer) {
    clora_status status = CLORA_OK;
    text_buffer said = {0};

    TRY(write_plain(&said, pair));
    *out = json_pack("{s:[{s:s, s:s%}]}", "prompt", "role", "user", "content", said.data ? said.data : "", said.size);
    if (!*out || (answer && json_object_set_new(*out, "completion",
                                                json_pack("[{s:s, s:s%}]", "role", "assistant", "content", answer->data,
                                                          answer->size)) < 0))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a row of %s", builder->path));
done:
    text_finish(&said);
    return status;
}

static clora_status add_answered(dataset_builder *builder, const pair_text *pair, size_t line) {
    clora_status status = CLORA_OK;
    json_t *row = NULL;

    TRY(need_chat(builder));
    TRY(make_conversation(&row, builder, pair, &pair->completion));
    TRY(dataset_add_chat(builder, row, line));
done:
    json_decref(row);
    return status;
}

static clora_status write_question(text_buffer *out, const dataset_builder *builder, const pair_text *pair) {
    clora_chat_options options = CLORA_CHAT_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    clora_chat_text text = {0};
    json_t *row = NULL;

    options.generation_prompt = 1;
    TRY(need_chat(builder));
    TRY(make_conversation(&row, builder, pair, NULL));
    TRY(chat_encode(&text, builder->options.chat, NULL, row, &options));
    TRY(text_append(out, text.text, text.size));
done:
    chat_text_finish(&text);
    json_decref(row);
    return status;
}

/* ---- Pairs ---- */

clora_status pair_write_prompt(text_buffer *out, const dataset_builder *builder, const pair_text *pair) {
    return builder->options.pair_template == CLORA_PAIR_CHAT ? write_question(out, builder, pair)
                                                             : write_prompt(out, builder->options.pair_template, pair);
}

clora_status pair_add(dataset_builder *builder, const pair_text *pair, size_t line) {
    clora_status status = CLORA_OK;
    text_buffer prompt = {0};

    /* without a tokenizer there is no template either: what is said counts */
    if (builder->options.pair_template == CLORA_PAIR_CHAT && !builder->tally)
        return add_answered(builder, pair, line);
    TRY(write_prompt(&prompt, builder->options.pair_template, pair));
    TRY(dataset_add_pair(builder, (dataset_text){prompt.data ? prompt.data : "", prompt.size}, pair->completion, line));
done:
    text_finish(&prompt);
    return status;
}

clora_status pair_add_text(dataset_builder *builder, dataset_text text, size_t line) {
    if (builder->options.pair_template != CLORA_PAIR_PLAIN)
        return dataset_refuse_text(builder, line);
    return dataset_add_pair(builder, (dataset_text){"", 0}, text, line);
}
