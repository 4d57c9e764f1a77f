#include <math.h>
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
static clora_status kind_name(const char **out, const json_t *rope, const char *path) {
    const clora_status status = json_get_text(out, rope, "rope_type", NULL, path);

    return status != CLORA_OK || *out ? status : json_get_text(out, rope, "type", "default", path);
}

/* The columns that are rotated. Of a family that has no such setting transformers refuses it, or ignores it, according
 * to its version. */
static clora_status read_width(rope_settings *out, const source *s) {
    static const char key[] = "partial_rotary_factor";
    const model_config *c = s->config;
    clora_status status = CLORA_OK;
    double part;

    TRY(json_get_real(&part, config_is_set(s->rope, key) ? s->rope : s->root, key, 1.0, s->path));
    if (part != 1.0 && !c->family->partial_rope)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"%s\" is %g; only 1 is supported of a %s model", s->path, key,
                       part, c->family->model_type));
    out->width = part > 0.0 && part <= 1.0 ? (int)(c->head_dim * part) : 0;
    if (out->width < 2 || out->width % 2 != 0)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s: \"%s\" is %g; with heads of %d columns an even number of them must be rotated", s->path,
                       key, part, c->head_dim));
done:
    return status;
}

static clora_status read_factor(rope_settings *out, const source *s) {
    return config_positive(&out->factor, s->rope, "factor", 0.0, s->path);
}

/* Unlike rope_theta, that of config.json itself goes before the object's own. */
static clora_status read_original(rope_settings *out, const source *s) {
    static const char key[] = "original_max_position_embeddings";

    return config_size(&out->original, config_is_set(s->root, key) ? s->root : s->rope, key, s->config->max_positions,
                       s->path);
}

static clora_status read_llama3(rope_settings *out, const source *s) {
    clora_status status = CLORA_OK;

    TRY(read_factor(out, s));
    TRY(config_positive(&out->low, s->rope, "low_freq_factor", 0.0, s->path));
    TRY(config_positive(&out->high, s->rope, "high_freq_factor", 0.0, s->path));
    TRY(read_original(out, s));
    if (!(out->high > out->low))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"high_freq_factor\" must be above \"low_freq_factor\"", s->path));
done:
    return status;
}

/* How much longer texts are than those of the model that was scaled. */
static clora_status read_lengthening(rope_settings *out, const source *s) {
    clora_status status = CLORA_OK;

    TRY(read_original(out, s));
    TRY(config_positive(&out->factor, s->rope, "factor", (double)s->config->max_positions / out->original, s->path));
done:
    return status;
}

/* object[key], where it is a number and not 0. */
static clora_status read_unless_zero(double *out, const json_t *object, const char *key, double fallback,
                                     const char *path) {
    const clora_status status = json_get_real(out, object, key, fallback, path);

    *out = status == CLORA_OK && *out == 0.0 ? fallback : *out;
    return status;
}

static double yarn_attention(double factor, double scale) {
    return factor > 1.0 ? 0.1 * scale * log(factor) + 1.0 : 1.0;
}

static clora_status read_yarn(rope_settings *out, const source *s) {
    clora_status status = CLORA_OK;
    double fast, slow, scale, all;

    if (!(out->theta > 1.0f))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"rope_theta\" is %g; with \"yarn\" it must be above 1", s->path,
                       (double)out->theta));
    TRY(read_lengthening(out, s));
    TRY(read_unless_zero(&fast, s->rope, "beta_fast", 32.0, s->path));
    TRY(read_unless_zero(&slow, s->rope, "beta_slow", 1.0, s->path));
    if (!(fast >= slow && slow > 0.0))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"beta_fast\" must be above \"beta_slow\"", s->path));
    out->fast = (float)fast;
    out->slow = (float)slow;
    TRY(json_get_bool(&out->truncate, s->rope, "truncate", true, s->path));
    TRY(json_get_real(&scale, s->rope, "mscale", 0.0, s->path));
    TRY(json_get_real(&all, s->rope, "mscale_all_dim", 0.0, s->path));
    const double factor = (double)out->factor,
                 attention = scale != 0.0 && all != 0.0 ? yarn_attention(factor, scale) / yarn_attention(factor, all)
                                                        : yarn_attention(factor, 1.0);
    TRY(config_positive(&out->attention, s->rope, "attention_factor", attention, s->path));
