#include "tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define CACHE_FROM 4096 /* bytes of text from which remembering merged words pays */

/* One call of encode. */
typedef struct encoding {
    const clora_tokenizer *tokenizer;
    id_buffer ids;
    size_t before_border; /* ids that come from before the border, if no token crosses it */
    bool crossed;         /* an added token crosses it */
    normalizer_workspace normalizing;
    pretokenizer_workspace splitting;
    regex_workspace searching;
    token_model_workspace modelling;
    piece_notes notes;
} encoding;

static void encoding_finish(encoding *e) {
    id_finish(&e->ids);
    normalizer_workspace_finish(&e->normalizing);
    pretokenizer_workspace_finish(&e->splitting);
    regex_workspace_finish(&e->searching);
    token_model_workspace_finish(&e->modelling);
}

static clora_status take_token(void *user, int32_t id, const piece *text) {
    clora_status status = CLORA_OK;
    encoding *e = user;

    TRY(id_append(&e->ids, id));
    e->crossed |= piece_has_border(text);
    if (text->marks[PIECE_BORDER] > 0)
        e->before_border = e->ids.size;
done:
    return status;
}

static clora_status take_piece(void *user, const piece *text) {
    clora_status status = CLORA_OK;
    encoding *e = user;

    TRY(token_model_encode(&e->tokenizer->model, &e->ids, text, &e->modelling, &e->notes));
    if (text->marks[PIECE_BORDER] > 0)
        e->before_border = piece_has_border(text) ? e->notes.before_border : e->ids.size;
done:
    return status;
}

static clora_status take_normalized(void *user, const piece *text) {
    encoding *e = user;

    return pretokenizer_run(e->tokenizer->pretokenizer, text, &e->splitting, &e->searching, take_piece, e);
}

static clora_status take_text(void *user, const piece *text) {
    encoding *e = user;
    const added_sink sink = {.token = take_token, .text = take_normalized, .user = e};
    piece normalized = *text;
    clora_status status = normalizer_run(e->tokenizer->normalizer, &normalized, &e->normalizing, &e->searching);

    if (status != CLORA_OK)
        return status;
    return added_split(&e->tokenizer->added, &e->tokenizer->added.normalized, &normalized, &sink);
}

static clora_status encode_text(encoding *e, piece text) {
    const added_sink sink = {.token = take_token, .text = take_text, .user = e};
    size_t bad;

    if (text.size == 0)
        return CLORA_OK;
    if (!utf8_valid(text.text, text.size, &bad))
        return clora_fail(CLORA_ERROR_FORMAT, "the text is not UTF-8: byte %zu begins no character", bad);
    e->modelling.bpe.use_cache = text.size >= CACHE_FROM;
    e->normalizing.budget.given += text.size;
    e->splitting.budget.given += text.size;
    text.marks[PIECE_FRONT] = utf8_length(text.text[0]);
    return added_split(&e->tokenizer->added, &e->tokenizer->added.plain, &text, &sink);
}

static clora_status append_all(id_buffer *out, const id_buffer *ids) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < ids->size; i++)
        TRY(id_append(out, ids->data[i]));
done:
    return status;
}

/* The ids become the caller's. */
static clora_status give_ids(encoding *e, int32_t **ids, size_t *count) {
    *count = e->ids.size;
    *ids = realloc(e->ids.data, (e->ids.size ? e->ids.size : 1) * sizeof(**ids));
    if (!*ids)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu ids", e->ids.size);
    e->ids.data = NULL;
    return CLORA_OK;
}

