/**
 * @file clora/chat.h
 * @brief Tier 3: conversations as text and ids, by a model's own chat template.
 *
 * Templates are those of Hugging Face models: the part of Jinja that they use, with the output of transformers'
 * apply_chat_template() to the byte. A template comes from whoever made the model: what it may take of time, memory and
 * depth is bounded, and what clora does not support of it is an error that names it and its line.
 */
#ifndef CLORA_CHAT_H
#define CLORA_CHAT_H

#include <stddef.h>
#include <stdint.h>

#include <clora/status.h>
#include <clora/tokenizer.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * @addtogroup tier3
 * @{
 */

/** A chat template with what it needs of a model. Immutable; shareable between threads. */
typedef struct clora_chat clora_chat;

/** What is made of a conversation. */
typedef struct clora_chat_options {
    size_t size;           /**< of this struct, as the caller knows it */
    int generation_prompt; /**< 1: the text ends with what begins an assistant's turn (default 0) */
    int learn;             /**< 1: say which ids are an assistant's (default 1) */
} clora_chat_options;

/** In place of a template's file: ChatML, in which each turn is <|im_start|>ROLE, a line's end, CONTENT<|im_end|>. */
#define CLORA_CHAT_CHATML "chatml"

/** The defaults of clora_chat_options. */
#define CLORA_CHAT_OPTIONS_INIT \
    { sizeof(clora_chat_options), 0, 1 }

/** A conversation as text and as ids. Free with clora_chat_text_free(). */
typedef struct clora_chat_text {
    char *text;            /**< (size)  UTF-8, zero-terminated besides */
    size_t size;           /**< bytes of text */
    int32_t *ids;          /**< (count)  NULL without a tokenizer */
    unsigned char *target; /**< (count)  1 where the id is an assistant's; NULL where that was not asked for */
    size_t count;          /**< number of ids */
} clora_chat_text;

/**
 * Read a model's chat template: chat_template.jinja, else "chat_template" of tokenizer_config.json. Of a list of named
 * ones "default" is taken, and "tool_use" for conversations with tools. The special tokens that templates name come
 * from tokenizer_config.json and special_tokens_map.json.
 *
 * @param[out] out              yours to free with clora_chat_free()
 * @param[in]  model_directory  a Hugging Face model directory
 * @param[in]  file             a template to use instead of the model's, or CLORA_CHAT_CHATML; NULL: the model's
 *
 * @return CLORA_OK; CLORA_ERROR_NOT_FOUND where the model has no template, CLORA_ERROR_FORMAT for a wrong one,
 * CLORA_ERROR_UNSUPPORTED for one that needs what clora does not have (the message names line and feature)
 */
CLORA_API clora_status clora_chat_load(clora_chat **out, const char *model_directory, const char *file);

/**
 * Free a template.
 *
 * @param[in] chat  NULL is allowed
 */
CLORA_API void clora_chat_free(clora_chat *chat);

/**
 * A conversation as text and ids. Any thread.
 *
 * A row is an object with "messages", a list of objects with "role" and "content"; or with "conversations", a list of
 * objects with "from" ("human", "gpt", "system", "tool") and "value"; or with "prompt" and "completion", both lists of
 * the former. It may have "tools", "documents", and, as "chat_template_kwargs", more values for the template.
 *
 * The answers of the assistant are what the template marks with {% generation %}; in a template without such marks,
 * what it adds for an answer to the text that asks for it. Where the text before an answer, or the answer itself, is
 * another in the whole conversation (some templates leave out earlier thoughts), that is an error. Of "prompt" and
 * "completion" what the template adds for the latter is the target, all of it; with a generation prompt it is left out.
 *
 * @param[out] out        yours to free with clora_chat_text_free()
 * @param[in]  chat       the template
 * @param[in]  tokenizer  NULL: text alone
 * @param[in]  row        (size)  a JSON object
 * @param[in]  size       bytes of row
 * @param[in]  options    NULL for the defaults
 *
 * @return CLORA_OK; CLORA_ERROR_FORMAT for a row that is no conversation or that the template refuses,
 * CLORA_ERROR_UNSUPPORTED where it cannot be told what is the assistant's
 */
CLORA_API clora_status clora_chat_encode(clora_chat_text **out, const clora_chat *chat,
                                         const clora_tokenizer *tokenizer, const char *row, size_t size,
                                         const clora_chat_options *options);

/**
 * Free the text of a conversation.
 *
 * @param[in] text  NULL is allowed
 */
CLORA_API void clora_chat_text_free(clora_chat_text *text);

/** @} */

#ifdef __cplusplus
}
#endif
#endif
