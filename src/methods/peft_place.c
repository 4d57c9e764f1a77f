#include "methods/peft.h"

#include <stdlib.h>

#include "base/file.h"

static clora_status find_name(const char **out, const char *directory, const char *const *names) {
    *out = NULL;
    for (; *names && !*out; names++) {
        char *path = file_join(directory, *names);
        if (!path)
            return clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", directory);
        *out = file_exists(path) ? *names : NULL;
        free(path);
    }
    return CLORA_OK;
}

clora_status peft_check_place(const char *directory, bool overwrite) {
    static const char *const of_model[] = {"config.json",
                                           "model.safetensors",
                                           "model.safetensors.index.json",
                                           "pytorch_model.bin",
                                           "pytorch_model.bin.index.json",
                                           NULL};
    static const char *const of_adapter[] = {"adapter_config.json", "adapter_model.safetensors", "adapter_model.bin",
                                             "adapter.safetensors", "pytorch_adapter.bin",       NULL};
    clora_status status = CLORA_OK;
    const char *found;

    TRY(find_name(&found, directory, of_model));
    if (found)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "%s holds a model (%s), to which no adapter is written: name another directory", directory,
                          found);
    TRY(find_name(&found, directory, of_adapter));
    if (found && !overwrite)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "%s holds an adapter already (%s): name another directory, or say that it may be overwritten",
                          directory, found);
done:
    return status;
}
