#include "methods/peft_config.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "methods/classifier.h"
#include "methods/peft_check.h"

/*
 * What clora writes: the keys of PEFT's first releases with patterns, so that old versions, which stop at a key that
 * they do not know, load the files too. exclude_modules, lora_bias and use_dora are younger and written only when they
 * are set, and so are the names of labels, which are transformers'.
 */
static const char *const KEYS[] = {
    "alpha_pattern",
    "base_model_name_or_path",
    "bias",
    "exclude_modules",
    "fan_in_fan_out",
    "id2label",
    "inference_mode",
    "init_lora_weights",
    "label2id",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_bias",
    "lora_dropout",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "revision",
    "target_modules",
    "task_type",
    "use_dora",
    "use_rslora",
};

enum { KEY_COUNT = sizeof(KEYS) / sizeof(KEYS[0]) };

static bool is_optional(const char *key) {
    static const char *const optional[] = {"exclude_modules", "id2label", "label2id", "lora_bias", "use_dora"};

    for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
        if (strcmp(key, optional[i]) == 0)
            return true;
    return false;
}

/* A copy with exactly clora's keys in their order; what `from` lacks or has as null comes from `defaults`. */
static clora_status arrange(json_t **out, const json_t *from, const json_t *defaults) {
    json_t *config = json_object();

    *out = NULL;
    for (size_t i = 0; i < KEY_COUNT; i++) {
        const json_t *value = json_object_get(from, KEYS[i]);
        const bool absent = !value || json_is_null(value);
        if (is_optional(KEYS[i]) && (absent || json_is_off(value)))
            continue;
        if (absent)
            value = json_object_get(defaults, KEYS[i]);
        if (json_object_set_new(config, KEYS[i], value ? json_deep_copy(value) : json_null()) != 0) {
            json_decref(config);
            return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings");
        }
    }
    *out = config;
    return CLORA_OK;
}

/* Lists of targets are sets; sorted they say the same in the same bytes. "all-linear" is expanded. */
static clora_status normalise_targets(json_t *config, const target_module *modules, int count) {
    const json_t *targets = json_object_get(config, "target_modules");
    const bool all = json_is_string(targets) && strcasecmp_l(json_string_value(targets), "all-linear", c_locale()) == 0;
    clora_status status = CLORA_OK;
    json_t *sorted = NULL;

    if (json_is_string(targets) && !all)
        return CLORA_OK;
    if (all)
        TRY(target_parse_modules(&sorted, "all-linear", modules, count));
    else
        TRY(target_sort(&sorted, targets));
    if (json_object_set_new(config, "target_modules", sorted) != 0)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings");
done:
    return status;
}

static void set(bool *ok, json_t *object, const char *key, json_t *value) {
    *ok = json_object_set_new(object, key, value) == 0 && *ok;
}

/* PEFT's own defaults, and its targets for this family of models where a file names none. */
static json_t *peft_defaults(void) {
    return json_pack("{s:{}, s:s, s:b, s:b, s:i, s:f, s:s, s:i, s:{}, s:[s, s], s:b}", "alpha_pattern", "bias", "none",
                     "fan_in_fan_out", 0, "init_lora_weights", 1, "lora_alpha", 8, "lora_dropout", 0.0, "peft_type",
                     "LORA", "r", 8, "rank_pattern", "target_modules", "q_proj", "v_proj", "use_rslora", 0);
}

clora_status peft_config_complete(json_t **out, const json_t *given) {
    json_t *defaults = peft_defaults();
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!defaults)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings");
    status = arrange(out, given, defaults);
    json_decref(defaults);
    return status;
}

clora_status peft_config_load(json_t **out, const char *path, const target_module *modules, int count) {
    clora_status status = CLORA_OK;
    json_t *root = NULL, *config = NULL, *defaults = peft_defaults();
    int64_t rank;

    *out = NULL;
    if (!defaults)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    TRY(json_load_path(&root, path, PEFT_CONFIG_BYTES));
    TRY(peft_check(root, path));
    TRY(json_get_int(&rank, root, "r", 8, path)); /* some writers say 16.0 */
    bool ok = true;
    set(&ok, root, "r", json_integer(rank));
    set(&ok, root, "inference_mode", json_true());
    if (json_is_string(json_object_get(root, "init_lora_weights")))
        set(&ok, root, "init_lora_weights", json_string("gaussian"));
    if (!ok)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    TRY(arrange(&config, root, defaults));
    TRY(normalise_targets(config, modules, count));
    *out = config;
    config = NULL;
done:
    json_decref(root);
    json_decref(config);
    json_decref(defaults);
    return status;
}

/* The decimal that a person would have written for a float: an integer, or the shortest that gives the float back. */
static json_t *number(float value, bool whole) {
    if (whole && value == floorf(value) && fabsf(value) < 0x1p24f)
        return json_integer((json_int_t)value);
    return json_decimal(value);
}

