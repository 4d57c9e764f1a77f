#include "methods/peft_saved.h"

#include <string.h>

#include "files/model_tables.h"

static bool ends_with(const char *name, size_t length, const char *ending) {
    const size_t n = strlen(ending);

    return n <= length && memcmp(name + length - n, ending, n) == 0;
}

/* Does the entry match one of the modules that the tensor lies in? */
static bool matches(const char *entry, const char *tensor) {
    for (const char *dot = strchr(tensor, '.'); dot; dot = strchr(dot + 1, '.'))
        if (ends_with(tensor, (size_t)(dot - tensor), entry))
            return true;
    return false;
}

static bool has_copies(const base_tensor *t) {
    return t->N == 0 || model_is_embedding(t->name) || strcmp(t->name, MODEL_HEAD) == 0;
}

static clora_status choose_by(bool *out, const char *entry, const base_tensor *tensors, int count, bool strict) {
    bool any = false;

    for (int i = 0; i < count; i++) {
        if (!matches(entry, tensors[i].name))
            continue;
        if (!has_copies(&tensors[i]))
            return clora_fail(CLORA_ERROR_UNSUPPORTED,
                              "modules_to_save: \"%s\" saves %s; clora has whole copies of the embedding, the head and "
                              "normalisations alone",
                              entry, tensors[i].name);
        out[i] = any = true;
    }
    if (strict && !any)
        return clora_fail(CLORA_ERROR_NOT_FOUND,
                          "modules_to_save: \"%s\" matches no module; there are embed_tokens, lm_head and norm", entry);
    return CLORA_OK;
}

/* The head of labels, which the settings of an adapter that has one name as PEFT looks for it. */
static bool is_of_labels(const json_t *config, const char *entry) {
    return json_object_get(config, "id2label") && (strcmp(entry, "classifier") == 0 || strcmp(entry, "score") == 0);
}

clora_status peft_saved_choose(bool *out, const json_t *config, const base_tensor *tensors, int count, bool strict) {
    const json_t *entry, *saved = json_object_get(config, "modules_to_save");
    clora_status status = CLORA_OK;
    size_t i;

    for (int t = 0; t < count; t++)
        out[t] = false;
    json_array_foreach ((json_t *)(uintptr_t)saved, i, entry)
        if (!is_of_labels(config, json_string_value(entry)))
            TRY(choose_by(out, json_string_value(entry), tensors, count, strict));
done:
    return status;
}

/* PEFT asks otherwise here: for whole parts of the name. */
static bool has_parts(const char *name, const char *parts) {
    const size_t n = strlen(parts);

    for (const char *at = strstr(name, parts); at; at = strstr(at + 1, parts))
        if ((at == name || at[-1] == '.') && (at[n] == '.' || at[n] == '\0'))
            return true;
    return false;
}

bool peft_saved_has(const json_t *config, const char *module) {
    const json_t *entry, *saved = json_object_get(config, "modules_to_save");
    size_t i;

    json_array_foreach ((json_t *)(uintptr_t)saved, i, entry)
        if (has_parts(module, json_string_value(entry)))
            return true;
    return false;
}
