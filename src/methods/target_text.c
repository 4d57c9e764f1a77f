#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/plain.h"
#include "methods/target.h"

static int compare_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A JSON list of the names, sorted, each once. The array of pointers is sorted in place. */
static clora_status sorted_list(json_t **out, const char **names, size_t count) {
    json_t *list = json_array();
    bool ok = list != NULL;

    *out = NULL;
    qsort(names, count, sizeof(*names), compare_text);
    for (size_t i = 0; ok && i < count; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            ok = json_array_append_new(list, json_string(names[i])) == 0;
    if (ok) {
        *out = list;
        return CLORA_OK;
    }
    json_decref(list);
    return clora_fail(CLORA_ERROR_MEMORY, "no memory for target_modules");
}

clora_status target_sort(json_t **out, const json_t *names) {
    const size_t count = json_array_size(names);
    const char **texts = alloc_array(count + 1, sizeof(*texts));

    *out = NULL;
    if (!texts)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for target_modules");
    for (size_t i = 0; i < count; i++)
        texts[i] = json_string_value(json_array_get(names, i));
    const clora_status status = sorted_list(out, texts, count);
    free(texts);
    return status;
}

static const char *ending(const char *name) {
    const char *dot = strrchr(name, '.');

    return dot ? dot + 1 : name;
}

/* The endings of all linear layers but the head; whole names where an ending would take another module too. */
static clora_status all_linear(json_t **out, const target_module *modules, int count) {
    const char **names = alloc_array((size_t)count + 1, sizeof(*names));
    bool whole = false;
    size_t n = 0;

    *out = NULL;
    if (!names)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for target_modules");
    for (int i = 0; i < count; i++)
        for (int j = 0; modules[i].kind != TARGET_LINEAR && j < count; j++)
            whole |= modules[j].kind == TARGET_LINEAR && strcmp(ending(modules[i].name), ending(modules[j].name)) == 0;
    for (int i = 0; i < count; i++)
        if (modules[i].kind == TARGET_LINEAR)
            names[n++] = whole ? modules[i].name : ending(modules[i].name);
    const clora_status status = sorted_list(out, names, n);
    free(names);
    return status;
}

/* Blanks around names are dropped. */
clora_status target_parse_names(json_t **out, const char *text, const char *option) {
    char *copy = alloc_string(text);
    const char **names = alloc_array(strlen(text) / 2 + 2, sizeof(*names));
    clora_status status = CLORA_OK;
    size_t n = 0;

    *out = NULL;
    if (!copy || !names)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", option));
    for (char *rest = copy; rest;) {
        char *name = strsep(&rest, ",");
        name += strspn(name, " \t");
        char *end = name + strcspn(name, " \t");
        if (*name == '\0' || end[strspn(end, " \t")] != '\0')
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s: \"%s\" is not a list of names with commas", option, text));
        *end = '\0';
        names[n++] = name;
    }
    TRY(sorted_list(out, names, n));
done:
    free(copy);
    free(names);
    return status;
}

clora_status target_parse_choice(json_t **out, const char *text, const char *option) {
    static const char list[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_., \t";

    if (text[strspn(text, list)] == '\0')
        return target_parse_names(out, text, option);
    *out = json_string(text);
    return *out ? CLORA_OK : clora_fail(CLORA_ERROR_ARGUMENT, "%s: the expression is not UTF-8", option);
}

clora_status target_parse_modules(json_t **out, const char *text, const target_module *modules, int count) {
    *out = NULL;
    if (strcasecmp_l(text, "all-linear", c_locale()) == 0)
        return all_linear(out, modules, count);
    return target_parse_choice(out, text, "target_modules");
}

/* "7" or "5-7" at *text, which moves on to what follows; false for anything else. */
static bool parse_range(int *first, int *last, const char **text) {
    char *end = NULL;

    errno = 0;
    const long low = isdigit((unsigned char)**text) ? strtol(*text, &end, 10) : -1;
    long high = low;
    if (end && *end == '-')
        high = isdigit((unsigned char)end[1]) ? strtol(end + 1, &end, 10) : -1;
    if (errno || low < 0 || high < low || high >= TARGET_MAX_LAYERS)
        return false;
    *first = (int)low;
    *last = (int)high;
    *text = end;
    return true;
}

clora_status target_parse_layers(json_t **out, const char *text, const char *option) {
    bool *chosen = alloc_array(TARGET_MAX_LAYERS, sizeof(*chosen));
    json_t *list = json_array();
    clora_status status = CLORA_OK;
    int first = 0, last = 0;

    *out = NULL;
    if (!chosen)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", option));
    for (const char *at = text;; at++) {
        if (!parse_range(&first, &last, &at) || (*at != ',' && *at != '\0'))
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s: \"%s\" is not a list of layers such as 0,2,5-7", option, text));
        memset(chosen + first, true, (size_t)(last - first + 1));
        if (*at == '\0')
            break;
    }
    for (int i = 0; i < TARGET_MAX_LAYERS; i++)
        if (chosen[i])
            json_push(&list, json_integer(i));
    if (!list)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", option));
    *out = list;
    list = NULL;
