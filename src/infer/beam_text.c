#include "infer/beam_text.h"

#include <limits.h>
#include <string.h>

#include "infer/request.h"

static clora_status add(output *out, clora_decoder *decoder, const clora_model *model, const clora_tokenizer *tokenizer,
                        int32_t id) {
    clora_status status = CLORA_OK;
    const char *piece;
    size_t size;

    if (text_ends(model, tokenizer, id) || clora_tokenizer_is_special(tokenizer, id)) {
        piece = clora_tokenizer_token(tokenizer, id, &size);
        return output_add_special(out, piece, size);
    }
    TRY(clora_decoder_push(decoder, id, &piece, &size));
    TRY(output_add(out, piece, size));
done:
    return status;
}

clora_status beam_text(output *out, const clora_model *model, const clora_tokenizer *tokenizer, const int32_t *ids,
                       int before, int count) {
    clora_status status = CLORA_OK;
    clora_decoder *decoder = NULL;
    const char *piece;
    size_t size;

    TRY(clora_decoder_create(&decoder, tokenizer, ids, (size_t)before));
    for (int i = before; i < count; i++)
        TRY(add(out, decoder, model, tokenizer, ids[i]));
    TRY(clora_decoder_flush(decoder, &piece, &size));
    TRY(output_add(out, piece, size));
    TRY(output_flush(out));
done:
    clora_decoder_free(decoder);
    return status;
}

/* An id writes a byte at least. */
int beam_stop_ids(const char *const *stop) {
    size_t most = 0;

    for (const char *const *s = stop; s && *s; s++)
        most = strlen(*s) > most ? strlen(*s) : most;
    return most < INT_MAX ? (int)most : INT_MAX;
}
