#ifndef CLORA_CHAT_CHAT_H
#define CLORA_CHAT_CHAT_H

#include <clora/chat.h>

#include "base/json.h"
#include "base/shared.h"
#include "template/template.h"

/* In the order of the data: a row of a file, the values of a template, text, ids and which of them are learnt. */
struct clora_chat {
    shared shared;        /* held by the program */
    template *templates;  /* the one for all conversations */
    template *with_tools; /* for those with tools; NULL: the same */
    json_t *tokens;       /* bos_token and the like, by name */
    uint64_t hash;        /* of the templates' sources */
    bool asks_for_time;   /* one of them does */
};

/* ---- Files (chat_files.c) ---- */

clora_status chat_read_template(clora_chat *chat, const char *model_directory, const char *file);
clora_status chat_read_tokens(clora_chat *chat, const char *model_directory);

/* ---- Conversations (conversation.c) ---- */

/* Does a row hold a conversation: "messages", or "conversations"? */
bool conversation_is_in(const json_t *row);

/* The values that a template gets of a row: messages as Hugging Face's trainers normalize them, tools, documents, and
 * what chat_template_kwargs names. The messages may also be lists as "prompt" and "completion": then *prompt is how
 * many the former has, and all after them is to be learnt; else it is 0, and the assistant's turns are. */
clora_status conversation_read(json_t **values, size_t *prompt, const json_t *row);

/* ---- Text (rendering.c) ---- */

/* What the texts of conversations depend on besides these: the templates, the tokens, and the day where it is asked
 * for. */
uint64_t chat_hash(const clora_chat *chat);

/* The first `count` messages as text. */
clora_status chat_render(template_result *out, const clora_chat *chat, json_t *values, size_t count, bool prompt);

/* ---- All of it (chat.c) ---- */

/* A row as text and ids, and where `learn`, which of them are learnt. */
/* After success the caller's to give to chat_text_finish(). */
clora_status chat_encode(clora_chat_text *out, const clora_chat *chat, const clora_tokenizer *tokenizer,
                         const json_t *row, const clora_chat_options *options);
void chat_text_finish(clora_chat_text *text);

/* ---- What is learnt (learnt.c, learnt_ids.c) ---- */

/* The text's ranges that are learnt, in order: an assistant's, or all after the first `prompt` messages. */
clora_status learnt_find(template_result *text, const clora_chat *chat, json_t *values, size_t prompt);

/* learnt[i] of the ids of a text: does id i hold any of a range? */
clora_status learnt_mark(unsigned char *learnt, const clora_tokenizer *tokenizer, const template_result *text,
                         const int32_t *ids, size_t count);

#endif
