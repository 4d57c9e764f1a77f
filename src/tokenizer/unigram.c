#include "tokenizer/unigram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "tokenizer/score.h"

#define UNKNOWN_PENALTY 10.0      /* below the lowest score */
#define OWN_SCORE ((double)-0.1f) /* SentencePiece's of user-defined tokens: hardly anything is better */
#define LONGEST_TOKEN 2048        /* bytes; SentencePiece makes tokens of up to 512 characters */

/* A place between two characters of a piece: how the best way there arrives, and where it goes on from there. */
typedef struct unigram_place {
    double score;        /* of the best way there */
    uint32_t from, to;   /* its last token begins here, and the token that begins at this place ends there */
    bool found, unknown; /* some way leads there; its last token is the unknown one */
} unigram_place;

static clora_status read_unknown(unigram *u, const json_t *model, const char *where) {
    clora_status status = CLORA_OK;
    int64_t id;

    TRY(json_get_int(&id, model, "unk_id", -1, where));
    if (id < -1 || id >= u->vocab.size)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"unk_id\" is %lld, in a vocabulary of %d tokens", where, (long long)id,
                       (int)u->vocab.size));
    u->unknown_id = (int32_t)id;
done:
    return status;
}

static clora_status read_scores(unigram *u, const json_t *list, const char *where) {
    clora_status status = CLORA_OK;
    double lowest = INFINITY;
    char quoted[TEXT_EXCERPT];
    json_t *entry;
    size_t i;

    u->scores = alloc_array((size_t)u->vocab.size, sizeof(*u->scores));
    if (!u->scores)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a vocabulary"));
    json_array_foreach (list, i, entry) {
        const token_text *token = &u->vocab.tokens[i];
        if (token->size > LONGEST_TOKEN)
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: the token \"%s\" has %zu bytes, clora knows up to %d", where,
                           text_excerpt(quoted, token->text, token->size), token->size, LONGEST_TOKEN));
        u->scores[i] = score_read(json_number_value(json_array_get(entry, 1)));
        lowest = u->scores[i] < lowest ? u->scores[i] : lowest;
    }
    u->unknown_score = lowest - UNKNOWN_PENALTY;
done:
    return status;
}

clora_status unigram_init(unigram *u, const json_t *model, const char *where) {
    const json_t *list = json_object_get(model, "vocab");
    clora_status status = CLORA_OK;

    *u = (unigram){0};
    if (!json_is_array(list))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"vocab\" must be an array of tokens and scores", where));
    TRY(vocab_init_list(&u->vocab, list, where));
    TRY(read_unknown(u, model, where));
    TRY(read_scores(u, list, where));
    TRY(json_get_bool(&u->byte_fallback, model, "byte_fallback", false, where));
    vocab_find_bytes(&u->vocab, u->bytes);
    TRY(trie_init(&u->trie, u->vocab.tokens, (size_t)u->vocab.size));
done:
    if (status != CLORA_OK)
        unigram_finish(u);
    return status;
}

/* Only these are looked for in a text: the others are what cannot be said otherwise. */
static bool is_text(const scored_token *token) {
    return token->kind == SCORED_NORMAL || token->kind == SCORED_OWN;
}

static clora_status read_scored(unigram *u, const scored_vocab *scored, token_text *texts, const char *where) {
    float lowest = INFINITY;

    for (size_t i = 0; i < scored->count; i++) {
        const scored_token *token = &scored->tokens[i];
        if (token->token.size > LONGEST_TOKEN || token->token.size == 0)
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: token %zu has %zu bytes, clora knows 1 to %d", where, i,
                              token->token.size, LONGEST_TOKEN);
        u->scores[i] = token->kind == SCORED_OWN ? OWN_SCORE : (double)token->score;
        texts[i] = is_text(token) ? u->vocab.tokens[i] : (token_text){"", 0};
        if (token->kind == SCORED_NORMAL && token->score < lowest)
            lowest = token->score;
    }
    u->unknown_score = (double)(lowest - (float)UNKNOWN_PENALTY);
    return CLORA_OK;
}

clora_status unigram_init_scored(unigram *u, const scored_vocab *scored, const char *where) {
    token_text *texts = alloc_array(scored->count, sizeof(*texts));
    clora_status status = CLORA_OK;

    *u = (unigram){.unknown_id = scored->unknown, .byte_fallback = scored->byte_fallback, .rounds = true};
    TRY(vocab_init_scored(&u->vocab, scored, where));
    u->scores = alloc_array(scored->count, sizeof(*u->scores));
    if (!u->scores || !texts)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a vocabulary"));
    TRY(read_scored(u, scored, texts, where));
    vocab_find_bytes(&u->vocab, u->bytes);
    TRY(trie_init(&u->trie, texts, scored->count));
    u->trie.nodes[0].token = -1; /* the texts that are not looked for */
done:
    free(texts);
    if (status != CLORA_OK)
        unigram_finish(u);
    return status;
}

