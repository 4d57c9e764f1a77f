#include "template/template.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/utf8.h"
#include "template/parser.h"
#include "template/render.h"

enum { SOURCE_MAX = 1 << 20, PARSED_MAX = 128 << 20, RENDERED_MAX = 128 << 20, STEPS_MAX = 100 * 1000 * 1000 };

struct template {
    pool pool;
    char *name;
    node *statements;
};

clora_status template_parse(template **out, const char *name, const char *source, size_t size) {
    template *t = calloc(1, sizeof(*t));
    clora_status status = CLORA_OK;
    size_t bad = 0;

    *out = NULL;
    if (!t || !(t->name = alloc_string(name)))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a template"));
    if (size > SOURCE_MAX)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: a template of more than %d bytes", name, SOURCE_MAX));
    if (!utf8_valid(source, size, &bad))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: not UTF-8: byte %zu begins no character", name, bad));
    t->pool.limit = PARSED_MAX;
    TRY(parse_template(&t->statements, &t->pool, t->name, (span){source, size}));
    *out = t;
    t = NULL;
done:
    template_free(t);
    return status;
}

void template_free(template *t) {
    if (!t)
        return;
    pool_finish(&t->pool);
    free(t->name);
    free(t);
}

static bool has_marks(const node *n) {
    for (; n; n = n->next)
        if (n->kind == NODE_GENERATION || has_marks(n->list) || (n->kind >= NODE_TEXT && has_marks(n->other)))
            return true;
    return false;
}

bool template_marks(const template *t) {
    return has_marks(t->statements);
}

static clora_status give_text(template_result *out, const text_out *text) {
    out->text = alloc_string_n(text->size ? text->data : "", text->size);
    out->size = text->size;
    return out->text ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu bytes of text", text->size);
}

static clora_status set_values(render *r, const json_t *values) {
    clora_status status = CLORA_OK;
    value all;

    TRY(value_of_json(&all, r->pool, values));
    for (size_t i = 0; i < all.dict->count; i++)
        TRY(scope_set(r, all.dict->at[i].key.text, &all.dict->at[i].value));
done:
    return status;
}

clora_status template_render(template_result *out, const template *t, const json_t *values,
                             const template_options *options) {
    pool memory = {.limit = RENDERED_MAX};
    render r = {.pool = &memory,
                .left = STEPS_MAX,
                .options = options,
                .result = out,
                .text = {.pool = &memory},
                .keep = render_kept};
    const locale_t before = c_locale_enter();
    clora_status status = CLORA_OK;

    *out = (template_result){0};
    r.out = &r.text;
    TRY(scope_enter(&r, NULL));
    TRY(set_values(&r, values));
    TRY(scope_enter(&r, r.scope));
    TRY(render_statements(&r, t->statements));
    TRY(give_text(out, &r.text));
done:
    if (status != CLORA_OK)
        clora_fail_within(status, r.line ? "%s: line %d" : "%s", t->name, r.line);
    c_locale_leave(before);
    pool_finish(&memory);
    return status;
}

void template_result_finish(template_result *result) {
    free(result->text);
    free(result->learnt);
    *result = (template_result){0};
}
