#include "chat/chat.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/options.h"

static void destroy(shared *object) {
    clora_chat *chat = (clora_chat *)object;

    template_free(chat->templates);
    template_free(chat->with_tools);
    json_decref(chat->tokens);
    free(chat);
}

clora_status clora_chat_load(clora_chat **out, const char *model_directory, const char *file) {
    clora_status status = CLORA_OK;
    clora_chat *chat = NULL;

    NEED(out);
    *out = NULL;
    NEED(model_directory);
    chat = calloc(1, sizeof(*chat));
    if (!chat)
        return clora_keep_cause(clora_fail(CLORA_ERROR_MEMORY, "no memory for a chat template"));
    shared_init(&chat->shared, destroy);
    TRY(chat_read_template(chat, model_directory, file));
    TRY(chat_read_tokens(chat, model_directory));
    *out = chat;
    chat = NULL;
done:
    clora_chat_free(chat);
    return clora_keep_cause(status);
}

void clora_chat_free(clora_chat *chat) {
    if (chat)
        shared_let_go(&chat->shared);
}

static clora_status mark_learnt(clora_chat_text *out, const clora_chat *chat, const clora_tokenizer *tokenizer,
                                template_result *text, json_t *values, size_t prompt) {
    clora_status status = CLORA_OK;

    out->target = alloc_array(out->count + 1, 1);
    if (!out->target)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a conversation"));
    TRY(learnt_find(text, chat, values, prompt));
    TRY(learnt_mark(out->target, tokenizer, text, out->ids, out->count));
done:
    return status;
}

clora_status chat_encode(clora_chat_text *out, const clora_chat *chat, const clora_tokenizer *tokenizer,
                         const json_t *row, const clora_chat_options *options) {
    const bool asks = options->generation_prompt != 0;
    template_result text = {0};
    clora_status status = CLORA_OK;
    json_t *values = NULL;
    size_t prompt;

    *out = (clora_chat_text){0};
    TRY(conversation_read(&values, &prompt, row));
    TRY(chat_render(&text, chat, values, asks && prompt > 0 ? prompt : SIZE_MAX, asks));
    if (tokenizer)
        TRY(clora_tokenizer_encode(tokenizer, text.text, text.size, 0, &out->ids, &out->count));
    if (tokenizer && options->learn)
        TRY(mark_learnt(out, chat, tokenizer, &text, values, prompt));
    out->text = text.text;
    out->size = text.size;
    text.text = NULL;
done:
    if (status != CLORA_OK)
        chat_text_finish(out);
    template_result_finish(&text);
    json_decref(values);
    return status;
}

clora_status clora_chat_encode(clora_chat_text **out, const clora_chat *chat, const clora_tokenizer *tokenizer,
                               const char *row, size_t size, const clora_chat_options *options) {
    clora_chat_options use = CLORA_CHAT_OPTIONS_INIT;
    clora_chat_text *text = NULL;
    clora_status status = CLORA_OK;
    json_t *object = NULL;

    NEED(out);
    *out = NULL;
    NEED(chat);
    NEED(row);
    TRY(OPTIONS_TAKE(use, options));
    TRY(json_load_bytes(&object, row, size, "the conversation"));
    text = calloc(1, sizeof(*text));
    if (!text)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a conversation"));
    TRY(chat_encode(text, chat, tokenizer, object, &use));
    *out = text;
    text = NULL;
done:
    free(text);
    json_decref(object);
    return status;
}

void chat_text_finish(clora_chat_text *text) {
    free(text->text);
    free(text->ids);
    free(text->target);
    *text = (clora_chat_text){0};
}

void clora_chat_text_free(clora_chat_text *text) {
    if (!text)
        return;
    chat_text_finish(text);
    free(text);
}
