#include "tokenizer/added.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "tokenizer/components.h"

/* The tokens on their way from the file. */
typedef struct added_reading {
    added_tokens *added;
    const vocab *vocab;
    const normalizer *normalizer;
    normalizer_workspace space;
    regex_workspace regex_space;
    int32_t next; /* the id of the next token that is not in the vocabulary */
    const char *where;
} added_reading;

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

static clora_status normalize(added_reading *r, added_token *token) {
    piece text = {.text = token->content, .size = token->size, .marks = {utf8_length(token->content[0])}};
    clora_status status = CLORA_OK;

    r->space.budget.given += token->size;
    if (token->normalized)
        TRY(normalizer_run(r->normalizer, &text, &r->space, &r->regex_space));
    token->pattern_size = text.size;
    token->pattern = alloc_string_n(text.text ? text.text : "", text.size);
    if (!token->pattern)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an added token"));
done:
    return status;
}

/*
 * An added token has the id that its text has in the vocabulary; the others are numbered on from there. A file that
 * says otherwise contradicts itself.
 */
static clora_status check_id(added_reading *r, added_token *token, int64_t id) {
    char quoted[TEXT_EXCERPT];
    const int32_t known = vocab_find(r->vocab, token->content, token->size);

    token->id = known >= 0 ? known : r->next++;
    if (token->id != id)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" has the id %lld where %d is its place", r->where,
                          text_excerpt(quoted, token->content, token->size), (long long)id, (int)token->id);
    return CLORA_OK;
}

static bool same_token(const added_token *x, const added_token *y) {
    return x->single_word == y->single_word && x->lstrip == y->lstrip && x->rstrip == y->rstrip &&
           x->normalized == y->normalized && x->special == y->special;
}

static clora_status check_twin(const added_token *other, const added_token *token, const char *where) {
    char quoted[TEXT_EXCERPT];

    if (same_token(other, token))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" is listed twice, with different properties", where,
                      text_excerpt(quoted, token->content, token->size));
}

static clora_status make_searchable(added_reading *r, int32_t place) {
    const added_token *token = &r->added->tokens[place];
    char quoted[TEXT_EXCERPT];
    clora_status status = CLORA_OK;
    bool taken;

    TRY(added_search_add(token->normalized ? &r->added->normalized : &r->added->plain, r->added->tokens, place,
                         &taken));
    if (taken)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" and another token are searched as the same text", r->where,
                       text_excerpt(quoted, token->content, token->size)));
done:
    return status;
}

/* Takes the token over. Empty tokens, and tokens listed twice with the same properties, do not count. */
static clora_status add_token(added_reading *r, added_token *token, int64_t id) {
    added_tokens *a = r->added;
    const int32_t twin = token_index_find(&a->index, a->contents, token->content, token->size);
    const int32_t place = (int32_t)a->count;
    clora_status status = CLORA_OK;

    if (token->size == 0)
        goto done;
    if (twin >= 0) {
        status = check_twin(&a->tokens[twin], token, r->where);
        goto done;
    }
    TRY(check_id(r, token, id));
    TRY(normalize(r, token));
    a->tokens[a->count++] = *token;
    a->contents[place] = (token_text){token->content, token->size};
    token_index_add(&a->index, a->contents, place);
    *token = (added_token){0};
    TRY(make_searchable(r, place));
done:
    free(token->content);
    free(token->pattern);
    return status;
}

/* Decoding goes by the text it reads: that must be the text of a special token. */
static void mark_skipped(added_tokens *a) {
    for (size_t i = 0; i < a->count; i++) {
        added_token *token = &a->tokens[i];
        const int32_t same = token_index_find(&a->index, a->contents, token->pattern, token->pattern_size);
        token->skipped = same >= 0 && a->tokens[same].special;
    }
}

static clora_status read_all(added_reading *r, const json_t *list) {
    clora_status status = CLORA_OK;
    json_t *object;
    size_t index;
    int64_t id = -1;

    json_array_foreach (list, index, object) {
        added_token token = {0};
        status = read_token(&token, &id, object, r->where);
        if (status != CLORA_OK) {
            free(token.content);
            goto done;
        }
        TRY(add_token(r, &token, id));
    }
    mark_skipped(r->added);
    TRY(added_search_link(&r->added->plain));
    TRY(added_search_link(&r->added->normalized));
done:
    return status;
}

clora_status added_init(added_tokens *a, const json_t *list, const vocab *v, const normalizer *n, const char *where) {
    added_reading r = {.added = a, .vocab = v, .normalizer = n, .next = v->count, .where = where};
    const size_t most = json_array_size(list);
    clora_status status = CLORA_OK;

    *a = (added_tokens){0};
    if (list && !json_is_null(list) && !json_is_array(list))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s must be an array", where));
    TRY(token_index_init(&a->index, most));
    a->tokens = alloc_array(most, sizeof(*a->tokens));
    a->contents = alloc_array(most, sizeof(*a->contents));
    if (!a->tokens || !a->contents)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the added tokens"));
    TRY(read_all(&r, list));
done:
    normalizer_workspace_finish(&r.space);
    regex_workspace_finish(&r.regex_space);
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
    free(a->contents);
    token_index_finish(&a->index);
    added_search_finish(&a->plain);
    added_search_finish(&a->normalized);
    *a = (added_tokens){0};
}

int32_t added_find_text(const added_tokens *a, const char *content, size_t size) {
    const int32_t place = token_index_find(&a->index, a->contents, content, size);

    return place >= 0 ? a->tokens[place].id : -1;
}