done:
    json_decref(list);
    free(chosen);
    return status;
}

static clora_status parse_value(json_t **out, const char *text, bool whole, const char *option, const char *entry) {
    char *end = NULL;

    *out = NULL;
    errno = 0;
    const double value = c_locale_number(text, &end);
    if (end == text || *end || errno || !isfinite(value))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: \"%s\" has no number after its \"=\"", option, entry);
    if (whole && (value < 1 || value > TARGET_MAX_RANK || value != floor(value)))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: \"%s\": a rank is an integer from 1 to %d", option, entry,
                          TARGET_MAX_RANK);
    if (!whole && !(value > 0))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: \"%s\": an alpha is above 0", option, entry);
    if (value == floor(value) && fabs(value) < 1e9)
        *out = json_integer((json_int_t)value);
    else
        *out = json_real(value);
    return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", option);
}

clora_status target_parse_pattern(json_t **out, const char *text, bool whole, const char *option) {
    char *copy = alloc_string(text ? text : "");
    json_t *pattern = json_object(), *value = NULL;
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!copy || !pattern)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", option));
    for (char *rest = *copy ? copy : NULL; rest;) {
        char *entry = strsep(&rest, ","), *equals = strrchr(entry, '=');
        if (!equals || equals == entry)
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s: \"%s\" is not name=%s", option, entry, whole ? "rank" : "alpha"));
        TRY(parse_value(&value, equals + 1, whole, option, entry));
        *equals = '\0';
        if (json_object_get(pattern, entry)) {
            json_decref(value);
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s: \"%s\" is there twice", option, entry));
        }
        if (json_object_set_new(pattern, entry, value) != 0)
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s: a name is not UTF-8", option));
    }
    *out = pattern;
    pattern = NULL;
done:
    json_decref(pattern);
    free(copy);
    return status;
}

/* A text that grows. NULL stands for no memory, in what is appended too, and swallows what follows. */
typedef struct growing {
    char *text;
    size_t length, capacity;
} growing;

static void append(growing *g, const char *more, size_t length) {
    if (!more || (g->text && alloc_grow((void **)&g->text, &g->capacity, g->length + length + 1, 1) != CLORA_OK)) {
        free(g->text);
        g->text = NULL;
    }
    if (!g->text)
        return;
    memcpy(g->text + g->length, more, length);
    g->length += length;
    g->text[g->length] = '\0';
}

static growing start(void) {
    return (growing){alloc_string(""), 0, 1};
}

/* The text with its control characters escaped: it comes from anyone's file. */
static char *finish(growing *g) {
    char *plain = g->text ? plain_text(g->text) : NULL;

    free(g->text);
    return plain;
}

char *target_modules_text(const json_t *targets) {
    growing g = start();
    const json_t *entry;
    size_t i;

    if (json_is_string(targets))
        append(&g, json_string_value(targets), json_string_length(targets));
    json_array_foreach ((json_t *)(uintptr_t)targets, i, entry) {
        append(&g, ",", i > 0);
        append(&g, json_string_value(entry), json_string_length(entry));
    }
    return finish(&g);
}

char *target_pattern_text(const json_t *pattern) {
    growing g = start();
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)pattern, key, value) {
        char *entry = alloc_format("%s%s=%.9g", g.length > 0 ? "," : "", key, json_number_value(value));
        append(&g, entry, entry ? strlen(entry) : 0);
        free(entry);
    }
    return finish(&g);
}
