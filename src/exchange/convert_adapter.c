#include <clora/exchange.h>

#include "base/options.h"
#include "exchange/adapter_format.h"
#include "model/config.h"
#include "model/family.h"

/* By clora_format. */
static const adapter_format *const formats[] = {&peft_format, &mlx_format, &gguf_format};

enum { FORMATS = sizeof(formats) / sizeof(formats[0]) };

/* The last first: PEFT's takes what no other does. */
static int format_of(const char *path) {
    int i = FORMATS - 1;

    while (i > 0 && !formats[i]->is(path))
        i--;
    return i;
}

static clora_status read_base(base_shape *out, const char *directory) {
    model_config config;
    clora_status status = CLORA_OK;

    *out = (base_shape){.directory = directory};
    if (!directory)
        return CLORA_OK;
    TRY(config_load(&config, directory));
    out->model_type = config.family->model_type;
    out->layers = config.layers;
    out->heads = config.heads;
    out->kv_heads = config.kv_heads;
    out->tied = config.tied;
done:
    return status;
}

static clora_status convert(const char *adapter, const char *out, const clora_convert_options *options,
                            clora_convert_result *report) {
    clora_status status = CLORA_OK;
    const int from = format_of(adapter);
    term_list list = {.count = 0};
    base_shape base;
    bool folded;

    TRY(read_base(&base, options->model));
    TRY(formats[from]->read(&list, adapter, &base));
    TRY(formats[options->to]->write(&folded, &list, out, &base, (clora_dtype)options->dtype));
    const clora_convert_result made = {.from = (clora_format)from, .modules = (int)list.count, .folded = folded};
    RESULT_GIVE(report, made);
done:
    term_list_finish(&list);
    return status;
}

clora_status clora_adapter_convert(const char *adapter, const char *out, const clora_convert_options *options,
                                   clora_convert_result *report) {
    clora_convert_options all = CLORA_CONVERT_OPTIONS_INIT;

    NEED(adapter);
    NEED(out);
    clora_status status = report ? RESULT_BEGIN(report) : CLORA_OK;
    if (status == CLORA_OK)
        status = OPTIONS_TAKE(all, options);
    if (status != CLORA_OK)
        return status;
    if ((int)all.to < 0 || (int)all.to >= FORMATS)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no format with number %d", (int)all.to);
    if (all.dtype < CLORA_DTYPE_F32 || all.dtype > CLORA_DTYPE_BF16)
        return clora_fail(CLORA_ERROR_ARGUMENT, "factors cannot have element type %d", all.dtype);
    return convert(adapter, out, &all, report);
}
