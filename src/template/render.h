#ifndef CLORA_TEMPLATE_RENDER_H
#define CLORA_TEMPLATE_RENDER_H

#include <time.h>

#include "template/node.h"
#include "template/template.h"
#include "template/texts.h"

/*
 * A template's tree is walked with the values of a conversation. Whoever wrote it, the walk ends: everything that takes
 * time takes from `left`, everything that takes memory from the pool's limit, and what calls itself counts `depth`.
 */

typedef struct binding {
    span name;
    value value;
    struct binding *next;
} binding;

/* The names that a statement sees: its own and those around it. */
typedef struct scope {
    struct scope *outer;
    binding *first;
} scope;

typedef enum render_jump { JUMP_NONE, JUMP_BREAK, JUMP_CONTINUE } render_jump;

typedef struct render {
    pool *pool;
    int line; /* of what is being evaluated */
    int depth;
    size_t left; /* steps */
    scope *scope;
    text_out *out;
    text_out text; /* the whole's: out points here but within a macro or a block that is kept */
    render_jump jump;
    clora_status (*keep)(value *out, struct render *r, const node *first); /* render_kept: for the body of a macro */
    const template_options *options;
    template_result *result;
} render;

typedef struct named_value {
    span name;
    value value;
} named_value;

/* What a filter, a test, a method or a function is called with. */
typedef struct call {
    value subject; /* of all but functions */
    const value *at;
    size_t count;
    const named_value *named;
    size_t named_count;
    value in[4]; /* the arguments by the builtin's parameters: VALUE_ABSENT where one was not given */
} call;

typedef struct builtin {
    const char *name;
    int needed; /* of the parameters; ANY: it reads `at` and `named` itself */
    const char *parameters[4];
    clora_status (*run)(value *out, render *r, const call *c);
} builtin;

enum { ANY = -1, RENDER_DEPTH_MAX = 500 };

typedef struct bound_method {
    value subject;
    const builtin *method;
} bound_method;

typedef struct macro {
    const node *node;
    scope *scope; /* where it was made */
} macro;

typedef struct loop_state {
    const value_list *list;
    size_t index;
} loop_state;

/* ---- Expressions (expressions.c) ---- */

clora_status evaluate(value *out, render *r, const node *n);
clora_status evaluate_filters(value *out, render *r, const node *chain, const value *subject); /* chain may be NULL */

/* ---- Names (scope.c) ---- */

clora_status scope_enter(render *r, scope *outer); /* leave: r->scope = what it was */
clora_status scope_set(render *r, span name, const value *v);
const value *scope_find(render *r, span name); /* NULL when it is not there */

/* ---- Statements (statements.c) ---- */

clora_status render_statements(render *r, const node *first);

/* The text of statements as a value, and not as output. */
clora_status render_kept(value *out, render *r, const node *first);

/* ---- What is called by its name (builtins.c) ---- */

clora_status call_builtin(value *out, render *r, const builtin *b, call *c);

/* The filter or test of a name; an error when there is none. */
clora_status call_filter(value *out, render *r, span name, call *c);
clora_status call_test(bool *out, render *r, span name, call *c);
clora_status builtins_find(const builtin **out, const char *what, const builtin *table, span name);

extern const builtin filter_builtins[], test_builtins[], function_builtins[];
const builtin *filters_find(span name); /* of both tables */
extern const builtin item_filter_builtins[], text_method_builtins[], dict_method_builtins[];

/* ---- Parts of values (access.c) ---- */

clora_status access_attribute(value *out, render *r, const value *of, span name);
clora_status access_item(value *out, render *r, const value *of, const value *key);
clora_status access_slice(value *out, render *r, const value *of, const value part[3]);

/* "a.b.0", as filters take it. */
clora_status access_path(value *out, render *r, const value *of, const value *path);

/* The items of what a loop can walk over: characters, keys. An error for what has none. */
clora_status access_items(value_list **out, render *r, const value *of);

/* ---- Operators (operators.c) ---- */

clora_status operate(value *out, render *r, span sign, const value *a, const value *b);
clora_status operate_compare(bool *out, render *r, span sign, const value *a, const value *b);

/* ---- Arguments (arguments.c) ---- */

/* Take steps; an error when there are no more. */
clora_status render_spend(render *r, size_t steps);

clora_status need_defined(const value *v);
clora_status need_text(span *out, const value *v, const char *what);
clora_status need_integer(int64_t *out, const value *v, const char *what);

/* str(v) as a text of its own; a text keeps being marked by `safe`. */
clora_status text_of_value(value *out, render *r, const value *v);

#endif
