#include "chat/token_places.h"

#include <string.h>

#include "base/utf8.h"
#include "tokenizer/bytes.h"
#include "tokenizer/tokenizer.h"

/* The bytes that a token of the vocabulary stands for, into *out. */
static clora_status write_token(text_buffer *out, const clora_tokenizer *t, int32_t id) {
    const token_text token = t->tokens[id];
    const bool bytes = pretokenizer_maps_bytes(t->pretokenizer);
    const int32_t *byte_ids = token_model_bytes(&t->model);
    clora_status status = CLORA_OK;

    out->size = 0;
    for (int byte = 0; byte_ids && byte < 256; byte++)
        if (byte_ids[byte] == id)
            return text_append(out, (char[]){(char)byte}, 1);
    for (size_t at = 0; at < token.size;) {
        uint32_t c;
        at += utf8_decode(token.text + at, &c);
        const int byte = bytes ? byte_of_character(c) : -1;
        if (byte >= 0)
            TRY(text_append(out, (char[]){(char)byte}, 1));
        else
            TRY(text_append_char(out, c == 0x2581 && !bytes ? ' ' : c)); /* SentencePiece's blank */
    }
done:
    return status;
}

static const added_token *find_added(const clora_tokenizer *t, int32_t id) {
    for (size_t i = 0; i < t->added.count; i++)
        if (t->added.tokens[i].id == id)
            return &t->added.tokens[i];
    return NULL;
}

static size_t skip_blanks(const template_result *text, size_t at) {
    while (at < text->size && memchr(" \t\n\r\v\f", text->text[at], 6))
        at++;
    return at;
}

static bool is_at(const template_result *text, size_t at, const char *data, size_t size) {
    return text->size - at >= size && memcmp(text->text + at, data, size) == 0;
}

/* An added token stands in the text as it is written, and may take the blanks around it. */
static bool place_added(size_t *at, const template_result *text, const added_token *token) {
    const size_t begin = token->lstrip ? skip_blanks(text, *at) : *at;

    if (!is_at(text, begin, token->content, token->size))
        return false;
    *at = begin + token->size;
    if (token->rstrip)
        *at = skip_blanks(text, *at);
    return true;
}

/* A blank that the tokenizer puts before a text is not in it. */
static bool place_plain(size_t *at, const template_result *text, const text_buffer *token) {
    const size_t skip = token->size > 0 && token->data[0] == ' ' && !is_at(text, *at, token->data, token->size);

    if (!is_at(text, *at, token->data + skip, token->size - skip))
        return false;
    *at += token->size - skip;
    return true;
}

clora_status token_places(template_range *places, bool *known, const clora_tokenizer *t, const template_result *text,
                          const int32_t *ids, size_t count) {
    clora_status status = CLORA_OK;
    text_buffer token = {0};
    size_t at = 0;

    *known = true;
    for (size_t i = 0; i < count && *known; i++) {
        const added_token *added = find_added(t, ids[i]);
        places[i].from = at;
        if (!added)
            TRY(write_token(&token, t, ids[i]));
        *known = added ? place_added(&at, text, added) : place_plain(&at, text, &token);
        places[i].to = at;
    }
    *known = *known && at == text->size;
done:
    text_finish(&token);
    return status;
}