void unigram_finish(unigram *u) {
    vocab_finish(&u->vocab);
    trie_finish(&u->trie);
    free(u->scores);
    *u = (unigram){0};
}

void unigram_workspace_finish(unigram_workspace *workspace) {
    free(workspace->places);
    *workspace = (unigram_workspace){0};
}

/* One way more to a place. Of equal scores the first stays: the one whose last token is the longest. */
static bool offer(const unigram *u, unigram_place *places, size_t from, size_t to, double score) {
    const double exact = score + places[from].score, sum = u->rounds ? (double)(float)exact : exact;

    if (places[to].found && !(sum > places[to].score))
        return false;
    places[to].found = true;
    places[to].score = sum;
    places[to].from = (uint32_t)from;
    return true;
}

/* All tokens that begin at a place, from the shortest up; the unknown token where none is the next character. */
static clora_status go_on(const unigram *u, unigram_place *places, const piece *text, size_t from) {
    const size_t next = from + utf8_length(text->text[from]);
    bool next_known = false;
    uint32_t node = 0;

    for (size_t to = from; to < text->size && (node = trie_step(&u->trie, node, (unsigned char)text->text[to])) > 0;) {
        const int32_t id = u->trie.nodes[node].token;
        to++;
        if (id < 0)
            continue;
        if (offer(u, places, from, to, u->scores[id]))
            places[to].unknown = id == u->unknown_id;
        next_known |= to == next;
    }
    if (next_known || !offer(u, places, from, next, u->unknown_score))
        return CLORA_OK;
    if (u->unknown_id < 0)
        return clora_fail(CLORA_ERROR_FORMAT, "the text needs an unknown token, and the tokenizer has no \"unk_id\"");
    places[next].unknown = true;
    return CLORA_OK;
}

/* The best way as a chain from place 0. Neighbouring unknown tokens are one. */
static void chain(unigram_place *places, size_t size) {
    bool unknown = false;

    for (size_t at = size; at > 0; at = places[at].from) {
        unigram_place *before = &places[places[at].from];
        before->to = unknown && places[at].unknown ? places[at].to : (uint32_t)at;
        unknown = places[at].unknown;
    }
}

/* The id of a stretch of the best way; where it has none its bytes, or the unknown token. */
static clora_status append(const unigram *u, id_buffer *out, const char *text, size_t size, bool *apart) {
    const int32_t id = vocab_find(&u->vocab, text, size);
    clora_status status = CLORA_OK;
    size_t known = 0;

    *apart = false;
    if (id >= 0)
        return id_append(out, id);
    while (u->byte_fallback && known < size && u->bytes[(unsigned char)text[known]] >= 0)
        known++;
    if (known < size)
        return id_append(out, u->unknown_id);
    *apart = true;
    for (size_t i = 0; i < size; i++)
        TRY(id_append(out, u->bytes[(unsigned char)text[i]]));
done:
    return status;
}

clora_status unigram_encode(const unigram *u, id_buffer *out, const piece *text, unigram_workspace *workspace,
                            piece_notes *notes) {
    const size_t border = piece_has_border(text) ? text->marks[PIECE_BORDER] : 0;
    clora_status status = CLORA_OK;
    bool apart;

    if (text->size >= UINT32_MAX)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "a stretch of %zu bytes without a border is too long", text->size));
    TRY(alloc_grow((void **)&workspace->places, &workspace->capacity, text->size + 1, sizeof(unigram_place)));
    unigram_place *places = workspace->places;
    memset(places, 0, (text->size + 1) * sizeof(*places));
    for (size_t at = 0; at < text->size; at += utf8_length(text->text[at]))
        TRY(go_on(u, places, text, at));
    chain(places, text->size);
    for (size_t at = 0, to; at < text->size; at = to) {
        const size_t before = out->size;
        to = places[at].to;
        TRY(append(u, out, text->text + at, to - at, &apart));
        if (at < border && border < to)
            notes->crossed |= !apart;
        if (at < border)
            notes->before_border = border < to ? before + (border - at) : out->size;
    }
done:
    return status;
}
