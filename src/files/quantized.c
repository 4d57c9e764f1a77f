#include "files/quantized.h"

#include <string.h>

static const char REMEDY[] = "clora needs weights of type F32, F16 or BF16: take the model that was quantized";

clora_status quantized_refuse_config(const json_t *config, const char *path) {
    static const char *const keys[] = {"quantization_config", "compression_config"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const json_t *settings = json_object_get(config, keys[i]);
        if (!settings || json_is_off(settings))
            continue;
        const char *method = json_string_value(json_object_get(settings, "quant_method"));
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: the weights are quantized (\"%s\"%s%.40s); %s", path, keys[i],
                          method ? ": " : "", method ? method : "", REMEDY);
    }
    return CLORA_OK;
}

static bool ends_with(const char *name, const char *ending) {
    const size_t n = strlen(name), m = strlen(ending);

    return n > m && strcmp(name + n - m, ending) == 0;
}

/* The method that leaves a tensor of this name; NULL for one of an ordinary model. */
static const char *method_by_name(const stored_tensor *t) {
    static const struct {
        const char *ending, *method;
    } marks[] = {
        {".qweight", "GPTQ or AWQ"},
        {".qzeros", "GPTQ or AWQ"},
        {".g_idx", "GPTQ"},
        {".weight.absmax", "bitsandbytes, 4 bits"},
        {".weight.quant_map", "bitsandbytes, 4 bits"},
        {".SCB", "bitsandbytes, 8 bits"},
        {".weight_format", "bitsandbytes, 8 bits"},
        {".weight_packed", "compressed-tensors"},
        {".weight_scale_inv", "FP8"},
        {".weight_scale", "compressed-tensors or FP8"},
        {"_blocks", "MXFP4"},
        {".W_q", "HQQ"},
        {".B_q", "HQQ"},
    };

    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (ends_with(t->name, marks[i].ending))
            return marks[i].method;
    return strstr(t->name, ".quant_state.") ? "bitsandbytes, 4 bits" : NULL;
}

static const char *method_by_type(const stored_tensor *t) {
    if (strncmp(t->dtype_text, "F8_", 3) == 0)
        return "FP8";
    if (ends_with(t->name, ".weight") && !t->supported && (t->dtype_text[1] == '8' || t->dtype_text[1] == '4'))
        return "8 bits or fewer";
    if (ends_with(t->name, ".weight") && strcmp(t->dtype_text, "U32") == 0)
        return "MLX";
    return NULL;
}

/* Names first: they tell more. */
clora_status quantized_refuse_tensors(const model_files *set, const char *directory) {
    const size_t count = model_files_count(set);

    for (size_t i = 0; i < 2 * count; i++) {
        const stored_tensor *t = model_files_tensor(set, i % count);
        const char *method = i < count ? method_by_name(t) : method_by_type(t);
        if (method)
            return clora_fail(CLORA_ERROR_UNSUPPORTED,
                              "%s: the weights are quantized (%s: tensor %.200s has type %s); %s", directory, method,
                              t->name, t->dtype_text, REMEDY);
    }
    return CLORA_OK;
}
