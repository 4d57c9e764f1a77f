#include "tokenizer/normalize.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/components.h"
#include "tokenizer/forms.h"
#include "tokenizer/unicode.h"

typedef enum step_kind { STEP_PREPEND, STEP_REPLACE, STEP_CHARACTERS, STEP_STRIP, STEP_FORM, STEP_CHARSMAP } step_kind;

typedef struct step {
    step_kind kind;
    char *content; /* Prepend, Replace */
    size_t content_size;
    regex *pattern;                                 /* Replace */
    bool left, right;                               /* Strip */
    size_t (*rewrite)(uint32_t out[2], uint32_t c); /* each character by itself: up to two take its place */
    charsmap *map;                                  /* Precompiled */
    bool compatible, compose;                       /* Unicode forms */
} step;

struct normalizer {
    step *steps;
    size_t count, capacity;
    char *where; /* "path: normalizer" */
};

static clora_status read_content(step *s, const json_t *specification, const char *key, const char *where) {
    const char *content;
    clora_status status = component_string(&content, &s->content_size, specification, key, where);

    if (status != CLORA_OK)
        return status;
    s->content = alloc_string_n(content, s->content_size);
    return s->content ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for a normalizer");
}

static clora_status read_step(step *s, const json_t *specification, const char *type, const char *where) {
    static const char *const forms[] = {"NFD", "NFC", "NFKD", "NFKC"}; /* index: 1 composes, 2 is compatible */
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < 4; i++)
        if (strcmp(type, forms[i]) == 0) {
            s->kind = STEP_FORM;
            s->compose = i & 1;
            s->compatible = i & 2;
            return CLORA_OK;
        }
    if (strcmp(type, "Prepend") == 0) {
        s->kind = STEP_PREPEND;
        TRY(read_content(s, specification, "prepend", where));
    } else if (strcmp(type, "Replace") == 0) {
        s->kind = STEP_REPLACE;
        TRY(read_content(s, specification, "content", where));
        TRY(regex_create_json(&s->pattern, json_object_get(specification, "pattern"), where));
    } else if (strcmp(type, "Lowercase") == 0) {
        s->kind = STEP_CHARACTERS;
        s->rewrite = unicode_lowercase;
    } else if (strcmp(type, "StripAccents") == 0) {
        s->kind = STEP_CHARACTERS;
        s->rewrite = unicode_without_marks;
    } else if (strcmp(type, "Nmt") == 0) {
        s->kind = STEP_CHARACTERS;
        s->rewrite = unicode_nmt;
    } else if (strcmp(type, "Precompiled") == 0) {
        s->kind = STEP_CHARSMAP;
        TRY(charsmap_create(&s->map, specification, where));
    } else if (strcmp(type, "Strip") == 0) {
        s->kind = STEP_STRIP;
        TRY(component_bool(&s->left, specification, "strip_left", where));
        TRY(component_bool(&s->right, specification, "strip_right", where));
    } else {
        TRY(clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "%s: unknown type \"%s\" (clora knows Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Nmt, Precompiled, "
            "Lowercase, StripAccents and Strip)",
            where, type));
    }
done:
    return status;
}

static clora_status add_step(void *user, const json_t *specification, const char *type, const char *where) {
    normalizer *n = user;
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&n->steps, &n->capacity, n->count + 1, sizeof(*n->steps)));
    n->steps[n->count] = (step){0};
    TRY(read_step(&n->steps[n->count++], specification, type, where));
done:
    return status;
}

clora_status normalizer_create(normalizer **out, const json_t *specification, const char *where) {
    clora_status status = CLORA_OK;
    normalizer *n = NULL;

    *out = NULL;
    if (!specification || json_is_null(specification))
        return CLORA_OK;
    n = calloc(1, sizeof(*n));
    if (!n || !(n->where = alloc_string(where)))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a normalizer"));
    TRY(component_each(specification, "normalizers", where, add_step, n));
    *out = n;
    n = NULL;
done:
    normalizer_free(n);
    return status;
}

void normalizer_free(normalizer *n) {
    if (!n)
        return;
    for (size_t i = 0; i < n->count; i++) {
        free(n->steps[i].content);
        regex_free(n->steps[i].pattern);
        charsmap_free(n->steps[i].map);
    }
    free(n->steps);
    free(n->where);
    free(n);
}

