#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "methods/classifier.h"

char **label_names_copy(const char *const *names) {
    size_t count = 0;

    while (names[count])
        count++;
    char **copy = alloc_array(count + 1, sizeof(*copy));
    for (size_t i = 0; copy && i < count; i++)
        if (!(copy[i] = alloc_string(names[i]))) {
            label_names_free(copy);
            return NULL;
        }
    return copy;
}

void label_names_free(char **names) {
    for (char **name = names; name && *name; name++)
        free(*name);
    free(names);
}

/* The name of a label, yours to free. */
static clora_status read_name(char **out, const json_t *names, int label, const char *path) {
    char key[16];

    snprintf(key, sizeof(key), "%d", label);
    const json_t *name = json_object_get(names, key);
    if (names && (!json_is_string(name) || strlen(json_string_value(name)) != json_string_length(name)))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"id2label\" has no name for the label %d", path, label);
    *out = name ? alloc_string(json_string_value(name)) : alloc_format("LABEL_%d", label);
    return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for the labels of %s", path);
}

clora_status label_names_read(char ***out, const json_t *config, int count, const char *path) {
    const json_t *names = json_object_get(config, "id2label");
    char **found = alloc_array((size_t)count + 1, sizeof(*found));
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!found)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the labels of %s", path));
    if (json_is_off(names))
        names = NULL;
    if (names && json_object_size(names) != (size_t)count)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"id2label\" has %zu names; score.weight has %d rows", path,
                       json_object_size(names), count));
    for (int i = 0; i < count; i++)
        TRY(read_name(&found[i], names, i, path));
    *out = found;
    found = NULL;
done:
    label_names_free(found);
    return status;
}

clora_status label_names_put(json_t *config, const char *const *names) {
    json_t *by_id = json_object(), *by_name = json_object();
    char key[16];

    for (int i = 0; names[i]; i++) {
        snprintf(key, sizeof(key), "%d", i);
        json_put(&by_id, key, json_string(names[i]));
        json_put(&by_name, names[i], json_integer(i));
    }
    json_t *modules = json_array();
    json_array_extend(modules, json_object_get(config, "modules_to_save"));
    json_push(&modules, json_string("classifier")); /* the names that PEFT looks for */
    json_push(&modules, json_string("score"));
    const bool ok = json_object_set_new(config, "modules_to_save", modules) == 0 &&
                    json_object_set_new(config, "task_type", json_string("SEQ_CLS")) == 0;
    const bool named = json_object_set_new(config, "id2label", by_id) == 0;
    return json_object_set_new(config, "label2id", by_name) == 0 && ok && named
               ? CLORA_OK
               : clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's settings");
}
