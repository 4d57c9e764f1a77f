#include "tokenizer/merges.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash.h"
#include "tokenizer/text_buffer.h"

#define MOST_MERGES (1 << 26)
#define LONGEST_SCORED 512 /* bytes: each of its places is looked at. Known vocabularies have up to 93 */

/* The two parts of one entry of "merges". */
typedef struct parts {
    const char *left, *right;
    size_t left_size, right_size;
} parts;

static clora_status read_parts(parts *p, const json_t *entry, bool pairs, size_t index, const char *where) {
    if (pairs) {
        const json_t *left = json_array_get(entry, 0), *right = json_array_get(entry, 1);
        if (json_array_size(entry) == 2 && json_is_string(left) && json_is_string(right)) {
            *p = (parts){json_string_value(left), json_string_value(right), json_string_length(left),
                         json_string_length(right)};
        } else {
            return clora_fail(CLORA_ERROR_FORMAT, "%s: merge %zu is not a pair of strings", where, index);
        }
    } else {
        const char *text = json_string_value(entry), *space = text ? strchr(text, ' ') : NULL;
        if (!space || strchr(space + 1, ' '))
            return clora_fail(CLORA_ERROR_FORMAT, "%s: merge %zu is not two tokens with a blank between", where, index);
        *p = (parts){text, space + 1, (size_t)(space - text), json_string_length(entry) - (size_t)(space + 1 - text)};
    }
    if (p->left_size == 0 || p->right_size == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: merge %zu has an empty part", where, index);
    return CLORA_OK;
}

static clora_status find_token(int32_t *id, const vocab *v, const char *text, size_t size, size_t index,
                               const char *where) {
    char quoted[TEXT_EXCERPT];

    *id = vocab_find(v, text, size);
    if (*id < 0)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: merge %zu needs the token \"%s\", which is not in the vocabulary",
                          where, index, text_excerpt(quoted, text, size));
    return CLORA_OK;
}

/* A pair that is listed twice has the later rank. */
static void insert(merges *m, int32_t left, int32_t right, int32_t rank, int32_t id) {
    const uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t slot = merges_slot(m, pair);

    while (m->slots[slot].rank >= 0 && m->slots[slot].pair != pair)
        slot = (slot + 1) & m->mask;
    m->slots[slot] = (merge){pair, rank, id};
}

static size_t border_slot(const merges *m, uint32_t last, uint32_t first) {
    const uint64_t border = (uint64_t)last << 32 | first;
    size_t slot = merges_slot(m, border);

    while (m->borders[slot] != UINT64_MAX && m->borders[slot] != border)
        slot = (slot + 1) & m->mask;
    return slot;
}

bool merges_cross(const merges *m, uint32_t last, uint32_t first) {
    return m->borders[border_slot(m, last, first)] != UINT64_MAX;
}

static clora_status add(merges *m, text_buffer *joined, const parts *p, const vocab *v, size_t prefix, size_t index,
                        const char *where) {
    clora_status status = CLORA_OK;
    int32_t left, right, id;
    uint32_t last, first;

    TRY(find_token(&left, v, p->left, p->left_size, index, where));
    TRY(find_token(&right, v, p->right, p->right_size, index, where));
    if (p->right_size < prefix)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: merge %zu: the right part lacks continuing_subword_prefix", where,
                       index));
    joined->size = 0;
    TRY(text_append(joined, p->left, p->left_size));
    TRY(text_append(joined, p->right + prefix, p->right_size - prefix));
    TRY(find_token(&id, v, joined->data, joined->size, index, where));
    insert(m, left, right, (int32_t)index, id);
    utf8_decode_before(p->left, p->left_size, &last);
    utf8_decode(p->right, &first);
    m->borders[border_slot(m, last, first)] = (uint64_t)last << 32 | first;
done:
    return status;
}

static clora_status allocate(merges *m, size_t count) {
    size_t slots = 16;

    m->shift = 60;
    while (slots < count * 2) {
        slots *= 2;
        m->shift--;
    }
    m->mask = slots - 1;
    m->multiplier = hash_seed() | 1;
    m->slots = alloc_array(slots, sizeof(*m->slots));
    m->borders = alloc_array(slots, sizeof(*m->borders));
    if (!m->slots || !m->borders)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu merges", count);
    for (size_t i = 0; i < slots; i++) {
        m->slots[i].rank = -1;
        m->borders[i] = UINT64_MAX;
    }
    return CLORA_OK;
}