done:
    return status;
}

/* A factor for each frequency. */
static clora_status read_stretch(float *out, const rope_settings *settings, const source *s, const char *key) {
    const json_t *list = json_object_get(s->rope, key);
    const size_t n = (size_t)settings->width / 2;

    if (!json_is_array(list) || json_array_size(list) != n)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be a list of %zu numbers", s->path, key, n);
    for (size_t i = 0; i < n; i++) {
        out[i] = (float)json_number_value(json_array_get(list, i));
        if (!(out[i] > 0.0f) || !isfinite(out[i]))
            return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" holds something that is no positive number", s->path,
                              key);
    }
    return CLORA_OK;
}

static clora_status read_longrope(rope_settings *out, const source *s) {
    clora_status status = CLORA_OK;
    double attention = 1.0;

    TRY(read_lengthening(out, s));
    TRY(read_stretch(out->stretch[false], out, s, "short_factor"));
    TRY(read_stretch(out->stretch[true], out, s, "long_factor"));
    if (out->factor > 1.0f && out->original > 1)
        attention = sqrt(1.0 + log((double)out->factor) / log(out->original));
    TRY(config_positive(&out->attention, s->rope, "attention_factor", attention, s->path));
done:
    return status;
}

static const struct {
    const char *name;
    rope_kind kind;
    clora_status (*read)(rope_settings *out, const source *s);
} kinds[] = {
    {"default", ROPE_DEFAULT, NULL}, {"linear", ROPE_LINEAR, read_factor},       {"llama3", ROPE_LLAMA3, read_llama3},
    {"yarn", ROPE_YARN, read_yarn},  {"longrope", ROPE_LONGROPE, read_longrope}, {"su", ROPE_LONGROPE, read_longrope},
};

static clora_status read_kind(rope_settings *out, const source *s) {
    clora_status status = CLORA_OK;
    const char *name;

    TRY(kind_name(&name, s->rope, s->path));
    if (strcmp(name, "yarn") == 0 && config_is_set(s->rope, "short_factor"))
        name = "longrope"; /* as the first Phi-3 files call it */
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(name, kinds[i].name) == 0) {
            out->kind = kinds[i].kind;
            return kinds[i].read ? kinds[i].read(out, s) : CLORA_OK;
        }
    TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                   "%s: rope scaling \"%s\" is not supported (default, linear, llama3, yarn and longrope are)", s->path,
                   name));
done:
    return status;
}

/* theta: the key that config.json itself has for these layers, and what holds without it. */
static clora_status read_settings(rope_settings *out, const source *s, const char *theta, double fallback) {
    clora_status status = CLORA_OK;

    *out = (rope_settings){.attention = 1.0f};
    if (config_is_set(s->rope, "rope_theta"))
        TRY(config_positive(&out->theta, s->rope, "rope_theta", 0.0, s->path));
    else
        TRY(config_positive(&out->theta, s->root, theta, fallback, s->path));
    TRY(read_width(out, s));
    if (s->rope)
        TRY(read_kind(out, s));
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
    if (c->family->local_theta)
        TRY(read_settings(&c->rope[ROPE_SECOND], &second, "rope_local_base_freq", usual_theta));
    else
        TRY(read_settings(&c->rope[ROPE_SECOND], &second, "rope_theta", family_theta(c)));
    if (c->rope[ROPE_SECOND].kind == ROPE_LONGROPE)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: sliding layers with rope scaling \"longrope\"", path));
done:
    return status;
}

bool config_has_rope(const model_config *c, int which) {
    return memchr(c->layer_rope, which, (size_t)c->layers) != NULL;
}

clora_status config_read_rope(model_config *c, const json_t *root, const char *path) {
    const clora_status status = config_has_rope(c, ROPE_SECOND) ? read_two(c, root, path) : read_one(c, root, path);

    c->rope[ROPE_NONE] = c->rope[ROPE_FIRST];
    c->rope[ROPE_NONE].kind = ROPE_STILL;
    c->rope[ROPE_NONE].attention = 1.0f;
    return status;
}
