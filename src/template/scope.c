#include "template/render.h"

clora_status scope_enter(render *r, scope *outer) {
    clora_status status = CLORA_OK;
    scope *inner = NULL;

    TRY(pool_take(&inner, r->pool, 1, sizeof(*inner)));
    inner->outer = outer;
    r->scope = inner;
done:
    return status;
}

static binding *find_in(render *r, const scope *s, span name) {
    for (binding *b = s->first; b; b = b->next) {
        r->left -= r->left > 0; /* what is left is looked at with the next step */
        if (span_equal(b->name, name))
            return b;
    }
    return NULL;
}

clora_status scope_set(render *r, span name, const value *v) {
    clora_status status = CLORA_OK;
    binding *b = find_in(r, r->scope, name);

    if (!b) {
        TRY(pool_take(&b, r->pool, 1, sizeof(*b)));
        *b = (binding){.name = name, .next = r->scope->first};
        r->scope->first = b;
    }
    b->value = *v;
done:
    return status;
}

const value *scope_find(render *r, span name) {
    for (const scope *s = r->scope; s; s = s->outer) {
        const binding *b = find_in(r, s, name);
        if (b)
            return &b->value;
    }
    return NULL;
}
