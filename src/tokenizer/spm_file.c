#include "tokenizer/spm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

#define LARGEST_FILE ((size_t)64 << 20)

/* ---- Protocol buffers ---- */

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* A message that is read field by field. */
typedef struct proto {
    const unsigned char *at, *end;
    bool damaged;
} proto;

typedef struct proto_field {
    uint32_t number, wire;
    uint64_t value;             /* of a varint or 32 bits */
    const unsigned char *bytes; /* (size) */
    size_t size;
} proto_field;

static bool take_varint(uint64_t *out, proto *p) {
    *out = 0;
    for (unsigned shift = 0; shift < 64 && p->at < p->end; shift += 7) {
        const unsigned char byte = *p->at++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

static bool take_bytes(proto_field *f, proto *p, uint64_t size) {
    if (size > (uint64_t)(p->end - p->at))
        return false;
    f->bytes = p->at;
    f->size = (size_t)size;
    p->at += size;
    return true;
}

static bool take_value(proto_field *f, proto *p) {
    uint64_t size;

    switch (f->wire) {
    case WIRE_VARINT: return take_varint(&f->value, p);
    case WIRE_64: return take_bytes(f, p, 8);
    case WIRE_BYTES: return take_varint(&size, p) && take_bytes(f, p, size);
    case WIRE_32:
        if (!take_bytes(f, p, 4))
            return false;
        for (unsigned i = 0; i < 4; i++)
            f->value |= (uint64_t)f->bytes[i] << 8 * i;
        return true;
    default: return false;
    }
}

/* false at the end, and where the message is damaged. */
static bool next_field(proto_field *f, proto *p) {
    uint64_t key;

    *f = (proto_field){0};
    if (p->at == p->end || p->damaged)
        return false;
    p->damaged = !take_varint(&key, p) || key > UINT32_MAX || key >> 3 == 0;
    if (!p->damaged) {
        f->number = (uint32_t)(key >> 3);
        f->wire = (uint32_t)(key & 7);
        p->damaged = !take_value(f, p);
    }
    return !p->damaged;
}

static proto message(const proto_field *f) {
    return (proto){f->bytes, f->bytes + f->size, f->wire != WIRE_BYTES};
}

/* ---- The model ---- */

/* Numbers of fields in sentencepiece_model.proto. */
enum { MODEL_PIECES = 1, MODEL_TRAINER = 2, MODEL_NORMALIZER = 3 };
enum { PIECE_TEXT = 1, PIECE_SCORE = 2, PIECE_KIND = 3 };
enum { TRAINER_TYPE = 3, TRAINER_SUFFIX = 24, TRAINER_BYTE_FALLBACK = 35, TRAINER_BOS = 41, TRAINER_EOS = 42 };
enum { NORMALIZER_CHARSMAP = 2, NORMALIZER_PREFIX = 3, NORMALIZER_DROP = 4, NORMALIZER_MARK = 5 };
enum { TYPE_UNIGRAM = 1, TYPE_BPE = 2 };

static clora_status fail_damaged(const char *path) {
    return clora_fail(CLORA_ERROR_FORMAT, "%s: damaged, cut off, or no model of SentencePiece", path);
}

static clora_status read_token(scored_vocab *v, proto p, const char *path) {
    scored_token token = {.token = {"", 0}, .kind = SCORED_NORMAL};
    clora_status status = CLORA_OK;
    proto_field f;
    size_t bad;

    while (next_field(&f, &p)) {
        const uint32_t bits = (uint32_t)f.value;
        if (f.number == PIECE_TEXT && f.wire == WIRE_BYTES)
            token.token = (token_text){(const char *)f.bytes, f.size};
        else if (f.number == PIECE_SCORE && f.wire == WIRE_32)
            memcpy(&token.score, &bits, sizeof(bits));
        else if (f.number == PIECE_KIND && f.wire == WIRE_VARINT)
            token.kind = f.value > SCORED_BYTE ? 0 : (scored_kind)f.value;
    }
    if (p.damaged)
        return fail_damaged(path);
    if (token.kind < SCORED_NORMAL || !isfinite(token.score) || token.token.size == 0 ||
        memchr(token.token.text, '\0', token.token.size) || !utf8_valid(token.token.text, token.token.size, &bad))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: token %zu has no text, score or kind that one may have", path,
                          v->count);
    TRY(alloc_grow((void **)&v->tokens, &v->capacity, v->count + 1, sizeof(token)));
    v->tokens[v->count++] = token;
done:
    return status;
}

static clora_status read_trainer(scored_vocab *v, proto p, const char *path) {
    uint64_t type = TYPE_UNIGRAM;
    proto_field f;

    while (next_field(&f, &p)) {
        const int32_t id = (int32_t)(uint32_t)f.value;
        switch (f.number) {
        case TRAINER_TYPE: type = f.value; break;
        case TRAINER_BYTE_FALLBACK: v->byte_fallback = f.value != 0; break;
        case TRAINER_BOS: v->bos = id; break;
        case TRAINER_EOS: v->eos = id; break;
        case TRAINER_SUFFIX:
            if (f.value)
                return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: treat_whitespace_as_suffix", path);
        }
    }
    v->unigram = type == TYPE_UNIGRAM;
    if (type != TYPE_UNIGRAM && type != TYPE_BPE)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: a model of words or characters (clora knows Unigram and BPE)",
                          path);
    return p.damaged ? fail_damaged(path) : CLORA_OK;
}

