#include <stdlib.h>

#include "base/alloc.h"
#include "tokenizer/added.h"
#include "tokenizer/unicode.h"

typedef struct added_node {
    uint32_t child, sibling; /* 0: none, the root is nobody's child */
    uint32_t shorter;        /* the node of the longest proper suffix that is in the tree */
    int32_t token;           /* place of the longest token that ends here, or -1 */
    char byte;
} added_node;

/* A token's pattern begins here. */
typedef struct added_match {
    size_t start;
    int32_t token;
} added_match;

typedef struct match_list {
    added_match *data;
    size_t count, capacity;
} match_list;

static clora_status new_node(added_search *s, char byte) {
    clora_status status = alloc_grow((void **)&s->nodes, &s->capacity, s->count + 1, sizeof(*s->nodes));

    if (status == CLORA_OK)
        s->nodes[s->count++] = (added_node){.token = -1, .byte = byte};
    return status;
}

static uint32_t find_child(const added_search *s, uint32_t node, char byte) {
    if (node == 0)
        return s->root[(unsigned char)byte];
    uint32_t child = s->nodes[node].child;
    while (child && s->nodes[child].byte != byte)
        child = s->nodes[child].sibling;
    return child;
}

static clora_status add_child(added_search *s, uint32_t *child, uint32_t node, char byte) {
    clora_status status = CLORA_OK;

    *child = (uint32_t)s->count;
    TRY(new_node(s, byte));
    s->nodes[*child].sibling = s->nodes[node].child;
    s->nodes[node].child = *child;
    if (node == 0)
        s->root[(unsigned char)byte] = *child;
done:
    return status;
}

clora_status added_search_add(added_search *s, const added_token *tokens, int32_t place, bool *taken) {
    const added_token *token = &tokens[place];
    clora_status status = CLORA_OK;
    uint32_t node = 0, child;

    *taken = false;
    if (token->pattern_size == 0) /* normalized to nothing: is in no text */
        return CLORA_OK;
    if (s->count == 0)
        TRY(new_node(s, '\0'));
    for (size_t i = token->pattern_size; i-- > 0; node = child) {
        child = find_child(s, node, token->pattern[i]);
        if (!child)
            TRY(add_child(s, &child, node, token->pattern[i]));
    }
    *taken = s->nodes[node].token >= 0;
    if (!*taken)
        s->nodes[node].token = place;
done:
    return status;
}

/* From the node of what was read so far to that of what is read with one more byte. */
static uint32_t step(const added_search *s, uint32_t node, char byte) {
    uint32_t next;

    while (!(next = find_child(s, node, byte)) && node)
        node = s->nodes[node].shorter;
    return next;
}

/* The parent is linked, and so is all that is nearer to the root. */
static void link_node(added_search *s, uint32_t node, uint32_t parent) {
    added_node *n = &s->nodes[node];

    n->shorter = parent ? step(s, s->nodes[parent].shorter, n->byte) : 0;
    if (n->token < 0)
        n->token = s->nodes[n->shorter].token;
}

clora_status added_search_link(added_search *s) {
    uint32_t *queue = alloc_array(s->count, sizeof(*queue)); /* by distance from the root, which comes first */
    size_t queued = 1;

    if (!queue)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the added tokens");
    for (size_t i = 0; i < s->count; i++)
        for (uint32_t child = s->nodes[queue[i]].child; child; child = s->nodes[child].sibling) {
            link_node(s, child, queue[i]);
            queue[queued++] = child;
        }
    free(queue);
    return CLORA_OK;
}

void added_search_finish(added_search *s) {
    free(s->nodes);
    *s = (added_search){.count = 0};
}

/* All places where a pattern begins, from the last to the first, and the longest that does. */
static clora_status find_all(match_list *found, const added_search *s, const piece *text) {
    clora_status status = CLORA_OK;
    uint32_t node = 0;

    for (size_t i = text->size; i-- > 0;) {
        node = step(s, node, text->text[i]);
        if (s->nodes[node].token < 0)
            continue;
        TRY(alloc_grow((void **)&found->data, &found->capacity, found->count + 1, sizeof(*found->data)));
        found->data[found->count++] = (added_match){i, s->nodes[node].token};
    }
done:
    return status;
}

static bool is_single_word(const piece *text, size_t start, size_t end) {
    uint32_t c;

    if (start > 0) {
        utf8_decode_before(text->text, start, &c);
        if (unicode_is_word(c))
            return false;
    }
    if (end == text->size)
        return true;
    utf8_decode(text->text + end, &c);
    return !unicode_is_word(c);
}

/* Where the blanks before `end` begin, as far back as `from`. */
static size_t spaces_before(const piece *text, size_t from, size_t end) {
    uint32_t c;

    while (end > from) {
        const size_t n = utf8_decode_before(text->text, end, &c);
        if (!unicode_is_space(c))
            break;
        end -= n;
    }
    return end;
}

static size_t spaces_after(const piece *text, size_t start) {
    uint32_t c;

    while (start < text->size) {
        const size_t n = utf8_decode(text->text + start, &c);
        if (!unicode_is_space(c))
            break;
        start += n;
    }
    return start;
}

/* A text on its way through its tokens. */
typedef struct splitting {
    const piece *text;
    const added_sink *sink;
    size_t done_to;
    size_t blank_from, blank_to; /* blanks that rstrip has walked over before */
} splitting;

static size_t strip_right(splitting *s, size_t end) {
    if (end < s->blank_from || end > s->blank_to) {
        s->blank_from = end;
        s->blank_to = spaces_after(s->text, end);
    }
    return s->blank_to;
}

static clora_status give_text(const splitting *s, size_t start, size_t end) {
    const piece part = piece_part(s->text, start, end);

    return s->sink->text(s->sink->user, &part);
}

/* The token before may have taken blanks that belong to this one too: it is still there. */
static clora_status give_token(splitting *s, const added_token *token, size_t start, size_t end) {
    clora_status status = CLORA_OK;

    if (token->lstrip)
        start = spaces_before(s->text, s->done_to, start);
    if (token->rstrip)
        end = strip_right(s, end);
    if (s->done_to < start)
        TRY(give_text(s, s->done_to, start));
    const piece taken = piece_part(s->text, start, end);
    TRY(s->sink->token(s->sink->user, token->id, &taken));
    s->done_to = end;
done:
    return status;
}

/* The longest pattern at the leftmost place where any begins, and so on after it. */
static clora_status split(const added_tokens *a, const match_list *found, splitting *s) {
    clora_status status = CLORA_OK;
    size_t at = 0;

    for (size_t i = found->count; i-- > 0;) {
        const added_token *token = &a->tokens[found->data[i].token];
        const size_t start = found->data[i].start, end = start + token->pattern_size;
        if (start < at)
            continue;
        at = end;
        if (!token->single_word || is_single_word(s->text, start, end))
            TRY(give_token(s, token, start, end));
    }
    if (s->done_to < s->text->size)
        TRY(give_text(s, s->done_to, s->text->size));
done:
    return status;
}

clora_status added_split(const added_tokens *a, const added_search *search, const piece *text, const added_sink *sink) {
    splitting s = {.text = text, .sink = sink, .blank_from = 1};
    clora_status status = CLORA_OK;
    match_list found = {0};

    if (search->count > 0)
        TRY(find_all(&found, search, text));
    TRY(split(a, &found, &s));
done:
    free(found.data);
    return status;
}
