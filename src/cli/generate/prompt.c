#include "cli/generate/prompt.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "cli/inputs/input.h"
#include "cli/inputs/jsonl.h"
#include "cli/inputs/row_template.h"
#include "cli/ui/text.h"

static prompt *next_item(prompt_list *list) {
    if (list->count == list->room) {
        const size_t room = list->room ? 2 * list->room : 16;
        prompt *larger = realloc(list->items, room * sizeof(*larger));
        if (!larger)
            return NULL;
        list->items = larger;
        list->room = room;
    }
    list->items[list->count] = (prompt){NULL, 0};
    return &list->items[list->count++];
}

static int put_bos(const cli_state *cli, const char *where, const clora_tokenizer *tokenizer, prompt *p) {
    const int32_t bos = clora_tokenizer_bos(tokenizer);

    if (bos < 0)
        return cli_fail(cli, "%sthe prompt is empty, and this model has no token that begins a text: give it words",
                        where);
    int32_t *larger = realloc(p->ids, (p->count + 1) * sizeof(*larger));
    if (!larger)
        return cli_fail(cli, "no memory for a prompt");
    memmove(larger + 1, larger, p->count * sizeof(*larger));
    larger[0] = bos;
    p->ids = larger;
    p->count++;
    return CLI_DONE;
}

/* The ids of a text as they are; bos: with the one that the model expects. */
static int add_text(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer, const char *where,
                    const char *text, size_t size, bool bos) {
    prompt *p = next_item(list);
    size_t dropped = 0;

    if (!p)
        return cli_fail(cli, "no memory for a prompt");
    if (clora_tokenizer_encode(tokenizer, text, size, 0, &p->ids, &p->count) != CLORA_OK)
        return cli_fail(cli, "%sthe prompt: %s", where, clora_last_error());
    const bool has_bos = p->count > 0 && p->ids[0] == clora_tokenizer_bos(tokenizer);
    list->own_bos += bos && has_bos;
    if ((bos && !has_bos) || p->count == 0) {
        const int status = put_bos(cli, where, tokenizer, p);
        if (status != CLI_DONE)
            return status;
    }
    if (clora_tokenizer_count_dropped(tokenizer, text, size, &dropped) == CLORA_OK && dropped > 0)
        cli_note(cli, "%s%s left out: the vocabulary has no token for them", where,
                 text_amount((int64_t)dropped, "character or byte is", "characters or bytes are"));
    if (p->count > list->longest)
        list->longest = p->count;
    return CLI_DONE;
}

int prompt_add(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer, const char *where,
               const char *text, size_t size) {
    return add_text(cli, list, tokenizer, where, text, size, clora_tokenizer_adds_bos(tokenizer));
}

int prompt_add_input(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer) {
    char *text = NULL;
    size_t size = 0;
    int status = input_read_standard(cli, &text, &size, "the prompt");

    /* echo and editors end a text with a line's end that nobody means */
    if (status == CLI_DONE && size > 0 && text[size - 1] == '\n')
        size--;
    if (status == CLI_DONE)
        status = prompt_add(cli, list, tokenizer, "", text, size);
    free(text);
    return status;
}

typedef struct jsonl_prompts {
    const cli_state *cli;
    prompt_list *list;
    const clora_tokenizer *tokenizer;
    const clora_chat *chat; /* of conversations */
} jsonl_prompts;

static int add_row(void *user, const char *where, const char *text, size_t size) {
    const jsonl_prompts *to = user;

    return prompt_add(to->cli, to->list, to->tokenizer, where, text, size);
}

/* A chat template writes all that stands before an answer, a bos too. */
static int add_templated(void *user, const char *where, const char *text, size_t size) {
    const jsonl_prompts *to = user;

    return add_text(to->cli, to->list, to->tokenizer, where, text, size, false);
}

static int need_rows(const jsonl_prompts *to, const char *path, int status) {
    if (status == CLI_DONE && to->list->count == 0)
        return cli_fail(to->cli, "%s holds no rows", strcmp(path, "-") == 0 ? "standard input" : path);
    return status;
}

int prompt_add_rows(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer, const char *path,
                    const prompt_rows *rows) {
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    jsonl_prompts to = {cli, list, tokenizer, NULL};
    row_template template;

    if (row_template_load(&template, cli, rows->model, rows->template) != CLI_DONE)
        return CLI_FAILED;
    options.keys = rows->keys;
    options.pair_template = template.pair;
    options.chat = template.chat;
    const jsonl_row add = template.pair == CLORA_PAIR_CHAT ? add_templated : add_row;
    const int status = need_rows(&to, path, jsonl_read_prompts(cli, path, &options, add, &to));
    row_template_finish(&template);
    return status;
}

/* ---- Conversations ---- */

static int add_chat(void *user, const char *where, const char *row, size_t size) {
    const jsonl_prompts *to = user;
    clora_chat_options options = CLORA_CHAT_OPTIONS_INIT;
    prompt *p = next_item(to->list);
    clora_chat_text *text;

    options.generation_prompt = 1;
    options.learn = 0;
    if (!p)
        return cli_fail(to->cli, "no memory for a prompt");
    if (clora_chat_encode(&text, to->chat, to->tokenizer, row, size, &options) != CLORA_OK)
        return cli_fail(to->cli, "%s%s", where, clora_last_error());
    p->ids = text->ids;
    p->count = text->count;
    text->ids = NULL;
    clora_chat_text_free(text);
    if (p->count == 0)
        return cli_fail(to->cli, "%sthe template makes an empty text of the conversation", where);
    if (p->count > to->list->longest)
        to->list->longest = p->count;
    return CLI_DONE;
}

int prompt_add_message(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer,
                       const clora_chat *chat, const char *text) {
    jsonl_prompts to = {cli, list, tokenizer, chat};
    json_t *row = json_pack("{s:[{s:s, s:s}]}", "messages", "role", "user", "content", text);
    char *shown = row ? json_dumps(row, JSON_COMPACT) : NULL;
    const int status = shown ? add_chat(&to, "", shown, strlen(shown)) : cli_fail(cli, "the prompt is not UTF-8");

    free(shown);
    json_decref(row);
    return status;
}

int prompt_add_chats(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer, const clora_chat *chat,
                     const char *path) {
    jsonl_prompts to = {cli, list, tokenizer, chat};

    return need_rows(&to, path, jsonl_read_rows(cli, path, add_chat, &to));
}

void prompt_list_finish(prompt_list *list) {
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].ids);
    free(list->items);
    *list = (prompt_list){.items = NULL};
}
