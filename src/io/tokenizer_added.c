#include "io/tokenizer_added.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "io/tokenizer_json.h"
#include "io/tokenizer_unicode.h"

typedef struct added_node {
    uint32_t child, sibling; /* 0: none, the root is nobody's child */
    int32_t token;           /* index of the token that ends here, or -1 */
    char byte;
} added_node;

static clora_status new_node(added_tree *tree, char byte) {
    clora_status status = alloc_grow((void **)&tree->nodes, &tree->capacity, tree->count + 1, sizeof(*tree->nodes));

    if (status == CLORA_OK)
        tree->nodes[tree->count++] = (added_node){0, 0, -1, byte};
    return status;
}

static uint32_t find_child(const added_tree *tree, uint32_t node, char byte) {
    uint32_t child = tree->nodes[node].child;

    while (child && tree->nodes[child].byte != byte)
        child = tree->nodes[child].sibling;
    return child;
}

static clora_status insert(added_tree *tree, const added_token *token, int32_t index, const char *where) {
    char quoted[TEXT_EXCERPT];
    clora_status status = CLORA_OK;
    uint32_t node = 0;

    if (token->pattern_size == 0) /* normalized to nothing: is in no text */
        return CLORA_OK;
    if (tree->count == 0)
        TRY(new_node(tree, '\0'));
    tree->first[(unsigned char)token->pattern[0]] = true;
    for (size_t i = 0; i < token->pattern_size; i++) {
        uint32_t child = find_child(tree, node, token->pattern[i]);
        if (!child) {
            child = (uint32_t)tree->count;
            TRY(new_node(tree, token->pattern[i]));
            tree->nodes[child].sibling = tree->nodes[node].child;
            tree->nodes[node].child = child;
        }
        node = child;
    }
    if (tree->nodes[node].token >= 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" and another token are searched as the same text", where,
                       text_excerpt(quoted, token->content, token->size)));
    tree->nodes[node].token = index;
done:
    return status;
}

static clora_status read_token(added_token *token, int64_t *id, const json_t *object, const char *where) {
    clora_status status = CLORA_OK;
    const json_t *number = json_object_get(object, "id");
    const char *content;

    if (!json_is_integer(number))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"id\" must be an integer", where));
    *id = json_integer_value(number);
    TRY(component_string(&content, &token->size, object, "content", where));
    TRY(component_bool(&token->single_word, object, "single_word", where));
    TRY(component_bool(&token->lstrip, object, "lstrip", where));
    TRY(component_bool(&token->rstrip, object, "rstrip", where));
    TRY(component_bool(&token->normalized, object, "normalized", where));
    TRY(component_bool(&token->special, object, "special", where));
    token->content = alloc_string_n(content, token->size);
    if (!token->content)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an added token"));
done:
    return status;
}

static clora_status normalize(added_token *token, const normalizer *n) {
    normalizer_workspace space = {0};
    regex_workspace regex_space = {0};
    clora_status status = CLORA_OK;
    piece text = {.text = token->content, .size = token->size};

    text.marks[PIECE_FRONT] = text.size > 0 ? utf8_length(text.text[0]) : 0;

    if (token->normalized)
        TRY(normalizer_run(n, &text, &space, &regex_space));
    token->pattern_size = text.size;
    token->pattern = alloc_string_n(text.text ? text.text : "", text.size);
    if (!token->pattern)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an added token"));
done:
    normalizer_workspace_finish(&space);
    regex_workspace_finish(&regex_space);
    return status;
}

/*
 * An added token has the id that its text has in the vocabulary; the others are numbered on behind it. A file that says
 * otherwise contradicts itself.
 */
static clora_status check_id(added_token *token, int64_t id, const vocab *v, int32_t *next, const char *where) {
    char quoted[TEXT_EXCERPT];
    const int32_t known = vocab_find(v, token->content, token->size);

    token->id = known >= 0 ? known : (*next)++;
    if (token->id != id)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" has the id %lld where %d is its place", where,
                          text_excerpt(quoted, token->content, token->size), (long long)id, (int)token->id);
    return CLORA_OK;
}

static bool same_token(const added_token *x, const added_token *y) {
    return x->single_word == y->single_word && x->lstrip == y->lstrip && x->rstrip == y->rstrip &&
           x->normalized == y->normalized && x->special == y->special;
}

