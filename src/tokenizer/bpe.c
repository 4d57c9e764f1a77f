#include "tokenizer/bpe.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "base/json.h"

/* Stretches that were merged before, by hash: one place each, texts and ids in growing pools that are emptied when
 * full. */
#define CACHE_PLACES (1u << 15)
#define CACHE_POOL ((size_t)16 << 20)
#define CACHED_BYTES 64

typedef struct cache_place {
    uint64_t hash;
    uint32_t text, ids; /* offsets in the pools */
    uint16_t size, count;
} cache_place;

struct bpe_cache {
    cache_place places[CACHE_PLACES];
    text_buffer texts;
    id_buffer ids;
};

/* A piece on its way from characters to symbols. */
typedef struct reading {
    const bpe *b;
    id_buffer *out;
    bpe_workspace *workspace;
    const char *text;
    size_t size, border; /* a character begins at the border; 0: there is none in the piece */
    size_t start;        /* where the stretch at hand begins */
    bool unknown;        /* an unknown token waits to be added */
} reading;

static clora_status read_text(char **out, size_t *size, const json_t *model, const char *key, const char *where) {
    const char *text;
    clora_status status = json_get_text(&text, model, key, "", where);

    if (status != CLORA_OK)
        return status;
    *size = strlen(text);
    *out = alloc_string(text);
    return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer");
}

static clora_status read_flags(bpe *b, const json_t *model, const char *where) {
    clora_status status = CLORA_OK;
    double dropout;

    TRY(json_get_real(&dropout, model, "dropout", 0, where));
    if (dropout != 0)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: dropout is %g; clora knows only 0", where, dropout));
    TRY(json_get_bool(&b->fuse_unknown, model, "fuse_unk", false, where));
    TRY(json_get_bool(&b->byte_fallback, model, "byte_fallback", false, where));
    TRY(json_get_bool(&b->ignore_merges, model, "ignore_merges", false, where));
    TRY(read_text(&b->prefix, &b->prefix_size, model, "continuing_subword_prefix", where));
    TRY(read_text(&b->suffix, &b->suffix_size, model, "end_of_word_suffix", where));
    b->affixes = b->prefix_size > 0 || b->suffix_size > 0;
    if (!json_is_null(json_object_get(model, "unk_token")) && json_object_get(model, "unk_token")) {
        size_t size;
        TRY(read_text(&b->unknown, &size, model, "unk_token", where));
    }
done:
    return status;
}

/* What is looked for often. */
static void find_often(bpe *b) {
    char character[4];

    vocab_find_bytes(&b->vocab, b->bytes);
    for (uint32_t c = 0; c < BPE_DIRECT; c++)
        b->direct[c] = vocab_find(&b->vocab, character, utf8_write(character, c));
}

clora_status bpe_init(bpe *b, const json_t *model, const char *where) {
    clora_status status = CLORA_OK;

    memset(b, 0, sizeof(*b));
    TRY(read_flags(b, model, where));
    TRY(vocab_init(&b->vocab, json_object_get(model, "vocab"), where));
    TRY(merges_init(&b->merges, json_object_get(model, "merges"), &b->vocab, b->prefix_size, where));
    b->unknown_id = b->unknown ? vocab_find(&b->vocab, b->unknown, strlen(b->unknown)) : -1;
    find_often(b);
done:
    if (status != CLORA_OK)
        bpe_finish(b);
    return status;
}

clora_status bpe_init_scored(bpe *b, const scored_vocab *scored, const char *where) {
    const token_text *unknown = scored->unknown >= 0 ? &scored->tokens[scored->unknown].token : NULL;
    clora_status status = CLORA_OK;

    memset(b, 0, sizeof(*b));
    b->fuse_unknown = true;
    b->byte_fallback = scored->byte_fallback;
    b->unknown_id = scored->unknown;
    b->own = alloc_array(scored->count, sizeof(*b->own));
    b->unknown = unknown ? alloc_string(unknown->text) : NULL;
    if (!b->own || (unknown && !b->unknown))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer"));
    for (size_t i = 0; i < scored->count; i++) {
        if (scored->tokens[i].kind == SCORED_UNUSED)
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: token %zu is an unused one", where, i));
        b->own[i] = scored->tokens[i].kind == SCORED_OWN;
    }
    TRY(vocab_init_scored(&b->vocab, scored, where));
    TRY(merges_init_scored(&b->merges, scored, &b->vocab, where));
    find_often(b);
done:
    if (status != CLORA_OK)
        bpe_finish(b);
    return status;
}