static clora_status check_options(const clora_adapter_options *o) {
    if (o->rank < 1 || o->rank > TARGET_MAX_RANK)
        return clora_fail(CLORA_ERROR_ARGUMENT, "rank %d: an adapter's rank is from 1 to %d", o->rank, TARGET_MAX_RANK);
    if (!(o->alpha > 0) || !isfinite(o->alpha))
        return clora_fail(CLORA_ERROR_ARGUMENT, "alpha %g: it must be above 0", (double)o->alpha);
    if (!(o->dropout >= 0 && o->dropout < 1))
        return clora_fail(CLORA_ERROR_ARGUMENT, "dropout %g: it must be from 0 to below 1", (double)o->dropout);
    if (o->dora && o->lora_bias)
        return clora_fail(CLORA_ERROR_ARGUMENT, "DoRA and a bias of B: PEFT has no adapters with both; choose one");
    if ((o->dora || o->lora_bias) && o->init >= CLORA_INIT_PISSA)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "DoRA and a bias of B go with random beginnings of A, not with pissa and olora");
    if ((int)o->init < CLORA_INIT_GAUSSIAN || o->init > CLORA_INIT_OLORA)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no initialisation of A with number %d", (int)o->init);
    return CLORA_OK;
}

/* Which modules and layers, besides the targets: lists where they are given. */
static clora_status set_choices(bool *ok, json_t *given, const clora_adapter_options *o) {
    clora_status status = CLORA_OK;
    json_t *value;

    if (o->modules_to_save) {
        TRY(target_parse_names(&value, o->modules_to_save, "modules_to_save"));
        set(ok, given, "modules_to_save", value);
    }
    if (o->exclude_modules) {
        TRY(target_parse_choice(&value, o->exclude_modules, "exclude_modules"));
        set(ok, given, "exclude_modules", value);
    }
    if (o->layers_to_transform) {
        if (json_is_string(json_object_get(given, "target_modules")))
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "layers_to_transform goes with a list of names in target_modules; the "
                                                 "expression there chooses layers itself"));
        TRY(target_parse_layers(&value, o->layers_to_transform, "layers_to_transform"));
        set(ok, given, "layers_to_transform", value);
    }
    if (o->layers_pattern) {
        if (!o->layers_to_transform)
            TRY(clora_fail(CLORA_ERROR_ARGUMENT, "layers_pattern needs layers_to_transform"));
        TRY(target_parse_names(&value, o->layers_pattern, "layers_pattern"));
        set(ok, given, "layers_pattern", value);
    }
done:
    return status;
}

static bool is_gaussian(clora_init init) {
    return init == CLORA_INIT_GAUSSIAN || init == CLORA_INIT_PEFT_GAUSSIAN;
}

/*
 * init_lora_weights records how A began: true is PEFT's Kaiming, or what has no part in the base any more when it is
 * saved; "gaussian" any normal distribution. PEFT has one name
 * for those and refuses names of ours; when it loads, the tensors replace its values anyway.
 */
clora_status peft_config_create(json_t **out, const clora_adapter_options *options, const target_module *modules,
                                int count) {
    const char *targets = options->target_modules ? options->target_modules : "all-linear";
    clora_status status = CLORA_OK;
    json_t *given = json_object(), *value = NULL, *defaults = peft_defaults();
    bool ok = given && defaults;

    *out = NULL;
    TRY(check_options(options));
    TRY(target_parse_modules(&value, targets, modules, count));
    set(&ok, given, "target_modules", value);
    TRY(target_parse_pattern(&value, options->rank_pattern, true, "rank_pattern"));
    set(&ok, given, "rank_pattern", value);
    TRY(target_parse_pattern(&value, options->alpha_pattern, false, "alpha_pattern"));
    set(&ok, given, "alpha_pattern", value);
    TRY(set_choices(&ok, given, options));
    set(&ok, given, "r", json_integer(options->rank));
    set(&ok, given, "lora_alpha", number(options->alpha, true));
    set(&ok, given, "lora_dropout", number(options->dropout, false));
    set(&ok, given, "use_rslora", json_boolean(options->rslora));
    set(&ok, given, "use_dora", json_boolean(options->dora));
    set(&ok, given, "lora_bias", json_boolean(options->lora_bias));
    set(&ok, given, "inference_mode", json_true());
    set(&ok, given, "task_type", json_string("CAUSAL_LM"));
    set(&ok, given, "init_lora_weights", is_gaussian(options->init) ? json_string("gaussian") : json_true());
    if (!ok)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings"));
    if (options->labels)
        TRY(label_names_put(given, options->labels));
    TRY(arrange(out, given, defaults));
done:
    json_decref(given);
    json_decref(defaults);
    return status;
}

clora_status peft_config_save(const json_t *config, const char *path, const char *base_name) {
    clora_status status = CLORA_OK;
    json_t *copy = json_deep_copy(config), *name = base_name ? json_string(base_name) : NULL;

    if (base_name)
        json_put(&copy, "base_model_name_or_path", name ? name : json_null());
    if (!copy)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path));
    TRY(json_save_ordered_path(copy, path));
done:
    json_decref(copy);
    return status;
}

clora_status peft_config_set_dropout(json_t *config, float dropout) {
    if (!(dropout >= 0 && dropout < 1))
        return clora_fail(CLORA_ERROR_ARGUMENT, "dropout %g: it must be from 0 to below 1", (double)dropout);
    if (json_object_set_new(config, "lora_dropout", number(dropout, false)) != 0)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings");
    return CLORA_OK;
}
