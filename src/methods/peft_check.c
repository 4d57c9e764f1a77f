#include "methods/peft_check.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/c_locale.h"
#include "methods/bottleneck_config.h"
#include "methods/method.h"
#include "methods/target.h"

/* Keys whose values are checked below, or that only say where an adapter comes from, not what it computes. */
static const char *const KNOWN[] = {
    "alpha_pattern",
    "auto_mapping",
    "base_model_name_or_path",
    "bias",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "fan_in_fan_out",
    "id2label",
    "inference_mode",
    "init_lora_weights",
    "label2id",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_alpha",
    "lora_bias",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "modules_to_save",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "r",
    "rank_pattern",
    "revision",
    "runtime_config",
    "target_modules",
    "task_type",
    "use_dora",
    "use_rslora",
};

enum { MOST_SAVED = 1000 /* names of modules_to_save, each of which is compared with every tensor */ };

static bool is_known(const char *key) {
    for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++)
        if (strcmp(key, KNOWN[i]) == 0)
            return true;
    return false;
}

static bool is_text(const json_t *value) {
    return json_is_string(value) && json_string_length(value) > 0 &&
           strlen(json_string_value(value)) == json_string_length(value);
}

static bool is_texts(const json_t *value) {
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!is_text(json_array_get(value, i)))
            return false;
    return json_array_size(value) > 0;
}

static bool is_integers(const json_t *value) {
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_integer(json_array_get(value, i)))
            return false;
    return json_array_size(value) > 0;
}

static clora_status check_kind(const json_t *root, const char *path) {
    const char *kind, *bias;
    clora_status status = CLORA_OK;

    TRY(json_get_text(&kind, root, "peft_type", NULL, path));
    TRY(json_get_text(&bias, root, "bias", "none", path));
    if (bottleneck_config_is(root))
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: a bottleneck adapter of AdapterHub's, which is no change of a weight: it cannot be "
                          "merged; eval and generate take it with --adapter",
                          path);
    if (!kind)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: there is no \"peft_type\"; is this an adapter?", path);
    if (strcmp(kind, method_prefix.peft_type) == 0 || strcmp(kind, method_prompt.peft_type) == 0)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: \"peft_type\" is \"%s\": it stands before every sequence, which is no change of a "
                          "weight: it cannot be merged; eval and generate take it with --adapter",
                          path, kind);
    if (strcmp(kind, "LORA") != 0)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"peft_type\" is \"%s\"; clora applies \"LORA\"", path, kind);
    if (strcmp(bias, "none") != 0)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: \"bias\" is \"%s\": adapters that train biases are not supported, only \"none\"", path,
                          bias);
done:
    return status;
}

/* All others must be off (use_qalora, ensure_weight_tying, ...): they may change what the adapter computes. */
static clora_status check_other_keys(const json_t *root, const char *path) {
    const char *key;
    json_t *value;

    json_object_foreach ((json_t *)root, key, value) {
        if (!is_known(key) && !json_is_off(value))
            return clora_fail(CLORA_ERROR_UNSUPPORTED,
                              "%s: \"%s\" is set, which clora cannot apply: the adapter would not do what it "
                              "was trained for",
                              path, key);
    }
    return CLORA_OK;
}

/* How A and B began says nothing about what they are now, unless the base was changed along with them. */
static clora_status check_init(const json_t *root, const char *path) {
    static const char *const harmless[] = {"gaussian", "eva", "orthogonal"};
    const json_t *init = json_object_get(root, "init_lora_weights");
    const char *name = json_string_value(init);

    if (!init || json_is_null(init) || json_is_boolean(init))
        return CLORA_OK;
    for (size_t i = 0; name && i < sizeof(harmless) / sizeof(harmless[0]); i++)
        if (strcasecmp_l(name, harmless[i], c_locale()) == 0)
            return CLORA_OK;
    return clora_fail(CLORA_ERROR_UNSUPPORTED,
                      "%s: \"init_lora_weights\" is \"%s\": the adapter may belong to a base that was changed with it; "
                      "convert it to plain LoRA with PEFT's save_pretrained(path_initial_model_for_weight_conversion)",
                      path, name ? name : "not a name");
}

