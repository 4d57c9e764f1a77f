#include <stdlib.h>
#include <string.h>

#include "tokenizer/tokenizer.h"

struct clora_decoder {
    const clora_tokenizer *tokenizer; /* held */
    decode_run *run;
    text_buffer text; /* what the last call gave */
    text_buffer tail; /* what the prompt alone would end with: not given again */
};

static clora_status push(decode_run *run, text_buffer *out, const clora_tokenizer *t, int32_t id, bool skip_special) {
    if (id < 0 || id >= t->size || !t->decoded[id].text || (skip_special && t->skipped[id]))
        return CLORA_OK;
    return decode_run_push(run, out, t->decoded[id].text, t->decoded[id].size);
}

static clora_status push_all(decode_run *run, text_buffer *out, const clora_tokenizer *t, const int32_t *ids,
                             size_t count, bool skip_special) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < count; i++)
        TRY(push(run, out, t, ids[i], skip_special));
done:
    return status;
}

static clora_status decode(text_buffer *out, const clora_tokenizer *t, const int32_t *ids, size_t count,
                           bool skip_special) {
    clora_status status = CLORA_OK;
    decode_run *run = NULL;

    TRY(decode_run_create(&run, t->decoder));
    TRY(push_all(run, out, t, ids, count, skip_special));
    TRY(decode_run_end(run, out));
done:
    decode_run_free(run);
    return status;
}

clora_status clora_tokenizer_decode(const clora_tokenizer *tokenizer, const int32_t *ids, size_t count,
                                    int skip_special, char **text, size_t *size) {
    clora_status status = CLORA_OK;
    text_buffer out = {0};

    NEED(text);
    *text = NULL;
    NEED(size);
    *size = 0;
    NEED(tokenizer);
    if (count > 0)
        NEED(ids);
    TRY(decode(&out, tokenizer, ids, count, skip_special));
    TRY(text_append(&out, "", 1)); /* the terminator */
    *text = out.data;
    *size = out.size - 1;
    out.data = NULL;
done:
    text_finish(&out);
    return status;
}

/* Two runs over the prompt: what the one that ends gives more than the one that goes on is the tail. */
clora_status clora_decoder_create(clora_decoder **out, const clora_tokenizer *tokenizer, const int32_t *prompt,
                                  size_t count) {
    clora_decoder *decoder;
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(tokenizer);
    if (count > 0)
        NEED(prompt);
    decoder = calloc(1, sizeof(*decoder));
    if (!decoder)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a decoder"));
    shared_hold(&tokenizer->shared);
    decoder->tokenizer = tokenizer;
    TRY(decode_run_create(&decoder->run, tokenizer->decoder));
    TRY(push_all(decoder->run, &decoder->text, tokenizer, prompt, count, true));
    TRY(decode(&decoder->tail, tokenizer, prompt, count, true));
    text_drop_front(&decoder->tail, decoder->text.size);
    *out = decoder;
    decoder = NULL;
done:
    clora_decoder_free(decoder);
    return clora_keep_cause(status);
}

void clora_decoder_free(clora_decoder *decoder) {
    if (!decoder)
        return;
    decode_run_free(decoder->run);
    text_finish(&decoder->text);
    text_finish(&decoder->tail);
    shared_let_go(&decoder->tokenizer->shared);
    free(decoder);
}

/* Take from the text the characters that it has in common with the tail. */
static void give(clora_decoder *decoder, const char **text, size_t *size) {
    text_buffer *out = &decoder->text, *tail = &decoder->tail;
    size_t same = 0;

    while (same < out->size && same < tail->size) {
        const size_t n = utf8_length(out->data[same]);
        if (n != utf8_length(tail->data[same]) || memcmp(out->data + same, tail->data + same, n) != 0)
            break;
        same += n;
    }
    if (same < out->size)
        tail->size = 0; /* they part here, or the tail is through */
    else
        text_drop_front(tail, same);
    *text = out->data ? out->data + same : "";
    *size = out->size - same;
}

clora_status clora_decoder_push(clora_decoder *decoder, int32_t id, const char **text, size_t *size) {
    clora_status status = CLORA_OK;

    NEED(text);
    *text = "";
    NEED(size);
    *size = 0;
    NEED(decoder);
    decoder->text.size = 0;
    TRY(push(decoder->run, &decoder->text, decoder->tokenizer, id, true));
    give(decoder, text, size);
done:
    return status;
}

clora_status clora_decoder_flush(clora_decoder *decoder, const char **text, size_t *size) {
    clora_status status = CLORA_OK;

    NEED(text);
    *text = "";
    NEED(size);
    *size = 0;
    NEED(decoder);
    decoder->text.size = 0;
    TRY(decode_run_end(decoder->run, &decoder->text));
    give(decoder, text, size);
done:
    return status;
}
