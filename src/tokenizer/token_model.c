#include "tokenizer/token_model.h"

#include <string.h>

#include "base/json.h"

/* The oldest files do not say which type they have: a list of tokens with scores is Unigram's. */
clora_status token_model_init(token_model *m, const json_t *model, const char *where) {
    const bool is_list = json_is_array(json_object_get(model, "vocab"));
    clora_status status = CLORA_OK;
    const char *type;

    *m = (token_model){0};
    TRY(json_get_text(&type, model, "type", is_list ? "Unigram" : "BPE", where));
    m->is_unigram = strcmp(type, "Unigram") == 0;
    if (m->is_unigram)
        return unigram_init(&m->unigram, model, where);
    if (strcmp(type, "BPE") == 0)
        return bpe_init(&m->bpe, model, where);
    TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: unknown type \"%s\" (clora knows BPE and Unigram)", where, type));
done:
    return status;
}

clora_status token_model_init_scored(token_model *m, const scored_vocab *scored, const char *where) {
    *m = (token_model){.is_unigram = scored->unigram};
    return scored->unigram ? unigram_init_scored(&m->unigram, scored, where) : bpe_init_scored(&m->bpe, scored, where);
}

void token_model_finish(token_model *m) {
    bpe_finish(&m->bpe);
    unigram_finish(&m->unigram);
}

const vocab *token_model_vocab(const token_model *m) {
    return m->is_unigram ? &m->unigram.vocab : &m->bpe.vocab;
}

const int32_t *token_model_bytes(const token_model *m) {
    if (m->is_unigram)
        return m->unigram.byte_fallback ? m->unigram.bytes : NULL;
    return m->bpe.byte_fallback ? m->bpe.bytes : NULL;
}

void token_model_workspace_finish(token_model_workspace *workspace) {
    bpe_workspace_finish(&workspace->bpe);
    unigram_workspace_finish(&workspace->unigram);
}

clora_status token_model_encode(const token_model *m, id_buffer *out, const piece *text,
                                token_model_workspace *workspace, piece_notes *notes) {
    if (m->is_unigram)
        return unigram_encode(&m->unigram, out, text, &workspace->unigram, notes);
    return bpe_encode(&m->bpe, out, text, &workspace->bpe, notes);
}
