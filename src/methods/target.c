#include "methods/target.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "methods/peft_saved.h"
#include "methods/target_pattern.h"

typedef struct rules {
    const json_t *config;
    const json_t *targets; /* of the file: a list or an expression */
    json_t *target_set;    /* its entries, when it is a list, with their places */
    json_t *exclude_set, *layer_set;
    pattern *target, *excluded; /* when they are expressions */
    pattern **layer;            /* how a layer's number is found in a name */
    size_t layer_count;
    bool *used;                      /* which entries of the list of targets matched */
    bool *used_exclude, *used_layer; /* and of the lists of others */
} rules;

static void rules_finish(rules *r) {
    pattern_free(r->target);
    pattern_free(r->excluded);
    for (size_t i = 0; r->layer && i < r->layer_count; i++)
        pattern_free(r->layer[i]);
    free(r->layer);
    free(r->used);
    free(r->used_exclude);
    free(r->used_layer);
    json_decref(r->target_set);
    json_decref(r->exclude_set);
    json_decref(r->layer_set);
}

/* The entries of a list (or the one entry), names or numbers as text, with their places: long lists are looked up. */
static clora_status make_set(json_t **out, const json_t *list) {
    const size_t count = json_is_array(list) ? json_array_size(list) : 1;
    bool ok = (*out = json_object()) != NULL;

    for (size_t i = 0; ok && i < count; i++) {
        const json_t *entry = json_is_array(list) ? json_array_get(list, i) : list;
        char number[32];
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(entry));
        ok = json_object_set_new(*out, json_is_string(entry) ? json_string_value(entry) : number,
                                 json_integer((json_int_t)i)) == 0;
    }
    return ok ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for a list of names");
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
    const json_t *exclude = json_object_get(config, "exclude_modules"),
                 *layers = json_object_get(config, "layers_to_transform");
    clora_status status = CLORA_OK;

    *r = (rules){.config = config, .targets = json_object_get(config, "target_modules")};
    r->used = alloc_array(json_array_size(r->targets) + 1, sizeof(*r->used));
    r->used_exclude = alloc_array(json_array_size(exclude) + 1, sizeof(*r->used_exclude));
    r->used_layer = alloc_array(json_array_size(layers) + 1, sizeof(*r->used_layer));
    if (!r->used || !r->used_exclude || !r->used_layer)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for target_modules"));
    if (json_is_string(r->targets))
        TRY(pattern_create(&r->target, "", json_string_value(r->targets), "", true, "target_modules"));
    else
        TRY(make_set(&r->target_set, r->targets));
    if (json_is_string(exclude))
        TRY(pattern_create(&r->excluded, "", json_string_value(exclude), "", true, "exclude_modules"));
    else if (json_array_size(exclude) > 0)
        TRY(make_set(&r->exclude_set, exclude));
    if (json_is_integer(layers) || json_array_size(layers) > 0) {
        TRY(make_set(&r->layer_set, layers));
        TRY(compile_layers(r, config));
    }
done:
    return status;
}

static clora_status in_layers(bool *out, const rules *r, const char *name) {
    clora_status status = CLORA_OK;
    size_t begin = 0, end = 0;
    char number[32];

    *out = false;
    for (size_t i = 0; i < r->layer_count && !*out; i++)
        TRY(pattern_match_index(out, &begin, &end, r->layer[i], name));
    if (!*out)
        return CLORA_OK;
    snprintf(number, sizeof(number), "%lld", strtoll(name + begin, NULL, 10));
    const json_t *place = json_object_get(r->layer_set, number);
    *out = place != NULL;
    if (place)
        r->used_layer[json_integer_value(place)] = true;
done:
    return status;
}

/* Whether the set has the name, or what of it follows a dot; *whole: the name itself. Marks the entries in used. */
static bool has_ending(const json_t *set, const char *name, bool *whole, bool *used) {
    bool found = false;

    for (const char *ending = name; ending; ending = strchr(ending, '.') ? strchr(ending, '.') + 1 : NULL) {
        const json_t *place = json_object_get(set, ending);
        if (!place)
            continue;
        found = true;
        *whole |= ending == name;
        if (used)
            used[json_integer_value(place)] = true;
    }
    return found;
}

static clora_status is_target(bool *out, rules *r, const char *name) {
    bool whole = false;

    *out = false;
    if (peft_saved_has(r->config, name))
        return CLORA_OK;
    if (r->excluded) {
        bool excluded = false;
        const clora_status status = pattern_match(&excluded, r->excluded, name);
        if (status != CLORA_OK || excluded)
            return status;
    }
    if (has_ending(r->exclude_set, name, &whole, r->used_exclude))
        return CLORA_OK;
    if (r->target)
        return pattern_match(out, r->target, name);
    whole = false;
    *out = has_ending(r->target_set, name, &whole, r->used);
    /* a module that is named in full is taken whatever its layer, as PEFT does */
    return !*out || whole || !r->layer ? CLORA_OK : in_layers(out, r, name);
}

/* A key of which nothing is special to a regular expression but its dots. */
static bool is_plain(const char *key) {
    return key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")] == '\0';
}

static bool is_ascii(const char *name) {
    for (; *name; name++)
        if ((unsigned char)*name >= 128 || *name == '\n')
            return false;
    return true;
}

