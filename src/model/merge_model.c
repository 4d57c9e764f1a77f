#include <stdlib.h>

#include "base/file.h"
#include "base/options.h"
#include "files/directory.h"
#include "files/quantized.h"
#include "methods/merge.h"
#include "model/family.h"

/* config.json of a model that can be merged into. */
static clora_status read_config(merge_base *out, const char *directory) {
    enum { LIMIT = 16 << 20 };
    char *path = file_join(directory, "config.json");
    const model_family *family;
    clora_status status = CLORA_OK;
    json_t *config = NULL;

    *out = (merge_base){.directory = directory};
    if (!path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    TRY(directory_need_model(directory));
    TRY(json_load_path(&config, path, LIMIT));
    TRY(family_find(&family, config, path));
    TRY(quantized_refuse_config(config, path));
    out->config = config;
    out->names = family->names;
    out->tied = family->tied;
    config = NULL;
done:
    json_decref(config);
    free(path);
    return status;
}

clora_status clora_merge(const char *model_directory, const char *adapter_directory, const char *out_directory,
                         const clora_merge_options *options, clora_merge_result *report) {
    clora_merge_options all = CLORA_MERGE_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    merge_base base;

    NEED(model_directory);
    NEED(adapter_directory);
    NEED(out_directory);
    if (report)
        TRY(RESULT_BEGIN(report));
    TRY(OPTIONS_TAKE(all, options));
    if (all.dtype < -1 || all.dtype > CLORA_DTYPE_BF16)
        return clora_fail(CLORA_ERROR_ARGUMENT, "clora_merge: weights cannot have element type %d", all.dtype);
    TRY(read_config(&base, model_directory));
    TRY(merge_directories(&base, adapter_directory, out_directory, &all, report));
done:
    return status;
}