void bpe_finish(bpe *b) {
    vocab_finish(&b->vocab);
    merges_finish(&b->merges);
    free(b->prefix);
    free(b->suffix);
    free(b->unknown);
    free(b->own);
    memset(b, 0, sizeof(*b));
}

void bpe_workspace_finish(bpe_workspace *workspace) {
    free(workspace->ids);
    free(workspace->previous);
    free(workspace->next);
    free(workspace->heap);
    text_finish(&workspace->joined);
    if (workspace->cache) {
        text_finish(&workspace->cache->texts);
        id_finish(&workspace->cache->ids);
        free(workspace->cache);
    }
    *workspace = (bpe_workspace){0};
}

static clora_status push_symbol(bpe_workspace *workspace, int32_t id) {
    if (workspace->count == workspace->capacity) {
        clora_status status =
            alloc_grow((void **)&workspace->ids, &workspace->capacity, workspace->count + 1, sizeof(int32_t));
        if (status != CLORA_OK)
            return status;
    }
    workspace->ids[workspace->count++] = id;
    return CLORA_OK;
}

/* The place of a stretch in the cache; NULL without a cache or for a stretch that is not worth it. */
static cache_place *cache_find(bpe_workspace *workspace, const char *text, size_t size, bool *hit) {
    *hit = false;
    if (!workspace->use_cache || workspace->count < 3 || size > CACHED_BYTES || workspace->border > 0)
        return NULL;
    if (!workspace->cache)
        workspace->cache = alloc_array(1, sizeof(*workspace->cache)); /* without memory there is no cache */
    if (!workspace->cache)
        return NULL;
    const uint64_t hash = XXH3_64bits(text, size);
    cache_place *place = &workspace->cache->places[hash % CACHE_PLACES];
    *hit = place->size == size && place->hash == hash &&
           memcmp(workspace->cache->texts.data + place->text, text, size) == 0;
    if (!*hit)
        place->hash = hash;
    return place;
}

static clora_status cache_store(bpe_workspace *workspace, cache_place *place, const char *text, size_t size) {
    struct bpe_cache *cache = workspace->cache;
    const uint64_t hash = place->hash;
    clora_status status = CLORA_OK;

    if (cache->texts.size + size > CACHE_POOL) {
        memset(cache->places, 0, sizeof(cache->places));
        cache->texts.size = cache->ids.size = 0;
    }
    place->size = 0;
    const uint32_t text_at = (uint32_t)cache->texts.size, ids_at = (uint32_t)cache->ids.size;
    TRY(text_append(&cache->texts, text, size));
    for (size_t i = 0; i < workspace->count; i++)
        TRY(id_append(&cache->ids, workspace->ids[i]));
    *place = (cache_place){hash, text_at, ids_at, (uint16_t)size, (uint16_t)workspace->count};
done:
    return status;
}

/* Merge the symbols of the stretch that ends here, and begin a new one. */
static clora_status finish_stretch(reading *r, size_t end) {
    bpe_workspace *workspace = r->workspace;
    clora_status status = CLORA_OK;
    const char *text = r->text + r->start;
    const size_t size = end - r->start;
    bool hit;

    cache_place *place = cache_find(workspace, text, size, &hit);
    if (hit) {
        for (size_t i = 0; i < place->count; i++)
            TRY(id_append(r->out, workspace->cache->ids.data[place->ids + i]));
    } else {
        TRY(bpe_merge(r->b, workspace));
        if (workspace->border > 0)
            workspace->notes->before_border = r->out->size + workspace->border;
        for (size_t i = 0; i < workspace->count; i++)
            TRY(id_append(r->out, workspace->ids[i]));
        if (place)
            TRY(cache_store(workspace, place, text, size));
    }
    workspace->count = workspace->border = 0;
    r->start = end;
done:
    return status;
}