clora_status clora_tokenizer_encode(const clora_tokenizer *tokenizer, const char *text, size_t size, int special,
                                    int32_t **ids, size_t *count) {
    encoding e = {.tokenizer = tokenizer};
    clora_status status = CLORA_OK;

    NEED(ids);
    *ids = NULL;
    NEED(count);
    *count = 0;
    NEED(tokenizer);
    if (size > 0)
        NEED(text);
    if (special && tokenizer->post.present)
        TRY(append_all(&e.ids, &tokenizer->post.before));
    else if (special && tokenizer->adds_bos)
        TRY(id_append(&e.ids, tokenizer->bos));
    TRY(encode_text(&e, (piece){.text = text, .size = size}));
    if (special)
        TRY(append_all(&e.ids, &tokenizer->post.after));
    TRY(give_ids(&e, ids, count));
done:
    encoding_finish(&e);
    return status;
}

static bool crosses_border(const encoding *e) {
    return e->crossed || e->normalizing.crossed || e->notes.crossed;
}

/* The context alone, and the target as what goes on from there. */
static clora_status encode_apart(encoding *e, const char *text, size_t context, size_t size) {
    clora_status status = CLORA_OK;

    e->ids.size = e->notes.dropped = 0;
    TRY(encode_text(e, (piece){.text = text, .size = context}));
    e->before_border = e->ids.size;
    TRY(encode_text(e, (piece){.text = text + context, .size = size - context, .continues = true}));
done:
    return status;
}

clora_status tokenizer_encode_pair(const clora_tokenizer *tokenizer, const char *text, size_t context, size_t size,
                                   pair_ids *out) {
    const piece whole = {.text = text, .size = size, .marks = {[PIECE_BORDER] = context}};
    encoding e = {.tokenizer = tokenizer};
    clora_status status = CLORA_OK;

    *out = (pair_ids){0};
    TRY(encode_text(&e, whole));
    if (crosses_border(&e))
        TRY(encode_apart(&e, text, context, size));
    TRY(give_ids(&e, &out->ids, &out->count));
    out->context = e.before_border;
    out->dropped = e.notes.dropped;
done:
    encoding_finish(&e);
    return status;
}

clora_status clora_tokenizer_count_dropped(const clora_tokenizer *tokenizer, const char *text, size_t size,
                                           size_t *dropped) {
    encoding e = {.tokenizer = tokenizer};
    clora_status status = CLORA_OK;

    NEED(dropped);
    *dropped = 0;
    NEED(tokenizer);
    if (size > 0)
        NEED(text);
    if (tokenizer->may_drop)
        status = encode_text(&e, (piece){.text = text, .size = size});
    if (status == CLORA_OK)
        *dropped = e.notes.dropped;
    encoding_finish(&e);
    return status;
}

int32_t clora_tokenizer_vocab_size(const clora_tokenizer *tokenizer) {
    return tokenizer ? tokenizer->size : 0;
}

int32_t clora_tokenizer_bos(const clora_tokenizer *tokenizer) {
    return tokenizer ? tokenizer->bos : -1;
}

int32_t clora_tokenizer_eos(const clora_tokenizer *tokenizer) {
    return tokenizer ? tokenizer->eos : -1;
}

int clora_tokenizer_adds_bos(const clora_tokenizer *tokenizer) {
    return tokenizer && tokenizer->adds_bos;
}

int clora_tokenizer_is_special(const clora_tokenizer *tokenizer, int32_t id) {
    return id >= 0 && id < clora_tokenizer_vocab_size(tokenizer) && tokenizer->skipped[id];
}

const char *clora_tokenizer_token(const clora_tokenizer *tokenizer, int32_t id, size_t *size) {
    const bool is_there = id >= 0 && id < clora_tokenizer_vocab_size(tokenizer);
    const token_text none = {0}, *token = is_there ? &tokenizer->tokens[id] : &none;

    if (size)
        *size = token->size;
    return token->text;
}

int32_t clora_tokenizer_id(const clora_tokenizer *tokenizer, const char *token, size_t size) {
    if (!tokenizer || !token)
        return -1;
    const int32_t id = added_find_text(&tokenizer->added, token, size);

    return id >= 0 ? id : vocab_find(token_model_vocab(&tokenizer->model), token, size);
}
