#include "cli/inputs/row_template.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is(const char *name, const char *word) {
    return name && strcmp(name, word) == 0;
}

int row_template_load(row_template *out, const cli_state *cli, const char *model, const char *name) {
    const bool chats = name && !is(name, "none") && !is(name, "alpaca");

    *out = (row_template){is(name, "alpaca") ? CLORA_PAIR_ALPACA
                          : chats            ? CLORA_PAIR_CHAT
                                             : CLORA_PAIR_PLAIN,
                          NULL, ""};
    if (!model || (name && !chats) || clora_chat_load(&out->chat, model, name) == CLORA_OK)
        return CLI_DONE;
    if (name)
        return cli_fail_library(cli);
    /* a model without a template is fine as long as there are no conversations */
    snprintf(out->why, sizeof(out->why), "%s", clora_last_error());
    return CLI_DONE;
}

void row_template_finish(row_template *t) {
    clora_chat_free(t->chat);
    t->chat = NULL;
}

void row_template_note(const cli_state *cli, const char *name, const char *model, const clora_tokenizer *tokenizer) {
    static const char mark[] = "<|im_start|>";
    int32_t *ids = NULL;
    size_t count = 0;

    if (!is(name, CLORA_CHAT_CHATML))
        return;
    if (clora_tokenizer_encode(tokenizer, mark, sizeof(mark) - 1, 0, &ids, &count) == CLORA_OK && count > 1)
        cli_note(cli, "%s: its vocabulary has no token for %s: ChatML's marks are spelt in pieces", model, mark);
    free(ids);
}