clora_status merges_init(merges *m, const json_t *list, const vocab *v, size_t prefix, const char *where) {
    const bool pairs = json_is_array(json_array_get(list, 0));
    clora_status status = CLORA_OK;
    text_buffer joined = {0};
    json_t *entry;
    size_t index;
    parts p = {0};

    *m = (merges){0};
    if (!json_is_array(list) || json_array_size(list) > MOST_MERGES)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"merges\" must be an array", where));
    TRY(allocate(m, json_array_size(list)));
    json_array_foreach (list, index, entry) {
        if (!pairs && json_is_string(entry) && strncmp(json_string_value(entry), "#version", 8) == 0)
            continue; /* the first line of old merges.txt files */
        TRY(read_parts(&p, entry, pairs, index, where));
        TRY(add(m, &joined, &p, v, prefix, index, where));
    }
done:
    text_finish(&joined);
    if (status != CLORA_OK)
        merges_finish(m);
    return status;
}

/* ---- By scores ---- */

typedef struct ranking {
    float score;
    int32_t id;
} ranking;

static int by_score(const void *a, const void *b) {
    const ranking *x = a, *y = b;

    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : (x->id > y->id) - (x->id < y->id);
}

/* The rank of each token, the best is 0; -1: no merge makes it. */
static clora_status rank_tokens(int32_t *rank, const scored_vocab *scored) {
    ranking *sorted = alloc_array(scored->count, sizeof(*sorted));
    size_t count = 0;

    if (!sorted)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer");
    for (size_t i = 0; i < scored->count; i++) {
        rank[i] = -1;
        if (scored->tokens[i].kind == SCORED_NORMAL)
            sorted[count++] = (ranking){scored->tokens[i].score, (int32_t)i};
    }
    qsort(sorted, count, sizeof(*sorted), by_score);
    for (size_t i = 0; i < count; i++)
        rank[sorted[i].id] = i > 0 && sorted[i].score == sorted[i - 1].score ? rank[sorted[i - 1].id] : (int32_t)i;
    free(sorted);
    return CLORA_OK;
}

/* The id of a part that may be merged, or -1. */
static int32_t find_part(const int32_t *rank, const vocab *v, const char *text, size_t size) {
    const int32_t id = vocab_find(v, text, size);

    return id >= 0 && rank[id] >= 0 ? id : -1;
}

/* All pairs of tokens that make one. Returns their number; without m they are only counted. */
static size_t split_token(merges *m, const int32_t *rank, const vocab *v, int32_t id) {
    const token_text *whole = &v->tokens[id];
    size_t count = 0;
    uint32_t last, first;

    for (size_t at = utf8_length(whole->text[0]); at < whole->size; at += utf8_length(whole->text[at])) {
        const int32_t left = find_part(rank, v, whole->text, at);
        const int32_t right = left < 0 ? -1 : find_part(rank, v, whole->text + at, whole->size - at);
        if (right < 0)
            continue;
        count++;
        if (!m)
            continue;
        insert(m, left, right, rank[id], id);
        utf8_decode_before(whole->text, at, &last);
        utf8_decode(whole->text + at, &first);
        m->borders[border_slot(m, last, first)] = (uint64_t)last << 32 | first;
    }
    return count;
}

/* Nothing but its characters can be the beginning of a token: each must be one. */
static clora_status check_token(const int32_t *rank, const vocab *v, int32_t id, const char *where) {
    const token_text *whole = &v->tokens[id];
    char quoted[TEXT_EXCERPT];

    if (whole->size == 0 || whole->size > LONGEST_SCORED)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: token %d has %zu bytes, clora knows 1 to %d", where, (int)id,
                          whole->size, LONGEST_SCORED);
    for (size_t at = 0, n; at < whole->size; at += n) {
        n = utf8_length(whole->text[at]);
        if (find_part(rank, v, whole->text + at, n) < 0)
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: the token \"%s\" has a character that is no token", where,
                              text_excerpt(quoted, whole->text, whole->size));
    }
    return CLORA_OK;
}

clora_status merges_init_scored(merges *m, const scored_vocab *scored, const vocab *v, const char *where) {
    int32_t *rank = alloc_array(scored->count, sizeof(*rank));
    clora_status status = CLORA_OK;
    size_t count = 0;

    *m = (merges){0};
    if (!rank)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a tokenizer"));
    TRY(rank_tokens(rank, scored));
    for (int32_t id = 0; id < v->size; id++)
        if (rank[id] >= 0) {
            TRY(check_token(rank, v, id, where));
            count += split_token(NULL, rank, v, id);
        }
    TRY(allocate(m, count));
    for (int32_t id = 0; id < v->size; id++)
        if (rank[id] >= 0)
            split_token(m, rank, v, id);
done:
    free(rank);
    if (status != CLORA_OK)
        merges_finish(m);
    return status;
}

void merges_finish(merges *m) {
    free(m->slots);
    free(m->borders);
    *m = (merges){0};
}