/* What the expression of a plain key says of a name in ASCII, without compiling it. */
static bool matches_plain(const char *name, const char *key) {
    const size_t n = strlen(name), m = strlen(key);

    if (m > n || (m < n && name[n - m - 1] != '.'))
        return false;
    for (const char *c = name + n - m; *key; c++, key++)
        if (*c != *key && *key != '.')
            return false;
    return true;
}

/* The modules among the targets (R > 0) for which one key of rank_pattern or alpha_pattern is the first
 * that matches. */
static clora_status apply_key(const json_t **chosen, bool *used, const char *setting, const char *key,
                              const json_t *value, const target_choice *choice, const target_module *modules,
                              int count) {
    const bool plain = is_plain(key);
    clora_status status = CLORA_OK;
    pattern *expression = NULL;

    *used = false;
    for (int i = 0; i < count; i++) {
        bool match = false;
        if (choice[i].R == 0 || chosen[i])
            continue;
        if (plain && is_ascii(modules[i].name)) {
            match = matches_plain(modules[i].name, key);
        } else {
            if (!expression)
                TRY(pattern_create(&expression, "(.*\\.)?(", key, ")$", false, setting));
            TRY(pattern_match(&match, expression, modules[i].name));
        }
        chosen[i] = match ? value : NULL;
        *used |= match;
    }
    if (!plain && !expression) /* a mistake in a key that no module needs */
        TRY(pattern_create(&expression, "(.*\\.)?(", key, ")$", false, setting));
done:
    pattern_free(expression);
    return status;
}

/* chosen (count): the value of rank_pattern or alpha_pattern for each module, or NULL. One expression is compiled at a
 * time: there may be many. */
static clora_status apply_overrides(const json_t **chosen, const json_t *config, const char *setting,
                                    const target_choice *choice, const target_module *modules, int count, bool strict) {
    clora_status status = CLORA_OK;
    bool used = false;
    const char *key;
    json_t *value;

    json_object_foreach (json_object_get(config, setting), key, value) {
        TRY(apply_key(chosen, &used, setting, key, value, choice, modules, count));
        if (strict && !used)
            TRY(clora_fail(CLORA_ERROR_NOT_FOUND,
                           "%s: \"%s\" changes no adapted layer: it matches none, or an earlier entry has them all",
                           setting, key));
    }
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

/* out[i].R is not 0 for the targets: their ranks and scales. */
static clora_status choose_values(target_choice *out, const json_t *config, const target_module *modules, int count,
                                  bool strict) {
    const int rank = (int)json_integer_value(json_object_get(config, "r"));
    const double alpha = json_number_value(json_object_get(config, "lora_alpha"));
    const bool rslora = json_is_true(json_object_get(config, "use_rslora"));
    const json_t **ranks = alloc_array((size_t)count, sizeof(*ranks));
    const json_t **alphas = alloc_array((size_t)count, sizeof(*alphas));
    clora_status status = CLORA_OK;

    if (!ranks || !alphas)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the ranks of an adapter"));
    TRY(apply_overrides(ranks, config, "rank_pattern", out, modules, count, strict));
    TRY(apply_overrides(alphas, config, "alpha_pattern", out, modules, count, strict));
    for (int i = 0; i < count; i++) {
        if (out[i].R == 0)
            continue;
        const double a = alphas[i] ? json_number_value(alphas[i]) : alpha;
        out[i].R = ranks[i] ? (int)json_integer_value(ranks[i]) : rank;
        out[i].scale = (float)(a / (rslora ? sqrt(out[i].R) : out[i].R));
    }
done:
    free(ranks);
    free(alphas);
    return status;
}

static clora_status check_list(const json_t *list, const bool *used, const char *setting) {
    char number[32];

    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        if (used[i])
            continue;
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(entry));
        return clora_fail(CLORA_ERROR_NOT_FOUND, "%s: \"%s\" matches no layer that would be adapted", setting,
                          json_is_string(entry) ? json_string_value(entry) : number);
    }
    return CLORA_OK;
}

/* Entries of the lists that leave modules out do something. */
static clora_status check_others(const rules *r, const json_t *config) {
    clora_status status = CLORA_OK;

    TRY(check_list(json_object_get(config, "exclude_modules"), r->used_exclude, "exclude_modules"));
    TRY(check_list(json_object_get(config, "layers_to_transform"), r->used_layer, "layers_to_transform"));
done:
    return status;
}

clora_status target_resolve(target_choice *out, const json_t *config, const target_module *modules, int count,
                            bool strict) {
    clora_status status = CLORA_OK;
    bool match = false;
    int adapted = 0;
    rules r;

    TRY(rules_init(&r, config));
    for (int i = 0; i < count; i++) {
        TRY(is_target(&match, &r, modules[i].name));
        out[i] = (target_choice){match, 0.0f};
        adapted += match;
    }
    for (size_t i = 0; strict && i < json_array_size(r.targets); i++)
        if (!r.used[i])
            TRY(no_match(json_array_get(r.targets, i), modules, count));
    if (strict)
        TRY(check_others(&r, config));
    if (adapted == 0)
        TRY(no_match(r.targets, modules, count));
    TRY(choose_values(out, config, modules, count, strict));
done:
    rules_finish(&r);
    return status;
}
