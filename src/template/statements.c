#include "template/render.h"

#include <stdlib.h>

#include "base/alloc.h"

/* ---- Names ---- */

static clora_status set_member(render *r, const node *target, const value *v) {
    const value *space = scope_find(r, target->a->text), name = value_text(target->text);

    if (!space || space->kind != VALUE_NAMESPACE)
        return clora_fail(CLORA_ERROR_FORMAT, "'%.*s' is no namespace: its members cannot be set",
                          (int)target->a->text.size, target->a->text.data);
    if (target->text.data[0] == '_')
        return clora_fail(CLORA_ERROR_FORMAT, "a member of a namespace must not begin with _");
    return value_dict_set(space->dict, r->pool, &name, v);
}

static clora_status unpack(render *r, const node *target, const value *v) {
    clora_status status = CLORA_OK;
    value_list *items = NULL;
    size_t i = 0;

    TRY(access_items(&items, r, v));
    for (const node *name = target->list; name; name = name->next, i++)
        if (i < items->count)
            TRY(scope_set(r, name->text, &items->at[i]));
    if (i != items->count)
        status = clora_fail(CLORA_ERROR_FORMAT, "%zu values for %zu names", items->count, i);
done:
    return status;
}

static clora_status assign(render *r, const node *target, const value *v) {
    if (target->kind == NODE_MEMBER)
        return set_member(r, target, v);
    return target->kind == NODE_TUPLE ? unpack(r, target, v) : scope_set(r, target->text, v);
}

/* ---- Blocks whose text is kept ---- */

clora_status render_kept(value *out, render *r, const node *first) {
    text_out *before = r->out, text = {.pool = r->pool};
    scope *around = r->scope;
    clora_status status = CLORA_OK;

    r->out = &text;
    TRY(scope_enter(r, around));
    TRY(render_statements(r, first));
    *out = value_text(text_of(&text));
done:
    r->out = before;
    r->scope = around;
    return status;
}

static clora_status render_set_block(render *r, const node *n) {
    clora_status status = CLORA_OK;
    value text, filtered;

    TRY(render_kept(&text, r, n->list));
    TRY(evaluate_filters(&filtered, r, n->b, &text));
    TRY(assign(r, n->a, &filtered));
done:
    return status;
}

static clora_status render_filtered(render *r, const node *n) {
    clora_status status = CLORA_OK;
    value text, filtered;

    TRY(render_kept(&text, r, n->list));
    TRY(evaluate_filters(&filtered, r, n->b, &text));
    TRY(text_put_value(r->out, &filtered));
done:
    return status;
}

static clora_status render_macro(render *r, const node *n) {
    clora_status status = CLORA_OK;
    macro *m = NULL;

    TRY(pool_take(&m, r->pool, 1, sizeof(*m)));
    *m = (macro){n, r->scope};
    TRY(scope_set(r, n->text, &(value){.kind = VALUE_MACRO, .macro = m}));
done:
    return status;
}

static clora_status mark_learnt(render *r, size_t from) {
    template_result *result = r->result;
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&result->learnt, &result->learnt_room, result->learnt_count + 1, sizeof(*result->learnt)));
    result->learnt[result->learnt_count++] = (template_range){from, r->text.size};
done:
    return status;
}

static clora_status render_generation(render *r, const node *n) {
    const size_t from = r->text.size;
    scope *around = r->scope;
    clora_status status = CLORA_OK;

    if (r->out != &r->text)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "{%% generation %%} in a macro or a block that is kept");
    TRY(scope_enter(r, around));
    TRY(render_statements(r, n->list));
    TRY(mark_learnt(r, from));
done:
    r->scope = around;
    return status;
}

/* ---- Loops ---- */

