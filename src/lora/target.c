#include "lora/target.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "lora/pattern.h"

/* The keys of rank_pattern or alpha_pattern, compiled; used[i] says that key i decided for a module. */
typedef struct overrides {
    const json_t *values;
    const char *name; /* of the setting */
    pattern **key;
    bool *used;
    size_t count;
} overrides;

typedef struct rules {
    const json_t *targets, *exclude, *layers;
    pattern *target, *excluded; /* when they are expressions */
    pattern **layer;            /* how a layer's number is found in a name */
    size_t layer_count;
    bool *used; /* which entries of the list of targets matched */
    overrides rank, alpha;
    int default_rank;
    double default_alpha;
    bool rslora;
} rules;

static void free_patterns(pattern **patterns, size_t count) {
    for (size_t i = 0; patterns && i < count; i++)
        pattern_free(patterns[i]);
    free(patterns);
}

static void rules_finish(rules *r) {
    pattern_free(r->target);
    pattern_free(r->excluded);
    free_patterns(r->layer, r->layer_count);
    free_patterns(r->rank.key, r->rank.count);
    free_patterns(r->alpha.key, r->alpha.count);
    free(r->used);
    free(r->rank.used);
    free(r->alpha.used);
}

static clora_status compile_overrides(overrides *o, const json_t *config, const char *name) {
    clora_status status = CLORA_OK;
    const char *key;
    json_t *value;
    size_t i = 0;

    o->name = name;
    o->values = json_object_get(config, name);
    o->count = json_object_size(o->values);
    o->key = alloc_array(o->count + 1, sizeof(*o->key));
    o->used = alloc_array(o->count + 1, sizeof(*o->used));
    if (!o->key || !o->used)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", name);
    json_object_foreach((json_t *)o->values, key, value)
        TRY(pattern_create(&o->key[i++], "(.*\\.)?(", key, ")$", false, name));
done:
    return status;
}

/* Where in a name the layer's number stands: after one of the patterns, or after the second component. */
static clora_status compile_layers(rules *r, const json_t *config) {
    const json_t *given = json_object_get(config, "layers_pattern");
    const bool one = json_is_string(given) && json_string_length(given) > 0;
    clora_status status = CLORA_OK;

    r->layer_count = one ? 1 : json_array_size(given);
    const bool any = r->layer_count == 0;
    if (any)
        r->layer_count = 1;
    r->layer = alloc_array(r->layer_count, sizeof(*r->layer));
    if (!r->layer)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for layers_pattern");
    if (any)
        return pattern_create(&r->layer[0], "", ".*?\\.[^.]*\\.(?P<idx>\\d+)\\.", "", false, "layers_to_transform");
    for (size_t i = 0; i < r->layer_count; i++) {
        const char *text = json_string_value(one ? given : json_array_get(given, i));
        TRY(pattern_create(&r->layer[i], "(?:^|.*?\\.)", text, "\\.(?P<idx>\\d+)\\.", false, "layers_pattern"));
    }
done:
    return status;
}

static clora_status rules_init(rules *r, const json_t *config) {
    clora_status status = CLORA_OK;

    *r = (rules){.targets = json_object_get(config, "target_modules"),
                 .exclude = json_object_get(config, "exclude_modules"),
                 .layers = json_object_get(config, "layers_to_transform"),
                 .default_rank = (int)json_integer_value(json_object_get(config, "r")),
                 .default_alpha = json_number_value(json_object_get(config, "lora_alpha")),
                 .rslora = json_is_true(json_object_get(config, "use_rslora"))};
    r->used = alloc_array(json_array_size(r->targets) + 1, sizeof(*r->used));
    if (!r->used)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for target_modules"));
    if (json_is_string(r->targets))
        TRY(pattern_create(&r->target, "", json_string_value(r->targets), "", true, "target_modules"));
    if (json_is_string(r->exclude))
        TRY(pattern_create(&r->excluded, "", json_string_value(r->exclude), "", true, "exclude_modules"));
    if (json_is_integer(r->layers) || json_array_size(r->layers) > 0)
        TRY(compile_layers(r, config));
    TRY(compile_overrides(&r->rank, config, "rank_pattern"));
    TRY(compile_overrides(&r->alpha, config, "alpha_pattern"));
done:
    return status;
}

/* Whether the name is the entry or ends with a dot and the entry. */
static bool ends_with(const char *name, const char *entry) {
    const size_t n = strlen(name), m = strlen(entry);

    return m == n ? strcmp(name, entry) == 0 : m < n && name[n - m - 1] == '.' && strcmp(name + n - m, entry) == 0;
}

static clora_status in_layers(bool *out, const rules *r, const char *name) {
    clora_status status = CLORA_OK;
    size_t begin = 0, end = 0;

    *out = false;
    for (size_t i = 0; i < r->layer_count && !*out; i++)
        TRY(pattern_match_index(out, &begin, &end, r->layer[i], name));
    if (!*out)
        return CLORA_OK;
    const json_int_t number = strtoll(name + begin, NULL, 10);
    *out = json_is_integer(r->layers) && json_integer_value(r->layers) == number;
    for (size_t i = 0; i < json_array_size(r->layers) && !*out; i++)
        *out = json_integer_value(json_array_get(r->layers, i)) == number;
done:
    return status;
}

