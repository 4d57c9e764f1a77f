#include "exchange/term_settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "methods/peft_config.h"
#include "methods/target.h"

static json_t *number(double value) {
    return value == floor(value) && fabs(value) < 0x1p24 ? json_integer((json_int_t)value) : json_real(value);
}

/* The numerator of a scale: exact in a double, so that the quotient gives the scale back. */
static double alpha_of(const lowrank_term *t) {
    return (double)t->scale * t->R;
}

/* r and lora_alpha, and by name the modules whose own are others. */
static void set_numbers(json_t **settings, const term_list *list) {
    const int rank = term_list_rank(list);
    json_t *ranks = json_object(), *alphas = json_object();
    double alpha = 0;

    for (size_t i = list->count; i-- > 0;)
        if (list->term[i].R == rank)
            alpha = alpha_of(&list->term[i]);
    for (size_t i = 0; i < list->count; i++) {
        const lowrank_term *t = &list->term[i];
        if (t->R != rank)
            json_put(&ranks, t->module, json_integer(t->R));
        if ((float)(alpha / t->R) != t->scale)
            json_put(&alphas, t->module, number(alpha_of(t)));
    }
    json_put(settings, "r", json_integer(rank));
    json_put(settings, "lora_alpha", number(alpha));
    json_put(settings, "rank_pattern", ranks);
    json_put(settings, "alpha_pattern", alphas);
    json_put(settings, "use_rslora", json_false());
}

static int compare_layers(const void *x, const void *y) {
    const int a = *(const int *)x, b = *(const int *)y;

    return (a > b) - (a < b);
}

/* *layers (*count): those with terms, ascending; *names: the ends of the modules' names. */
static clora_status collect(int **layers, size_t *count, json_t **names, const term_list *list) {
    size_t n = 0, kept = 0;

    *names = json_object();
    *layers = alloc_array(list->count + 1, sizeof(**layers));
    if (!*layers)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings");
    for (size_t i = 0; i < list->count; i++) {
        const char *rest, *dot;
        (*layers)[n++] = term_layer(&rest, list->term[i].module);
        dot = strrchr(rest, '.');
        json_put(names, dot ? dot + 1 : rest, json_true());
    }
    qsort(*layers, n, sizeof(**layers), compare_layers);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || (*layers)[i] != (*layers)[kept - 1])
            (*layers)[kept++] = (*layers)[i];
    *count = kept;
    return CLORA_OK;
}

static json_t *sorted_names(const json_t *names) {
    json_t *list = json_array(), *sorted = NULL;
    const char *name;
    json_t *value;

    json_object_foreach ((json_t *)(uintptr_t)names, name, value)
        json_push(&list, json_string(name));
    if (!list || target_sort(&sorted, list) != CLORA_OK)
        sorted = NULL;
    json_decref(list);
    return sorted;
}

/* The same kinds of modules in some layers, or else every module by its whole name. */
static clora_status set_targets(json_t **settings, const term_list *list, int base_layers) {
    clora_status status = CLORA_OK;
    json_t *names = NULL, *targets = NULL, *numbers = json_null();
    int *layers = NULL;
    size_t count = 0;

    TRY(collect(&layers, &count, &names, list));
    if (names && layers[0] >= 0 && count * json_object_size(names) == list->count) {
        targets = sorted_names(names);
        if (count != (size_t)base_layers) {
            numbers = json_array();
            for (size_t i = 0; i < count; i++)
                json_push(&numbers, json_integer(layers[i]));
        }
    } else if (names) {
        targets = json_array();
        for (size_t i = 0; i < list->count; i++)
            json_push(&targets, json_string(list->term[i].module));
    }
    json_put(settings, "target_modules", targets);
    json_put(settings, "layers_to_transform", numbers);
    json_put(settings, "layers_pattern", json_null());
    json_put(settings, "exclude_modules", json_null());
done:
    json_decref(names);
    free(layers);
    return status;
}

/* In place: jansson's copies leave out what there is no memory for, and say nothing. */
clora_status term_settings(term_list *list, int layers, bool keep_targets) {
    clora_status status = CLORA_OK;
    json_t *complete = NULL;

    if (!list->settings)
        list->settings = json_pack("{s:s}", "task_type", "CAUSAL_LM");
    set_numbers(&list->settings, list);
    if (!keep_targets)
        TRY(set_targets(&list->settings, list, layers));
    json_put(&list->settings, "init_lora_weights", json_true());
    if (!list->settings)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings"));
    TRY(peft_config_complete(&complete, list->settings));
    json_decref(list->settings);
    list->settings = complete;
    list->told = true;
done:
    return status;
}
