#include "model/layer_types.h"

#include <string.h>

clora_status layer_types_read_window(model_config *c, const json_t *root, int fallback, const char *path) {
    const json_t *value = json_object_get(root, "sliding_window");
    int64_t window;
    clora_status status = CLORA_OK;

    c->window = 0;
    if (json_is_null(value))
        return CLORA_OK;
    TRY(json_get_int(&window, root, "sliding_window", fallback, path));
    if (window < 1)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"sliding_window\" is %lld; 1 is the least", path, (long long)window));
    c->window = window < INT32_MAX ? (int)window : INT32_MAX;
done:
    return status;
}

static clora_status read_type(model_config *c, int l, const json_t *type, const char *path) {
    const char *text = json_string_value(type);

    if (text && strcmp(text, "full_attention") == 0)
        return CLORA_OK;
    if (!text || strcmp(text, "sliding_attention") != 0)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: \"layer_types\" has another type than \"full_attention\" and \"sliding_attention\"",
                          path);
    if (c->window == 0)
        return clora_fail(CLORA_ERROR_FORMAT,
                          "%s: \"layer_types\" has \"sliding_attention\", but no window is set for it", path);
    c->slides[l] = true;
    return CLORA_OK;
}

clora_status layer_types_read(bool *listed, model_config *c, const json_t *root, const char *path) {
    const json_t *types = json_object_get(root, "layer_types");
    clora_status status = CLORA_OK;

    *listed = types && !json_is_null(types);
    if (!*listed)
        return CLORA_OK;
    if (!json_is_array(types))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"layer_types\" must be a list", path);
    if (json_array_size(types) != (size_t)c->layers)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"layer_types\" lists %zu layers; \"num_hidden_layers\" is %d", path,
                          json_array_size(types), c->layers);
    for (int l = 0; l < c->layers; l++)
        TRY(read_type(c, l, json_array_get(types, (size_t)l), path));
done:
    return status;
}

int model_largest_window(const model_config *c) {
    int l = 0;

    while (l < c->layers && model_window(c, l) == 0)
        l++;
    return l < c->layers ? c->window : 0;
}
