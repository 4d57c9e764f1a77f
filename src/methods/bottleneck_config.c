#include "methods/bottleneck_config.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/c_locale.h"

/* Keys of "config" that are checked below, or that say nothing of what the adapter computes. Others must be off. */
static const char *const KNOWN[] = {
    "adapter_residual_before_ln", /* of a norm that must be off */
    "dropout",
    "factorized_phm_W",
    "factorized_phm_rule",
    "hypercomplex_nonlinearity",
    "init_weights",
    "init_weights_seed",
    "inv_adapter_reduction_factor",
    "learn_phm",
    "leave_out",
    "mh_adapter",
    "non_linearity",
    "original_ln_after",
    "original_ln_before",
    "output_adapter",
    "phm_bias",
    "phm_c_init",
    "phm_dim",
    "phm_init_range",
    "phm_rank",
    "reduction_factor",
    "residual_before_ln",
    "scaling",
    "shared_W_phm",
    "shared_phm_rule",
};

static const char *const places[SUBLAYERS] = {"mh_adapter", "output_adapter"};

static bool is_known(const char *key) {
    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
        if (strcmp(key, KNOWN[i]) == 0)
            return true;
    return false;
}

static const json_t *settings_of(const json_t *root) {
    return json_object_get(root, "config");
}

bool bottleneck_config_is(const json_t *root) {
    return !json_object_get(root, "peft_type") && json_is_object(settings_of(root));
}

static clora_status check_other_keys(const json_t *config, const char *path) {
    const char *key, *kind;
    clora_status status = CLORA_OK;
    json_t *value;

    TRY(json_get_text(&kind, config, "architecture", NULL, path));
    if (kind)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: \"architecture\" is \"%s\"; of AdapterHub's methods clora applies bottleneck adapters",
                          path, kind);
    json_object_foreach ((json_t *)(uintptr_t)config, key, value) {
        if (!is_known(key) && !json_is_off(value))
            return clora_fail(CLORA_ERROR_UNSUPPORTED,
                              "%s: \"%s\" is set, and clora applies plain bottleneck adapters only: the adapter would "
                              "not do what it was trained for",
                              path, key);
    }
done:
    return status;
}

/* Both residual connections, those around the adapter and around the sublayer, and no factor. */
static clora_status check_sum(const json_t *config, const char *path) {
    static const char *const needed[] = {"original_ln_after", "residual_before_ln"};
    const json_t *scaling = json_object_get(config, "scaling");

    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        const json_t *value = json_object_get(config, needed[i]);
        if (value && !json_is_true(value))
            return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"%s\" is not true: clora adds the adapter to the stream",
                              path, needed[i]);
    }
    if (scaling && !(json_is_number(scaling) && json_number_value(scaling) == 1.0))
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"scaling\" is not 1, the only one that clora applies", path);
    return CLORA_OK;
}

static clora_status check_dropout(const json_t *config, const char *path) {
    clora_status status = CLORA_OK;
    double dropout;

    TRY(json_get_real(&dropout, config, "dropout", 0, path));
    if (!(dropout >= 0 && (float)dropout < 1))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"dropout\" is %g; it must be from 0 to below 1", path, dropout));
done:
    return status;
}

static clora_status check_places(const json_t *config, const char *path) {
    const json_t *left_out = json_object_get(config, "leave_out");
    clora_status status = CLORA_OK;
    bool there[SUBLAYERS], before;

    for (int i = 0; i < SUBLAYERS; i++)
        TRY(json_get_bool(&there[i], config, places[i], false, path));
    TRY(json_get_bool(&before, config, "original_ln_before", false, path));
    if (!there[SUBLAYER_ATTENTION] && !there[SUBLAYER_MLP])
        return clora_fail(CLORA_ERROR_FORMAT, "%s: neither \"mh_adapter\" nor \"output_adapter\" is true", path);
    if (left_out && !json_is_null(left_out) && !json_is_array(left_out))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"leave_out\" must be a list of layers", path);
    for (size_t i = 0; i < json_array_size(left_out); i++)
        if (!json_is_integer(json_array_get(left_out, i)))
            return clora_fail(CLORA_ERROR_FORMAT, "%s: \"leave_out\" must be a list of layers", path);
done:
    return status;
}

static bool is_swish(const char *name) {
    return strcmp(name, "swish") == 0 || strcmp(name, "silu") == 0;
}

static clora_status check_nonlinearity(const json_t *config, const char *path) {
    clora_status status = CLORA_OK;
    const char *name;

    TRY(json_get_text(&name, config, "non_linearity", NULL, path));
    if (!name || (strcmp(name, "relu") != 0 && !is_swish(name)))
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"non_linearity\" is \"%s\"; clora has \"relu\" and \"swish\"",
                          path, name ? name : "");