static clora_status check_numbers(const json_t *root, const char *path) {
    clora_status status = CLORA_OK;
    double alpha, dropout;
    int64_t rank;

    TRY(json_get_int(&rank, root, "r", 8, path));
    TRY(json_get_real(&alpha, root, "lora_alpha", 8, path));
    TRY(json_get_real(&dropout, root, "lora_dropout", 0, path));
    if (rank < 1 || rank > TARGET_MAX_RANK)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"r\" is %lld; a rank is an integer from 1 to %d", path,
                          (long long)rank, TARGET_MAX_RANK);
    if (!isfinite((float)alpha))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"lora_alpha\" is %g, which no float holds", path, alpha);
    if (!(dropout >= 0 && (float)dropout < 1))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"lora_dropout\" is %g; it must be from 0 to below 1", path,
                          dropout);
done:
    return status;
}

static clora_status check_flags(const json_t *root, const char *path) {
    static const char *const flags[] = {"fan_in_fan_out", "inference_mode", "lora_bias", "use_dora", "use_rslora"};
    static const char *const texts[] = {"base_model_name_or_path", "revision", "task_type"};
    clora_status status = CLORA_OK;
    const char *text;
    bool flag;

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        TRY(json_get_bool(&flag, root, flags[i], false, path));
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        TRY(json_get_text(&text, root, texts[i], NULL, path));
    if (json_is_true(json_object_get(root, "use_dora")) && json_is_true(json_object_get(root, "lora_bias")))
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: \"use_dora\" and \"lora_bias\" are set: PEFT has no such adapter", path);
done:
    return status;
}

static clora_status check_pattern(const json_t *root, const char *name, bool whole, const char *path) {
    const json_t *pattern = json_object_get(root, name);
    const char *key;
    json_t *value;

    if (pattern && !json_is_null(pattern) && !json_is_object(pattern))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" must be an object", path, name);
    json_object_foreach ((json_t *)pattern, key, value) {
        const double number = json_number_value(value);
        if (whole ? !json_is_integer(value) || number < 1 || number > TARGET_MAX_RANK
                  : !json_is_number(value) || !isfinite((float)number))
            return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\": the value of \"%s\" is not %s", path, name, key,
                              whole ? "a rank" : "a number");
    }
    return CLORA_OK;
}

static clora_status check_targets(const json_t *root, const char *path) {
    const json_t *targets = json_object_get(root, "target_modules"),
                 *excluded = json_object_get(root, "exclude_modules"),
                 *layers = json_object_get(root, "layers_to_transform"),
                 *pattern = json_object_get(root, "layers_pattern"), *saved = json_object_get(root, "modules_to_save");
    clora_status status = CLORA_OK;

    if (targets && !json_is_null(targets) && !is_text(targets) && !is_texts(targets))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"target_modules\" must be a list of names or an expression", path);
    if (excluded && !json_is_off(excluded) && !is_text(excluded) && !is_texts(excluded))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"exclude_modules\" must be a list of names or an expression", path);
    if (pattern && !json_is_off(pattern) && !is_text(pattern) && !is_texts(pattern))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"layers_pattern\" must be a name or a list of names", path);
    const bool some = json_is_integer(layers) || is_integers(layers);
    if (layers && !some && !json_is_null(layers) && !(json_is_array(layers) && json_array_size(layers) == 0))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"layers_to_transform\" must be a number or a list of numbers",
                          path);
    if (some && json_is_string(targets))
        return clora_fail(CLORA_ERROR_FORMAT,
                          "%s: \"layers_to_transform\" goes with a list of names in \"target_modules\"; the expression "
                          "there chooses layers itself",
                          path);
    if (pattern && !json_is_off(pattern) && !some)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"layers_pattern\" needs \"layers_to_transform\"", path);
    if (saved && !json_is_off(saved) && (!is_texts(saved) || json_array_size(saved) > MOST_SAVED))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"modules_to_save\" must be a list of at most %d names", path,
                          MOST_SAVED);
    TRY(check_pattern(root, "rank_pattern", true, path));
    TRY(check_pattern(root, "alpha_pattern", false, path));
done:
    return status;
}

clora_status peft_check(const json_t *root, const char *path) {
    clora_status status = CLORA_OK;

    TRY(check_kind(root, path));
    TRY(check_other_keys(root, path));
    TRY(check_init(root, path));
    TRY(check_numbers(root, path));
    TRY(check_flags(root, path));
    TRY(check_targets(root, path));
done:
    return status;
}
