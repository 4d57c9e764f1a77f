#include "model/config_values.h"

#include <math.h>

bool config_is_set(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);

    return value && !json_is_null(value);
}

clora_status config_size(int *out, const json_t *object, const char *key, int fallback, const char *path) {
    int64_t value;
    const clora_status status = json_get_int(&value, object, key, fallback, path);

    if (status != CLORA_OK)
        return status;
    if (fallback == 0 && !config_is_set(object, key))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: the key \"%s\" is missing", path, key);
    if (value < 1 || value > CONFIG_SIZE_LIMIT)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" is %lld; 1 to %d are possible", path, key, (long long)value,
                          CONFIG_SIZE_LIMIT);
    *out = (int)value;
    return CLORA_OK;
}

clora_status config_positive(float *out, const json_t *object, const char *key, double fallback, const char *path) {
    double value;
    const clora_status status = json_get_real(&value, object, key, fallback, path);

    if (status != CLORA_OK)
        return status;
    if (fallback == 0.0 && !config_is_set(object, key))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: the key \"%s\" is missing", path, key);
    if (!((float)value > 0.0f) || !isfinite((float)value))
        return clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" is %g; it must be positive", path, key, value);
    *out = (float)value;
    return CLORA_OK;
}