/* What is left of the items by the loop's condition. */
static clora_status choose_items(value_list **out, render *r, const node *n, const value_list *all) {
    scope *around = r->scope;
    clora_status status = CLORA_OK;
    value chosen, truth;

    TRY(value_list_new(&chosen, r->pool, VALUE_LIST, all->count));
    chosen.list->count = 0;
    for (size_t i = 0; i < all->count; i++) {
        TRY(scope_enter(r, around));
        TRY(assign(r, n->a, &all->at[i]));
        TRY(evaluate(&truth, r, n->c));
        if (value_truth(&truth))
            chosen.list->at[chosen.list->count++] = all->at[i];
    }
    *out = chosen.list;
done:
    r->scope = around;
    return status;
}

static clora_status render_item(render *r, const node *n, const loop_state *loop) {
    clora_status status = CLORA_OK;

    TRY(assign(r, n->a, &loop->list->at[loop->index]));
    TRY(scope_set(r, SPAN("loop"), &(value){.kind = VALUE_LOOP, .loop = loop}));
    TRY(render_statements(r, n->list));
done:
    return status;
}

static clora_status render_for(render *r, const node *n) {
    scope *around = r->scope;
    clora_status status = CLORA_OK;
    value_list *items = NULL;
    loop_state *loop = NULL;
    value over;

    TRY(evaluate(&over, r, n->b));
    TRY(access_items(&items, r, &over));
    if (n->c)
        TRY(choose_items(&items, r, n, items));
    for (size_t i = 0; i < items->count && r->jump != JUMP_BREAK; i++) {
        r->jump = JUMP_NONE;
        TRY(pool_take(&loop, r->pool, 1, sizeof(*loop)));
        *loop = (loop_state){items, i};
        TRY(scope_enter(r, around));
        TRY(render_item(r, n, loop));
    }
    r->jump = JUMP_NONE;
    if (items->count == 0) {
        TRY(scope_enter(r, around));
        TRY(render_statements(r, n->other));
    }
done:
    r->scope = around;
    return status;
}

/* ---- All of them ---- */

static clora_status render_if(render *r, const node *n) {
    clora_status status = CLORA_OK;
    value truth;

    for (; n && n->kind == NODE_IF; n = n->other) {
        r->line = n->line;
        TRY(evaluate(&truth, r, n->a));
        if (value_truth(&truth))
            return render_statements(r, n->list);
        if (n->other && (n->other->kind != NODE_IF || n->other->next))
            return render_statements(r, n->other);
    }
done:
    return status;
}

static clora_status render_output(render *r, const node *n) {
    clora_status status = CLORA_OK;
    value v;

    TRY(evaluate(&v, r, n->a));
    TRY(text_put_value(r->out, &v));
done:
    return status;
}

static clora_status render_set(render *r, const node *n) {
    clora_status status = CLORA_OK;
    value v;

    TRY(evaluate(&v, r, n->b));
    TRY(assign(r, n->a, &v));
done:
    return status;
}

static clora_status render_statement(render *r, const node *n) {
    switch (n->kind) {
    case NODE_TEXT: return text_put(r->out, n->text);
    case NODE_OUTPUT: return render_output(r, n);
    case NODE_IF: return render_if(r, n);
    case NODE_FOR: return render_for(r, n);
    case NODE_SET: return render_set(r, n);
    case NODE_SET_BLOCK: return render_set_block(r, n);
    case NODE_MACRO: return render_macro(r, n);
    case NODE_GENERATION: return render_generation(r, n);
    case NODE_FILTERED: return render_filtered(r, n);
    case NODE_BREAK: r->jump = JUMP_BREAK; break;
    default: r->jump = JUMP_CONTINUE; break;
    }
    return CLORA_OK;
}

clora_status render_statements(render *r, const node *first) {
    clora_status status = CLORA_OK;

    if (++r->depth > RENDER_DEPTH_MAX)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "macros or expressions lie too deep in each other");
    for (const node *n = first; n && r->jump == JUMP_NONE; n = n->next) {
        r->line = n->line;
        TRY(render_spend(r, 10));
        TRY(render_statement(r, n));
    }
    r->depth--;
done:
    return status;
}