done:
    return status;
}

static bool is_factor(const json_t *value) {
    return json_is_number(value) && json_number_value(value) > 0 && isfinite(json_number_value(value));
}

/* One number, or one for each layer. */
static clora_status check_factor(const json_t *config, const char *path) {
    const json_t *factor = json_object_get(config, "reduction_factor");
    const char *layer;
    json_t *value;

    if (json_is_object(factor)) {
        json_object_foreach ((json_t *)(uintptr_t)factor, layer, value) {
            if (!is_factor(value))
                return clora_fail(CLORA_ERROR_FORMAT,
                                  "%s: \"reduction_factor\" of layer \"%s\" is not a number above 0", path, layer);
        }
        return CLORA_OK;
    }
    return is_factor(factor) ? CLORA_OK
                             : clora_fail(CLORA_ERROR_FORMAT, "%s: \"reduction_factor\" is not a number above 0", path);
}

static clora_status check(const json_t *root, const char *path) {
    const json_t *config = settings_of(root);
    clora_status status = CLORA_OK;
    const char *text;

    if (!json_is_object(config))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: there is no object \"config\"; is this an adapter of AdapterHub's?",
                          path);
    TRY(json_get_text(&text, root, "model_name", NULL, path));
    TRY(json_get_text(&text, root, "name", NULL, path));
    if (!text || !*text || strchr(text, '.'))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"name\" must be the adapter's name in its tensors' names", path);
    TRY(check_other_keys(config, path));
    TRY(check_sum(config, path));
    TRY(check_dropout(config, path));
    TRY(check_places(config, path));
    TRY(check_nonlinearity(config, path));
    TRY(check_factor(config, path));
done:
    return status;
}

clora_status bottleneck_config_load(json_t **out, const char *path) {
    enum { LIMIT = 16 << 20 };
    clora_status status = CLORA_OK;
    json_t *root = NULL;

    *out = NULL;
    TRY(json_load_path(&root, path, LIMIT));
    TRY(check(root, path));
    *out = root;
    root = NULL;
done:
    json_decref(root);
    return status;
}

const char *bottleneck_config_name(const json_t *root) {
    return json_string_value(json_object_get(root, "name"));
}

bool bottleneck_config_swish(const json_t *root) {
    return is_swish(json_string_value(json_object_get(settings_of(root), "non_linearity")));
}

bool bottleneck_config_reads_stream(const json_t *root) {
    return json_is_true(json_object_get(settings_of(root), "original_ln_before"));
}

float bottleneck_config_dropout(const json_t *root) {
    return (float)json_number_value(json_object_get(settings_of(root), "dropout"));
}

static clora_status is_dropout(float dropout) {
    if (!(dropout >= 0 && dropout < 1))
        return clora_fail(CLORA_ERROR_ARGUMENT, "dropout %g: it must be from 0 to below 1", (double)dropout);
    return CLORA_OK;
}

clora_status bottleneck_config_set_dropout(json_t *root, float dropout) {
    clora_status status = CLORA_OK;

    TRY(is_dropout(dropout));
    if (json_object_set_new(json_object_get(root, "config"), "dropout", json_decimal(dropout)) != 0)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings"));
done:
    return status;
}

static bool is_left_out(const json_t *config, int layer) {
    const json_t *left_out = json_object_get(config, "leave_out");

    for (size_t i = 0; i < json_array_size(left_out); i++)
        if (json_integer_value(json_array_get(left_out, i)) == layer)
            return true;
    return false;
}

/* 0 where an object of factors names neither the layer nor a default. */
static double factor_of(const json_t *config, int layer) {
    const json_t *factor = json_object_get(config, "reduction_factor");
    char key[16];

    snprintf(key, sizeof(key), "%d", layer);
    if (json_is_object(factor)) {
        const json_t *own = json_object_get(factor, key);
        factor = own ? own : json_object_get(factor, "default");
    }
    return json_number_value(factor);
}

int bottleneck_config_columns(const json_t *root, int hidden, int layer, int sublayer) {
    const json_t *config = settings_of(root);

    if (!json_is_true(json_object_get(config, places[sublayer])) || is_left_out(config, layer))
        return 0;
    const double factor = factor_of(config, layer);
    const double columns = factor > 0 ? round((hidden - fmod(hidden, factor)) / factor) : BOTTLENECK_MOST_COLUMNS + 1.0;
    return columns < 1 ? 1 : columns > BOTTLENECK_MOST_COLUMNS ? BOTTLENECK_MOST_COLUMNS + 1 : (int)columns;
}

/* ---- a fresh one ---- */

