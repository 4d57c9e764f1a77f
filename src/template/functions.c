#include "template/render.h"

/* Functions that a template may call. */

enum { RANGE_MAX = 100000 /* as Jinja's sandbox has it */ };

static clora_status run_range(value *out, render *r, const call *c) {
    int64_t from = 0, to = 0, step = 1;
    clora_status status = CLORA_OK;
    size_t count = 0;

    TRY(need_integer(c->in[1].kind == VALUE_ABSENT ? &to : &from, &c->in[0], "range"));
    if (c->in[1].kind != VALUE_ABSENT)
        TRY(need_integer(&to, &c->in[1], "range"));
    if (c->in[2].kind != VALUE_ABSENT)
        TRY(need_integer(&step, &c->in[2], "range"));
    if (step == 0)
        return clora_fail(CLORA_ERROR_FORMAT, "a range whose step is 0");
    for (int64_t i = from; (step > 0 ? i < to : i > to) && count <= RANGE_MAX; count++)
        if (__builtin_add_overflow(i, step, &i))
            break;
    if (count > RANGE_MAX)
        return clora_fail(CLORA_ERROR_FORMAT, "a range of more than %d numbers", RANGE_MAX);
    TRY(value_list_new(out, r->pool, VALUE_LIST, count));
    for (size_t i = 0; i < count; i++)
        out->list->at[i] = value_integer(from + (int64_t)i * step);
done:
    return status;
}

/* A dict of a dict's pairs, if one is given, and of the names. */
static clora_status make_dict(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;

    TRY(value_dict_new(out, r->pool));
    if (c->count > 1 || (c->count == 1 && c->at[0].kind != VALUE_DICT))
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "a dict of other than a dict and names is not supported");
    for (size_t i = 0; c->count == 1 && i < c->at[0].dict->count; i++) {
        TRY(render_spend(r, i + 1));
        TRY(value_dict_set(out->dict, r->pool, &c->at[0].dict->at[i].key, &c->at[0].dict->at[i].value));
    }
    for (size_t i = 0; i < c->named_count; i++) {
        const value name = value_text(c->named[i].name);
        TRY(value_dict_set(out->dict, r->pool, &name, &c->named[i].value));
    }
done:
    return status;
}

static clora_status run_namespace(value *out, render *r, const call *c) {
    const clora_status status = make_dict(out, r, c);

    out->kind = VALUE_NAMESPACE;
    return status;
}

static clora_status run_raise_exception(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    value text;

    (void)out;
    TRY(text_of_value(&text, r, &c->in[0]));
    status = clora_fail(CLORA_ERROR_FORMAT, "the template refuses the conversation: %.*s",
                        (int)(text.text.size < 300 ? text.text.size : 300), text.text.data);
done:
    return status;
}

static clora_status run_strftime_now(value *out, render *r, const call *c) {
    clora_status status = CLORA_OK;
    const char *format = NULL;
    char text[256];
    struct tm time;
    span given;

    TRY(need_text(&given, &c->in[0], "strftime_now"));
    TRY(pool_copy(&format, r->pool, given.data, given.size));
    if (!(r->options->utc ? gmtime_r(&r->options->now, &time) : localtime_r(&r->options->now, &time)))
        return clora_fail(CLORA_ERROR_ARGUMENT, "the time is beyond all years");
    const size_t size = strftime(text, sizeof(text), format, &time);
    if (size == 0 && given.size > 0)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "strftime_now gives more than %zu bytes, or nothing",
                          sizeof(text) - 1);
    *out = value_text((span){NULL, size});
    TRY(pool_copy(&out->text.data, r->pool, text, size));
done:
    return status;
}

const builtin function_builtins[] = {
    {"dict", ANY, {NULL}, make_dict},
    {"namespace", ANY, {NULL}, run_namespace},
    {"raise_exception", 1, {"message"}, run_raise_exception},
    {"range", 1, {"start", "stop", "step"}, run_range},
    {"strftime_now", 1, {"format"}, run_strftime_now},
    {.name = NULL},
};
