#ifndef CLORA_CHAT_TOKEN_PLACES_H
#define CLORA_CHAT_TOKEN_PLACES_H

#include "chat/chat.h"

/* Bytes of a text that each of its ids stands for, in order; *known is false where the tokenizer changes the text too
 * much to tell. */
clora_status token_places(template_range *places, bool *known, const clora_tokenizer *tokenizer,
                          const template_result *text, const int32_t *ids, size_t count);

#endif