static clora_status read_normalizer(scored_vocab *v, proto p, const char *path) {
    proto_field f;

    while (next_field(&f, &p))
        switch (f.number) {
        case NORMALIZER_CHARSMAP:
            v->charsmap = f.bytes;
            v->charsmap_size = f.size;
            break;
        case NORMALIZER_PREFIX: v->prefix = f.value != 0; break;
        case NORMALIZER_DROP: v->drop_blanks = f.value != 0; break;
        case NORMALIZER_MARK: v->mark_blanks = f.value != 0; break;
        }
    return p.damaged ? fail_damaged(path) : CLORA_OK;
}

static clora_status read_model(scored_vocab *v, proto p, const char *path) {
    clora_status status = CLORA_OK;
    proto_field f;

    while (next_field(&f, &p))
        switch (f.number) {
        case MODEL_PIECES: TRY(read_token(v, message(&f), path)); break;
        case MODEL_TRAINER: TRY(read_trainer(v, message(&f), path)); break;
        case MODEL_NORMALIZER: TRY(read_normalizer(v, message(&f), path)); break;
        }
    if (p.damaged || v->count == 0)
        status = fail_damaged(path);
done:
    return status;
}

/* The unknown token is the one that says so; bos and eos may lie outside: then there is none. */
static void find_ends(scored_vocab *v) {
    v->unknown = -1;
    for (size_t i = 0; i < v->count && v->unknown < 0; i++)
        if (v->tokens[i].kind == SCORED_UNKNOWN)
            v->unknown = (int32_t)i;
    v->bos = v->bos >= 0 && (size_t)v->bos < v->count ? v->bos : -1;
    v->eos = v->eos >= 0 && (size_t)v->eos < v->count ? v->eos : -1;
}

/* In the file texts have no end of their own. */
static clora_status copy_texts(spm_file *file) {
    scored_vocab *v = &file->vocab;
    size_t size = 0;

    for (size_t i = 0; i < v->count; i++)
        size += v->tokens[i].token.size + 1;
    file->texts = alloc_array(size, 1);
    if (!file->texts)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer");
    char *to = file->texts;
    for (size_t i = 0; i < v->count; i++) {
        token_text *token = &v->tokens[i].token;
        memcpy(to, token->text, token->size);
        token->text = to;
        to += token->size + 1;
    }
    return CLORA_OK;
}

clora_status spm_read(spm_file *out, const char *path) {
    clora_status status = CLORA_OK;

    *out = (spm_file){
        .vocab = {.prefix = true, .drop_blanks = true, .mark_blanks = true, .unigram = true, .bos = 1, .eos = 2}};
    TRY(file_map_open(&out->map, path));
    if (out->map.size > LARGEST_FILE)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "cannot read %s: it is larger than the %zu bytes such a file may have", path,
                       LARGEST_FILE));
    TRY(read_model(&out->vocab, (proto){out->map.data, out->map.data + out->map.size, false}, path));
    find_ends(&out->vocab);
    TRY(copy_texts(out));
done:
    if (status != CLORA_OK)
        spm_finish(out);
    return status;
}

void spm_finish(spm_file *file) {
    file_map_close(&file->map);
    free(file->texts);
    free(file->vocab.tokens);
    *file = (spm_file){.texts = NULL};
}
