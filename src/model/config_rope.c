#include <string.h>

#include "base/json_literal.h"
#include "model/config_values.h"
#include "model/family.h"

static const double usual_theta = 10000.0;

/* What rotates some of a model's layers, as config.json has it. */
typedef struct source {
    const model_config *config;
    const json_t *root;
    const json_t *rope; /* the object that tells of them, or NULL */
    const char *path;
} source;

static clora_status get_object(const json_t **out, const json_t *object, const char *key, const char *path) {
    const json_t *found = json_object_get(object, key);

    *out = NULL;
    if (!found || json_is_off(found))
        return CLORA_OK;
    if (!json_is_object(found) || json_literal(found))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be an object", path, key);
    *out = found;
    return CLORA_OK;
}

/* rope_scaling where it says something, else rope_parameters, else NULL; *name is its key. */
static clora_status find_rope(const json_t **out, const char **name, const json_t *root, const char *path) {
    const clora_status status = get_object(out, root, *name = "rope_scaling", path);

    return status != CLORA_OK || *out ? status : get_object(out, root, *name = "rope_parameters", path);
}

/* "rope_type", or "type" of older files. */
static clora_status read_kind(const char **out, const json_t *rope, const char *path) {
    const clora_status status = json_get_text(out, rope, "rope_type", NULL, path);

    return status != CLORA_OK || *out ? status : json_get_text(out, rope, "type", "default", path);
}

/* transformers rotates by fewer frequencies then, or ignores it, according to its version. */
static clora_status refuse_partial(const json_t *object, const char *path) {
    double part;
    const clora_status status = json_get_real(&part, object, "partial_rotary_factor", 1.0, path);

    if (status != CLORA_OK || part == 1.0)
        return status;
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"partial_rotary_factor\" is %g; only 1 is supported", path, part);
}

static clora_status read_llama3(rope_settings *out, const source *s) {
    static const char original[] = "original_max_position_embeddings";
    clora_status status = CLORA_OK;

    TRY(config_positive(&out->low, s->rope, "low_freq_factor", 0.0, s->path));
    TRY(config_positive(&out->high, s->rope, "high_freq_factor", 0.0, s->path));
    /* unlike rope_theta, it goes before the object's own */
    TRY(config_size(&out->original, config_is_set(s->root, original) ? s->root : s->rope, original,
                    s->config->max_positions, s->path));
    if (!(out->high > out->low))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"high_freq_factor\" must be above \"low_freq_factor\"", s->path));
done:
    return status;
}

/* theta: the key that config.json itself has for these layers, and what holds without it. */
static clora_status read_settings(rope_settings *out, const source *s, const char *theta, double fallback) {
    clora_status status = CLORA_OK;
    const char *kind;

    if (config_is_set(s->rope, "rope_theta"))
        TRY(config_positive(&out->theta, s->rope, "rope_theta", 0.0, s->path));
    else
        TRY(config_positive(&out->theta, s->root, theta, fallback, s->path));
    TRY(refuse_partial(s->root, s->path));
    if (!s->rope)
        return CLORA_OK;
    TRY(refuse_partial(s->rope, s->path));
    TRY(read_kind(&kind, s->rope, s->path));
    if (strcmp(kind, "default") == 0)
        return CLORA_OK;
    if (strcmp(kind, "linear") != 0 && strcmp(kind, "llama3") != 0)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: rope scaling \"%s\" is not supported (default, linear and llama3 are)", s->path, kind);
    out->kind = kind[1] == 'i' ? ROPE_LINEAR : ROPE_LLAMA3;
    TRY(config_positive(&out->factor, s->rope, "factor", 0.0, s->path));
    if (out->kind == ROPE_LLAMA3)
        TRY(read_llama3(out, s));
done:
    return status;
}

static double family_theta(const model_config *c) {
    return c->family->rope_theta ? (double)c->family->rope_theta : usual_theta;
}

/* One for all layers. */
static clora_status read_one(model_config *c, const json_t *root, const char *path) {
    source s = {.config = c, .root = root, .path = path};
    clora_status status = CLORA_OK;
    const char *name, *key;
    json_t *value;

    TRY(find_rope(&s.rope, &name, root, path));
    json_object_foreach ((json_t *)s.rope, key, value) {
        if (json_is_object(value) && !json_literal(value))
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                           "%s: \"%s\" has settings of its own for \"%s\"; a %s model has one RoPE for all its layers",
                           path, name, key, c->family->model_type));
    }
    TRY(read_settings(&c->rope[ROPE_FIRST], &s, "rope_theta", family_theta(c)));
done:
    return status;
}

/* One for layers with full attention and one for sliding ones: objects of their own in rope_parameters, or in older
 * files keys of the configuration, where rope_scaling is that of the first. */
static clora_status read_two(model_config *c, const json_t *root, const char *path) {
    source first = {.config = c, .root = root, .path = path}, second = first;
    clora_status status = CLORA_OK;
    const json_t *both, *scaling;

    TRY(get_object(&scaling, root, "rope_scaling", path));
    TRY(get_object(&both, root, "rope_parameters", path));
    TRY(get_object(&first.rope, both, "full_attention", path));
    TRY(get_object(&second.rope, both, "sliding_attention", path));
    if (both && (scaling || !(first.rope || second.rope)))
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s: a %s model has \"rope_scaling\", or \"rope_parameters\" with \"full_attention\" and "
                       "\"sliding_attention\" in it",
                       path, c->family->model_type));
    if (scaling)
        first.rope = scaling;
    TRY(read_settings(&c->rope[ROPE_FIRST], &first, "rope_theta", family_theta(c)));
    TRY(read_settings(&c->rope[ROPE_SECOND], &second, "rope_local_base_freq", usual_theta));
done:
    return status;
}

bool config_has_rope(const model_config *c, int which) {
    return memchr(c->layer_rope, which, (size_t)c->layers) != NULL;
}

clora_status config_read_rope(model_config *c, const json_t *root, const char *path) {
    c->rope[ROPE_NONE].kind = ROPE_STILL;
    return config_has_rope(c, ROPE_SECOND) ? read_two(c, root, path) : read_one(c, root, path);
}