/* The text whose token stands for a character, with what is added inside and at the end of words. */
static clora_status symbol_text(const char **text, size_t *size, reading *r, size_t at, size_t n) {
    text_buffer *joined = &r->workspace->joined;
    clora_status status = CLORA_OK;

    *text = r->text + at;
    *size = n;
    if (!r->b->affixes)
        return CLORA_OK;
    joined->size = 0;
    if (at > 0)
        TRY(text_append(joined, r->b->prefix, r->b->prefix_size));
    TRY(text_append(joined, r->text + at, n));
    if (at + n == r->size)
        TRY(text_append(joined, r->b->suffix, r->b->suffix_size));
    *text = joined->data;
    *size = joined->size;
done:
    return status;
}

/* A character without a token: its bytes, or the unknown token, or nothing. */
static clora_status unknown_character(reading *r, const char *text, size_t size) {
    clora_status status = CLORA_OK;
    const bpe *b = r->b;
    size_t known = 0;

    while (b->byte_fallback && known < size && b->bytes[(unsigned char)text[known]] >= 0)
        known++;
    if (b->byte_fallback && known == size) {
        for (size_t i = 0; i < size; i++)
            TRY(push_symbol(r->workspace, b->bytes[(unsigned char)text[i]]));
        return CLORA_OK;
    }
    if (!b->unknown) {
        r->workspace->notes->dropped++;
        return CLORA_OK;
    }
    if (b->unknown_id < 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT,
                       "the text needs the tokenizer's unk_token \"%s\", which is not in its vocabulary", b->unknown));
    if (r->unknown && !b->fuse_unknown)
        TRY(push_symbol(r->workspace, b->unknown_id));
    r->unknown = true;
done:
    return status;
}

static clora_status settle_unknown(reading *r) {
    if (!r->unknown)
        return CLORA_OK;
    r->unknown = false;
    return push_symbol(r->workspace, r->b->unknown_id);
}

/* The next character begins after the border. An unknown token that waits comes before it or takes it in. */
static void meet_border(reading *r, bool known) {
    bpe_workspace *workspace = r->workspace;

    workspace->border = workspace->count + r->unknown;
    workspace->notes->before_border =
        r->out->size; /* where the stretch begins here: else it is counted when it is merged */
    workspace->notes->crossed |= r->unknown && !known && (r->b->fuse_unknown || r->b->byte_fallback);
}

static clora_status read_piece(reading *r) {
    clora_status status = CLORA_OK;
    const bpe *b = r->b;
    uint32_t last = 0, c;
    size_t n, size;
    bool after_known = false;
    const char *text;

    for (size_t at = 0; at < r->size; at += n) {
        n = utf8_decode(r->text + at, &c);
        int32_t id;
        if (c < BPE_DIRECT && !b->affixes) {
            id = b->direct[c];
            text = r->text + at;
            size = n;
        } else {
            TRY(symbol_text(&text, &size, r, at, n));
            id = vocab_find(&b->vocab, text, size);
        }
        /* where no merge can reach across, both sides are merged alone: whole texts would be one stretch otherwise */
        if (id >= 0 && after_known && !b->affixes && !merges_cross(&b->merges, last, c))
            TRY(finish_stretch(r, at));
        if (at > 0 && at == r->border)
            meet_border(r, id >= 0);
        if (id >= 0) {
            TRY(settle_unknown(r));
            TRY(push_symbol(r->workspace, id));
        } else {
            TRY(unknown_character(r, text, size));
        }
        after_known = id >= 0;
        last = c;
    }
    TRY(settle_unknown(r));
    TRY(finish_stretch(r, r->size));
done:
    return status;
}

clora_status bpe_encode(const bpe *b, id_buffer *out, const piece *text, bpe_workspace *workspace, piece_notes *notes) {
    reading r = {.b = b, .out = out, .workspace = workspace, .text = text->text, .size = text->size};

    workspace->notes = notes;
    if (piece_has_border(text))
        r.border = text->marks[PIECE_BORDER];
    if (b->ignore_merges || b->own) {
        const int32_t id = vocab_find(&b->vocab, text->text, text->size);
        const bool whole = id >= 0 && (b->ignore_merges || b->own[id]);
        workspace->notes->crossed |= whole && r.border > 0;
        if (whole)
            return id_append(out, id);
    }
    workspace->count = workspace->border = 0;
    return read_piece(&r);
}
