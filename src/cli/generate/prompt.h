#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include <stdint.h>

#include <clora/chat.h>
#include <clora/dataset.h>
#include <clora/tokenizer.h>

#include "cli/cli.h"

/* Token ids to continue. */
typedef struct prompt {
    int32_t *ids;
    size_t count;
} prompt;

typedef struct prompt_list {
    prompt *items;
    size_t count, room;
    size_t longest;  /* tokens */
    int64_t own_bos; /* prompts that begin with the bos as they are: none was added */
} prompt_list;

/* Encode with the bos that the model expects and add; `where` begins messages. Returns CLI_DONE or
 * CLI_FAILED. */
int prompt_add(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer, const char *where,
               const char *text, size_t size);

/* All of standard input as one prompt, without its last line's end. */
int prompt_add_input(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer);

/* How rows become prompts, as training has them with these options. */
typedef struct prompt_rows {
    const char *model, *template, *keys;
} prompt_rows;

/* The prompt of every row of a JSON file. */
int prompt_add_rows(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer, const char *path,
                    const prompt_rows *rows);

/* A message to the assistant, and every conversation of a JSONL file: as the chat template asks for an answer. */
int prompt_add_message(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer,
                       const clora_chat *chat, const char *text);
int prompt_add_chats(const cli_state *cli, prompt_list *list, const clora_tokenizer *tokenizer, const clora_chat *chat,
                     const char *path);

void prompt_list_finish(prompt_list *list);

#endif
