#include "template/render.h"

clora_status render_spend(render *r, size_t steps) {
    if (steps >= r->left)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "the template takes too long for this conversation");
    r->left -= steps;
    return CLORA_OK;
}

clora_status text_of_value(value *out, render *r, const value *v) {
    text_out text = {.pool = r->pool};
    clora_status status = CLORA_OK;

    *out = *v;
    if (v->kind == VALUE_TEXT)
        return CLORA_OK;
    TRY(text_put_value(&text, v));
    *out = value_text(text_of(&text));
done:
    return status;
}

clora_status need_defined(const value *v) {
    if (v->kind == VALUE_UNDEFINED)
        return clora_fail(CLORA_ERROR_FORMAT, "'%.*s' is undefined", (int)(v->text.size < 80 ? v->text.size : 80),
                          v->text.size ? v->text.data : "");
    return CLORA_OK;
}

clora_status need_text(span *out, const value *v, const char *what) {
    clora_status status = CLORA_OK;

    TRY(need_defined(v));
    if (v->kind != VALUE_TEXT)
        return clora_fail(CLORA_ERROR_FORMAT, "%s takes a text, not a %s", what, value_type(v));
    *out = v->text;
done:
    return status;
}

clora_status need_integer(int64_t *out, const value *v, const char *what) {
    clora_status status = CLORA_OK;

    TRY(need_defined(v));
    if (v->kind != VALUE_INTEGER && v->kind != VALUE_BOOLEAN)
        return clora_fail(CLORA_ERROR_FORMAT, "%s takes an integer, not a %s", what, value_type(v));
    *out = v->kind == VALUE_INTEGER ? v->integer : v->boolean;
done:
    return status;
}
