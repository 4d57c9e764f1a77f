#include "template/render.h"

/* What may follow "is". */

#define TEST(name, condition)                                             \
    static clora_status is_##name(value *out, render *r, const call *c) { \
        const value *v = &c->subject;                                     \
        (void)r;                                                          \
        *out = value_boolean(condition);                                  \
        return CLORA_OK;                                                  \
    }

TEST(boolean, v->kind == VALUE_BOOLEAN)
TEST(callable, v->kind >= VALUE_MACRO || v->kind == VALUE_LOOP || v->kind == VALUE_UNDEFINED)
TEST(defined, v->kind != VALUE_UNDEFINED)
TEST(undefined, v->kind == VALUE_UNDEFINED)
TEST(false, v->kind == VALUE_BOOLEAN && !v->boolean)
TEST(true, v->kind == VALUE_BOOLEAN && v->boolean)
TEST(float, v->kind == VALUE_REAL)
TEST(integer, v->kind == VALUE_INTEGER)
TEST(iterable, value_is_sequence(v) || v->kind == VALUE_TEXT || v->kind == VALUE_DICT || v->kind == VALUE_UNDEFINED)
TEST(mapping, v->kind == VALUE_DICT)
TEST(none, v->kind == VALUE_NONE)
TEST(number, v->kind == VALUE_BOOLEAN || v->kind == VALUE_INTEGER || v->kind == VALUE_REAL)
TEST(sequence, v->kind == VALUE_LIST || v->kind == VALUE_TUPLE || v->kind == VALUE_TEXT || v->kind == VALUE_DICT ||
                   v->kind == VALUE_UNDEFINED)
TEST(string, v->kind == VALUE_TEXT)

/* ---- Numbers ---- */

static clora_status remainder_of(int64_t *out, const value *v, int64_t by) {
    clora_status status = CLORA_OK;
    int64_t integer;

    TRY(need_integer(&integer, v, "the test of a remainder"));
    if (by == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "a division by zero");
    *out = by == -1 ? 0 : integer % by;
done:
    return status;
}

static clora_status is_even(value *out, render *r, const call *c) {
    int64_t rest = 0;
    const clora_status status = remainder_of(&rest, &c->subject, 2);

    (void)r;
    *out = value_boolean(rest == 0);
    return status;
}

static clora_status is_odd(value *out, render *r, const call *c) {
    int64_t rest = 0;
    const clora_status status = remainder_of(&rest, &c->subject, 2);

    (void)r;
    *out = value_boolean(rest != 0);
    return status;
}

static clora_status is_divisibleby(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    int64_t by = 1, rest = 0;

    (void)r;
    TRY(need_integer(&by, &c->in[0], "divisibleby"));
    TRY(remainder_of(&rest, &c->subject, by));
    *out = value_boolean(rest == 0);
done:
    return status;
}

/* ---- Comparisons ---- */

#define COMPARISON(name, sign)                                                                      \
    static clora_status is_##name(value *out, render *r, const call *c) {                           \
        bool truth = false;                                                                         \
        const clora_status status = operate_compare(&truth, r, SPAN(sign), &c->subject, &c->in[0]); \
        *out = value_boolean(truth);                                                                \
        return status;                                                                              \
    }

COMPARISON(eq, "==")
COMPARISON(ne, "!=")
COMPARISON(lt, "<")
COMPARISON(le, "<=")
COMPARISON(gt, ">")
COMPARISON(ge, ">=")
COMPARISON(in, "in")

#define COMPARED(name, run) \
    { name, 1, {"other"}, run }

const builtin test_builtins[] = {
    {"boolean", 0, {NULL}, is_boolean},
    {"callable", 0, {NULL}, is_callable},
    {"defined", 0, {NULL}, is_defined},
    {"divisibleby", 1, {"num"}, is_divisibleby},
    COMPARED("eq", is_eq),
    COMPARED("equalto", is_eq),
    {"even", 0, {NULL}, is_even},
    {"false", 0, {NULL}, is_false},
    {"float", 0, {NULL}, is_float},
    COMPARED("ge", is_ge),
    COMPARED("greaterthan", is_gt),
    COMPARED("gt", is_gt),
    {"in", 1, {"seq"}, is_in},
    {"integer", 0, {NULL}, is_integer},
    {"iterable", 0, {NULL}, is_iterable},
    COMPARED("le", is_le),
    COMPARED("lessthan", is_lt),
    COMPARED("lt", is_lt),
    {"mapping", 0, {NULL}, is_mapping},
    COMPARED("ne", is_ne),
    {"none", 0, {NULL}, is_none},
    {"number", 0, {NULL}, is_number},
    {"odd", 0, {NULL}, is_odd},
    {"sequence", 0, {NULL}, is_sequence},
    {"string", 0, {NULL}, is_string},
    {"true", 0, {NULL}, is_true},
    {"undefined", 0, {NULL}, is_undefined},
    COMPARED("==", is_eq),
    COMPARED("!=", is_ne),
    COMPARED("<", is_lt),
    COMPARED("<=", is_le),
    COMPARED(">", is_gt),
    COMPARED(">=", is_ge),
    {.name = NULL},
};
