#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "files/directory.h"
#include "methods/bottleneck_config.h"
#include "methods/method.h"
#include "methods/peft_config.h"

static const method *const methods[] = {&method_lora, &method_prefix, &method_prompt};

/* The row whose settings these are. What is no row's own goes to LoRA, which says what is wrong with it. */
static const method *find(const json_t *config) {
    const char *type = json_string_value(json_object_get(config, "peft_type"));

    if (bottleneck_config_is(config))
        return &method_bottleneck;
    for (size_t i = 0; type && i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(type, methods[i]->peft_type) == 0)
            return methods[i];
    return &method_lora;
}

clora_status method_load(clora_adapter **out, const base_model *base, const char *directory) {
    clora_status status = CLORA_OK;
    json_t *config = NULL;
    char *path = file_join(directory, "adapter_config.json");

    *out = NULL;
    if (!path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    TRY(directory_need_adapter(directory));
    TRY(json_load_path(&config, path, PEFT_CONFIG_BYTES));
    TRY(find(config)->load(out, base, directory));
done:
    json_decref(config);
    free(path);
    return status;
}

clora_status method_derive(const clora_adapter *adapter) {
    return adapter->method->derive ? adapter->method->derive(adapter) : CLORA_OK;
}
