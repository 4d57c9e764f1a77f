#include "tokenizer/components.h"

#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

#define DEEPEST_SEQUENCE 16
#define MOST_MEMBERS 32 /* each costs another pass over a text; known files have up to five */

static clora_status type_of(const char **out, const json_t *component, const char *where) {
    clora_status status = json_get_text(out, component, "type", NULL, where);

    if (status == CLORA_OK && !*out)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"type\" is missing", where);
    return status;
}

clora_status component_bool(bool *out, const json_t *component, const char *key, const char *where) {
    const json_t *value = json_object_get(component, key);

    if (!json_is_boolean(value))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be true or false", where, key);
    *out = json_is_true(value);
    return CLORA_OK;
}

clora_status component_size(size_t *out, const json_t *component, const char *key, const char *where) {
    const json_t *value = json_object_get(component, key);

    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be a number from 0 up", where, key);
    *out = (size_t)json_integer_value(value);
    return CLORA_OK;
}

clora_status component_string(const char **out, size_t *size, const json_t *component, const char *key,
                              const char *where) {
    const json_t *value = json_object_get(component, key);

    if (!json_is_string(value))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be a string", where, key);
    *out = json_string_value(value);
    *size = json_string_length(value);
    return CLORA_OK;
}

clora_status component_character(uint32_t *out, const json_t *component, const char *key, const char *where) {
    const json_t *value = json_object_get(component, key);

    if (!json_is_string(value) || json_string_length(value) == 0 ||
        utf8_decode(json_string_value(value), out) != json_string_length(value))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be one character", where, key);
    return CLORA_OK;
}

typedef struct walk {
    const char *key, *where;
    component_visit visit;
    void *user;
    int members;
} walk;

static clora_status walk_component(walk *w, const json_t *component, int depth) {
    clora_status status = CLORA_OK;
    const char *type;
    json_t *child;
    size_t i;

    TRY(type_of(&type, component, w->where));
    if (strcmp(type, "Sequence") != 0) {
        if (++w->members > MOST_MEMBERS)
            TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: more than %d members", w->where, MOST_MEMBERS));
        return w->visit(w->user, component, type, w->where);
    }
    const json_t *list = json_object_get(component, w->key);
    if (!json_is_array(list))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be an array", w->where, w->key));
    if (depth == DEEPEST_SEQUENCE)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: sequences inside sequences, too deep", w->where));
    json_array_foreach (list, i, child)
        TRY(walk_component(w, child, depth + 1));
done:
    return status;
}

clora_status component_each(const json_t *component, const char *key, const char *where, component_visit visit,
                            void *user) {
    walk w = {.key = key, .where = where, .visit = visit, .user = user};

    return !component || json_is_null(component) ? CLORA_OK : walk_component(&w, component, 0);
}
