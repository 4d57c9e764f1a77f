/*
 * Render what check_templates.py compares with transformers: template_exchange MODEL TEMPLATE < ROWS
 *
 * Each line of standard input is a conversation and makes a line of JSON: {"text": ...}, or {"error": ...}. A row with
 * "generation_prompt" true ends with what begins an answer; one with "learn" true gets {"text", "ids", "target"}.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include <clora/chat.h>

static json_t *describe(const clora_chat_text *text) {
    json_t *ids = json_array(), *target = json_array();

    for (size_t i = 0; text->target && i < text->count; i++) {
        json_array_append_new(ids, json_integer(text->ids[i]));
        json_array_append_new(target, json_integer(text->target[i]));
    }
    return json_pack("{s:o, s:o, s:o}", "text", json_stringn(text->text, text->size), "ids", ids, "target", target);
}

static json_t *exchange(const clora_chat *chat, const clora_tokenizer *tokenizer, const char *line, size_t size) {
    clora_chat_options options = CLORA_CHAT_OPTIONS_INIT;
    json_t *row = json_loadb(line, size, 0, NULL);
    clora_chat_text *text = NULL;

    options.generation_prompt = json_is_true(json_object_get(row, "generation_prompt"));
    options.learn = json_is_true(json_object_get(row, "learn"));
    json_decref(row);
    const clora_status status = clora_chat_encode(&text, chat, options.learn ? tokenizer : NULL, line, size, &options);
    json_t *answer = status == CLORA_OK ? describe(text) : json_pack("{s:s}", "error", clora_last_error());
    clora_chat_text_free(text);
    return answer;
}

static void print(json_t *answer) {
    char *shown = json_dumps(answer, JSON_COMPACT);

    puts(shown);
    free(shown);
    json_decref(answer);
}

int main(int argc, char **argv) {
    clora_tokenizer *tokenizer = NULL;
    clora_chat *chat = NULL;
    char *line = NULL;
    size_t room = 0;

    if (argc != 3 || clora_tokenizer_load(&tokenizer, argv[1]) != CLORA_OK ||
        clora_chat_load(&chat, argv[1], argv[2]) != CLORA_OK) {
        print(json_pack("{s:s}", "error", argc == 3 ? clora_last_error() : "template_exchange MODEL TEMPLATE"));
        return 1;
    }
    for (ssize_t size; (size = getline(&line, &room, stdin)) > 0;)
        print(exchange(chat, tokenizer, line, (size_t)size));
    free(line);
    clora_chat_free(chat);
    clora_tokenizer_free(tokenizer);
    return 0;
}