static clora_status is_target(bool *out, rules *r, const char *name) {
    bool whole = false, ending = false;

    *out = false;
    if (r->excluded) {
        const clora_status status = pattern_match(&whole, r->excluded, name);
        if (status != CLORA_OK || whole)
            return status;
    }
    for (size_t i = 0; i < json_array_size(r->exclude); i++)
        if (ends_with(name, json_string_value(json_array_get(r->exclude, i))))
            return CLORA_OK;
    if (r->target)
        return pattern_match(out, r->target, name);
    for (size_t i = 0; i < json_array_size(r->targets); i++) {
        const char *entry = json_string_value(json_array_get(r->targets, i));
        const bool match = ends_with(name, entry);
        r->used[i] |= match;
        whole |= match && strlen(entry) == strlen(name);
        ending |= match;
    }
    /* a module that is named in full is taken whatever its layer, as PEFT does */
    if (whole || !ending || !r->layer) {
        *out = ending;
        return CLORA_OK;
    }
    return in_layers(out, r, name);
}

static clora_status override(const json_t **out, overrides *o, const char *name) {
    clora_status status = CLORA_OK;
    bool match = false;
    const char *key;
    json_t *value;
    size_t i = 0;

    *out = NULL;
    json_object_foreach((json_t *)o->values, key, value) {
        TRY(pattern_match(&match, o->key[i], name));
        if (match) {
            o->used[i] = true;
            *out = value;
            return CLORA_OK;
        }
        i++;
    }
done:
    return status;
}

static clora_status choose(target_choice *out, rules *r, const char *name) {
    const json_t *rank = NULL, *alpha = NULL;
    clora_status status = CLORA_OK;
    bool match = false;

    *out = (target_choice){0, 0.0f};
    TRY(is_target(&match, r, name));
    if (!match)
        return CLORA_OK;
    TRY(override(&rank, &r->rank, name));
    TRY(override(&alpha, &r->alpha, name));
    const double a = alpha ? json_number_value(alpha) : r->default_alpha;
    out->R = rank ? (int)json_integer_value(rank) : r->default_rank;
    out->scale = (float)(a / (r->rslora ? sqrt(out->R) : out->R));
done:
    return status;
}

/* The last components of the modules' names, each once: "q_proj, k_proj, ...". */
static char *endings_text(const target_module *modules, int count) {
    enum { SHOWN = 24 };
    json_t *seen = json_object();
    char *text = alloc_string("");

    for (int i = 0; seen && text && i < count && json_object_size(seen) < SHOWN; i++) {
        const char *dot = strrchr(modules[i].name, '.'), *ending = dot ? dot + 1 : modules[i].name;
        if (json_object_get(seen, ending))
            continue;
        json_object_set_new(seen, ending, json_true());
        char *longer = alloc_format("%s%s%s", text, *text ? ", " : "", ending);
        free(text);
        text = longer;
    }
    json_decref(seen);
    return text;
}

/* targets: the one entry of target_modules, or all of them. */
static clora_status no_match(const json_t *targets, const target_module *modules, int count) {
    char *names = endings_text(modules, count), *text = target_modules_text(targets);
    const clora_status status =
        clora_fail(CLORA_ERROR_NOT_FOUND, "target_modules: \"%s\" matches no linear layer; here are %s (%s ...)",
                   text ? text : "", names ? names : "none", count > 0 ? modules[0].name : "");

    free(names);
    free(text);
    return status;
}

static clora_status check_overrides(const overrides *o) {
    const char *key;
    json_t *value;
    size_t i = 0;

    json_object_foreach((json_t *)o->values, key, value) if (!o->used[i++]) return clora_fail(
        CLORA_ERROR_NOT_FOUND, "%s: \"%s\" changes no adapted layer: it matches none, or an earlier entry has them all",
        o->name, key);
    return CLORA_OK;
}

clora_status target_resolve(target_choice *out, const json_t *config, const target_module *modules, int count,
                            bool strict) {
    clora_status status = CLORA_OK;
    int adapted = 0;
    rules r;

    TRY(rules_init(&r, config));
    for (int i = 0; i < count; i++) {
        TRY(choose(&out[i], &r, modules[i].name));
        adapted += out[i].R > 0;
    }
    for (size_t i = 0; strict && i < json_array_size(r.targets); i++)
        if (!r.used[i])
            TRY(no_match(json_array_get(r.targets, i), modules, count));
    if (adapted == 0)
        TRY(no_match(r.targets, modules, count));
    if (strict) {
        TRY(check_overrides(&r.rank));
        TRY(check_overrides(&r.alpha));
    }
done:
    rules_finish(&r);
    return status;
}