/* A number of which AdapterHub makes so many columns: the whole part of hidden / factor. */
static json_t *factor_for(int hidden, int columns) {
    return hidden % columns == 0 ? json_integer(hidden / columns) : json_real(hidden / (columns + 0.5));
}

/* What AdapterHub writes for every bottleneck adapter. */
static json_t *hub_defaults(void) {
    return json_pack("{s:b, s:b, s:f, s:b, s:b, s:s, s:s, s:n, s:n, s:n, s:b, s:b, s:[], s:b, s:b, s:b, s:b, s:s, s:i, "
                     "s:f, s:b, s:i,"
                     " s:b, s:f, s:b, s:b, s:f, s:b}",
                     "adapter_residual_before_ln", 0, "cross_adapter", 0, "dropout", 0.0, "factorized_phm_W", 1,
                     "factorized_phm_rule", 0, "hypercomplex_nonlinearity", "glorot-uniform", "init_weights", "bert",
                     "init_weights_seed", "inv_adapter", "inv_adapter_reduction_factor", "is_parallel", 0, "learn_phm",
                     1, "leave_out", "ln_after", 0, "ln_before", 0, "original_ln_after", 1, "phm_bias", 1, "phm_c_init",
                     "normal", "phm_dim", 4, "phm_init_range", 0.0001, "phm_layer", 0, "phm_rank", 1,
                     "residual_before_ln", 1, "scaling", 1.0, "shared_W_phm", 0, "shared_phm_rule", 1,
                     "stochastic_depth", 0.0, "use_gating", 0);
}

static clora_status check_options(const clora_bottleneck_options *o) {
    if (o->columns < 1 || o->columns > BOTTLENECK_MOST_COLUMNS)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d columns: a bottleneck has from 1 to %d", o->columns,
                          BOTTLENECK_MOST_COLUMNS);
    if ((int)o->style < CLORA_BOTTLENECK_STYLE_PFEIFFER || o->style > CLORA_BOTTLENECK_STYLE_HOULSBY)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no style of bottlenecks with number %d", (int)o->style);
    if ((int)o->nonlinearity < CLORA_NONLINEARITY_STYLES || o->nonlinearity > CLORA_NONLINEARITY_SWISH)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no nonlinearity with number %d", (int)o->nonlinearity);
    if ((int)o->init < CLORA_BOTTLENECK_INIT_BERT || o->init > CLORA_BOTTLENECK_INIT_MAM)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no initialisation of bottlenecks with number %d",
                          (int)o->init);
    return is_dropout(o->dropout);
}

/* "LlamaForCausalLM" of "llama" */
static char *class_of(const char *model_type) {
    char *name = alloc_format("%sForCausalLM", model_type);

    if (name)
        name[0] = (char)toupper_l((unsigned char)name[0], c_locale());
    return name;
}

clora_status bottleneck_config_create(json_t **out, const base_model *base, const clora_bottleneck_options *o) {
    const bool houlsby = o->style == CLORA_BOTTLENECK_STYLE_HOULSBY;
    const bool swish = o->nonlinearity == CLORA_NONLINEARITY_SWISH || (!o->nonlinearity && houlsby);
    clora_status status = CLORA_OK;
    char *class = NULL;

    *out = NULL;
    TRY(check_options(o));
    json_t *config = hub_defaults();
    json_put(&config, "dropout", json_decimal(o->dropout));
    json_put(&config, "init_weights", json_string(o->init == CLORA_BOTTLENECK_INIT_MAM ? "mam_adapter" : "bert"));
    json_put(&config, "mh_adapter", json_boolean(houlsby));
    json_put(&config, "output_adapter", json_true());
    json_put(&config, "original_ln_before", json_boolean(!houlsby));
    json_put(&config, "non_linearity", json_string(swish ? "swish" : "relu"));
    json_put(&config, "reduction_factor", factor_for(base->hidden, o->columns));
    class = class_of(base->model_type);
    *out = json_pack("{s:o, s:i, s:s, s:s, s:s, s:s, s:s}", "config", config, "hidden_size", base->hidden,
                     "model_class", class ? class : "", "model_name", "", "model_type", base->model_type, "name",
                     "clora", "version", "adapters.1.2.0");
    if (!*out)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings"));
done:
    free(class);
    return status;
}

clora_status bottleneck_config_save(const json_t *config, const char *path, const char *base_name) {
    clora_status status = CLORA_OK;
    json_t *copy = json_deep_copy(config), *name = base_name ? json_string(base_name) : NULL;

    if (base_name)
        json_put(&copy, "model_name", name ? name : json_null());
    if (!copy)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path));
    TRY(json_save_path(copy, path));
done:
    json_decref(copy);
    return status;
}