/* Takes the token over. Empty tokens, and tokens listed twice with the same properties, do not count. */
static clora_status add_token(added_tokens *a, added_token *token, int64_t id, const vocab *v, const normalizer *n,
                              int32_t *next, const char *where) {
    clora_status status = CLORA_OK;
    char quoted[TEXT_EXCERPT];

    if (token->size == 0)
        goto done;
    for (size_t i = 0; i < a->count; i++) {
        const added_token *other = &a->tokens[i];
        if (other->size != token->size || memcmp(other->content, token->content, token->size) != 0)
            continue;
        if (!same_token(other, token))
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" is listed twice, with different properties", where,
                           text_excerpt(quoted, token->content, token->size)));
        goto done;
    }
    TRY(check_id(token, id, v, next, where));
    TRY(normalize(token, n));
    TRY(alloc_grow((void **)&a->tokens, &a->capacity, a->count + 1, sizeof(*a->tokens)));
    a->tokens[a->count] = *token;
    *token = (added_token){0};
    a->count++;
    TRY(insert(a->tokens[a->count - 1].normalized ? &a->normalized : &a->plain, &a->tokens[a->count - 1],
               (int32_t)a->count - 1, where));
done:
    free(token->content);
    free(token->pattern);
    return status;
}

/* Decoding goes by the text it reads: that must be the text of a special token. */
static void mark_skipped(added_tokens *a) {
    for (size_t i = 0; i < a->count; i++) {
        added_token *token = &a->tokens[i];
        const int32_t same = added_find_text(a, token->pattern, token->pattern_size);
        for (size_t k = 0; same >= 0 && k < a->count; k++)
            token->skipped |= a->tokens[k].id == same && a->tokens[k].special;
    }
}

clora_status added_init(added_tokens *a, const json_t *list, const vocab *v, const normalizer *n, const char *where) {
    clora_status status = CLORA_OK;
    int32_t next = v->count;
    json_t *object;
    size_t index;
    int64_t id = -1;

    *a = (added_tokens){0};
    if (!list || json_is_null(list))
        return CLORA_OK;
    if (!json_is_array(list))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s must be an array", where));
    json_array_foreach(list, index, object) {
        added_token token = {0};
        status = read_token(&token, &id, object, where);
        if (status != CLORA_OK) {
            free(token.content);
            goto done;
        }
        TRY(add_token(a, &token, id, v, n, &next, where));
    }
    mark_skipped(a);
done:
    if (status != CLORA_OK)
        added_finish(a);
    return status;
}

void added_finish(added_tokens *a) {
    for (size_t i = 0; i < a->count; i++) {
        free(a->tokens[i].content);
        free(a->tokens[i].pattern);
    }
    free(a->tokens);
    free(a->plain.nodes);
    free(a->normalized.nodes);
    *a = (added_tokens){0};
}

const added_token *added_find_id(const added_tokens *a, int32_t id) {
    for (size_t i = 0; i < a->count; i++)
        if (a->tokens[i].id == id)
            return &a->tokens[i];
    return NULL;
}

int32_t added_find_text(const added_tokens *a, const char *content, size_t size) {
    for (size_t i = 0; i < a->count; i++)
        if (a->tokens[i].size == size && memcmp(a->tokens[i].content, content, size) == 0)
            return a->tokens[i].id;
    return -1;
}

/* The longest pattern that begins at the leftmost place where any begins. */
static const added_token *search(const added_tokens *a, const added_tree *tree, const piece *text, size_t from,
                                 size_t *start, size_t *end) {
    for (*start = from; *start < text->size; (*start)++) {
        if (!tree->first[(unsigned char)text->text[*start]])
            continue;
        int32_t longest = -1;
        uint32_t node = 0;
        for (size_t i = *start; i < text->size; i++) {
            node = find_child(tree, node, text->text[i]);
            if (!node)
                break;
            if (tree->nodes[node].token >= 0) {
                longest = tree->nodes[node].token;
                *end = i + 1;
            }
        }
        if (longest >= 0)
            return &a->tokens[longest];
    }
    return NULL;
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

static size_t spaces_before(const piece *text, size_t end) {
    uint32_t c;

    while (end > 0) {
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

static clora_status give_text(const added_sink *sink, const piece *text, size_t start, size_t end) {
    const piece part = piece_part(text, start, end);

    return sink->text(sink->user, &part);
}

clora_status added_split(const added_tokens *a, const added_tree *tree, const piece *text, const added_sink *sink) {
    clora_status status = CLORA_OK;
    size_t done_to = 0, at = 0, start, end = 0;
    const added_token *token;

    while (tree->count > 0 && (token = search(a, tree, text, at, &start, &end))) {
        at = end;
        if (token->single_word && !is_single_word(text, start, end))
            continue;
        if (token->lstrip)
            start = spaces_before(text, start);
        if (start < done_to) /* the token before may have taken these blanks */
            start = done_to;
        if (token->rstrip)
            end = spaces_after(text, end);
        if (done_to < start)
            TRY(give_text(sink, text, done_to, start));
        const piece found = piece_part(text, start, end);
        TRY(sink->token(sink->user, token->id, &found));
        done_to = end;
    }
    if (done_to < text->size)
        TRY(give_text(sink, text, done_to, text->size));
done:
    return status;
}