void normalizer_workspace_finish(normalizer_workspace *workspace) {
    text_finish(&workspace->buffers[0]);
    text_finish(&workspace->buffers[1]);
    text_finish(&workspace->code_points);
    text_finish(&workspace->sorted);
    text_finish(&workspace->halves);
}

static clora_status prepend(text_buffer *out, piece *to, const step *s, const piece *in) {
    const size_t added = in->continues ? 0 : s->content_size;
    clora_status status = CLORA_OK;

    piece_prefixed(to, in, added);
    TRY(text_append(out, s->content, added));
    TRY(text_append(out, in->text, in->size));
done:
    return status;
}

static clora_status replace(text_buffer *out, piece *to, const step *s, const piece *in,
                            normalizer_workspace *workspace, regex_workspace *space) {
    const size_t border = in->marks[PIECE_BORDER];
    clora_status status = CLORA_OK;
    regex_search search;
    size_t last = 0, start, end;
    bool found;

    TRY(regex_search_begin(&search, s->pattern, space, in->text, in->size));
    for (;;) {
        TRY(regex_search_next(&search, &found, &start, &end));
        if (!found)
            break;
        TRY(text_append(out, in->text + last, start - last));
        piece_copied(to, in, last, start, out->size);
        TRY(text_append(out, s->content, s->content_size));
        piece_replaced(to, in, end, out->size);
        workspace->crossed |= start < border && border < end;
        last = end;
    }
    TRY(text_append(out, in->text + last, in->size - last));
    piece_copied(to, in, last, in->size, out->size);
done:
    return status;
}

static clora_status rewrite(text_buffer *out, piece *to, const step *s, const piece *in) {
    clora_status status = CLORA_OK;
    uint32_t c, written[2];

    for (size_t i = 0; i < in->size;) {
        i += utf8_decode(in->text + i, &c);
        const size_t n = s->rewrite(written, c);
        for (size_t k = 0; k < n; k++)
            TRY(text_append_char(out, written[k]));
        piece_replaced(to, in, i, out->size);
    }
done:
    return status;
}

static void strip(piece *text, const step *s) {
    size_t start = 0, end = text->size;
    uint32_t c;

    while (s->left && start < end) {
        const size_t n = utf8_decode(text->text + start, &c);
        if (!unicode_is_space(c))
            break;
        start += n;
    }
    while (s->right && end > start) {
        const size_t n = utf8_decode_before(text->text, end, &c);
        if (!unicode_is_space(c))
            break;
        end -= n;
    }
    const bool continues = text->continues;
    *text = piece_part(text, start, end);
    text->continues = continues;
}

static clora_status run_step(text_buffer *out, piece *to, const step *s, const piece *in,
                             normalizer_workspace *workspace, regex_workspace *regex_space) {
    switch (s->kind) {
    case STEP_PREPEND: return prepend(out, to, s, in);
    case STEP_REPLACE: return replace(out, to, s, in, workspace, regex_space);
    case STEP_CHARACTERS: return rewrite(out, to, s, in);
    case STEP_CHARSMAP: return charsmap_normalize(out, to, s->map, in, &workspace->crossed);
    case STEP_FORM: return forms_normalize(out, to, in, s->compatible, s->compose, workspace);
    case STEP_STRIP: break; /* needs no room of its own */
    }
    return CLORA_OK;
}

clora_status normalizer_run(const normalizer *n, piece *text, normalizer_workspace *workspace,
                            regex_workspace *regex_space) {
    clora_status status = CLORA_OK;
    size_t turn = 0;

    if (n)
        workspace->budget.where = n->where;
    for (size_t i = 0; n && i < n->count && text->size > 0; i++) {
        const step *s = &n->steps[i];
        if (s->kind == STEP_STRIP) {
            strip(text, s);
            continue;
        }
        text_buffer *out = &workspace->buffers[turn++ & 1]; /* the other one may hold the input */
        piece result = {.continues = text->continues};
        text_begin(out, &workspace->budget, text->size);
        TRY(run_step(out, &result, s, text, workspace, regex_space));
        TRY(text_end(out, &workspace->budget));
        result.text = out->data;
        result.size = out->size;
        *text = result;
    }
done:
    return status;
}
