#include "methods/bottleneck_adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/rng.h"
#include "device/self_check.h"
#include "methods/bottleneck_config.h"
#include "methods/bottleneck_files.h"

/* Streams of random numbers, two a sublayer: apart from those of other users of a seed. */
static const uint32_t STREAM = 0x42000000u;

static bottleneck_adapter *of(const clora_adapter *adapter) {
    return (bottleneck_adapter *)(uintptr_t)adapter;
}

static int sublayers(const clora_adapter *adapter) {
    return adapter->base.layers * SUBLAYERS;
}

static clora_status allocate(bottleneck_adapter **out, const base_model *base) {
    clora_status status = CLORA_OK;
    bottleneck_adapter *b = NULL;

    *out = NULL;
    TRY(self_check(base->context, SELF_CHECK_BOTTLENECK, CLORA_STORAGE_F32, 0));
    b = calloc(1, sizeof(*b));
    if (!b)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter"));
    adapter_init(&b->adapter, base, &method_bottleneck);
    b->adapter.sublayer = alloc_array((size_t)sublayers(&b->adapter) + 1, sizeof(bottleneck *));
    if (!b->adapter.sublayer)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter"));
    *out = b;
    b = NULL;
done:
    if (b)
        clora_adapter_free(&b->adapter);
    return status;
}

static void destroy(clora_adapter *adapter) {
    bottleneck_adapter *b = of(adapter);

    for (int i = 0; adapter->sublayer && i < sublayers(adapter); i++)
        bottleneck_free(adapter->sublayer[i]);
    clora_tensor_free(b->values);
    json_decref(b->config);
    free(adapter->sublayer);
    free(b);
}

/* One more of them; columns and the like are those of the first. */
static void tell(bottleneck_adapter *b, const bottleneck *one, int place) {
    clora_bottleneck_info *info = &b->info;

    if (info->sublayers++ == 0)
        *info = (clora_bottleneck_info){.columns = one->R,
                                        .swish = one->swish,
                                        .reads_stream = one->reads_stream,
                                        .dropout = one->dropout,
                                        .sublayers = 1};
    info->after_attention |= place == SUBLAYER_ATTENTION;
    info->after_mlp |= place == SUBLAYER_MLP;
}

/* One for each sublayer that the settings name. */
static clora_status create_bottlenecks(bottleneck_adapter *b) {
    const base_model *base = &b->adapter.base;
    clora_status status = CLORA_OK;

    for (int i = 0; i < sublayers(&b->adapter); i++) {
        const int R = bottleneck_config_columns(b->config, base->hidden, i / SUBLAYERS, i % SUBLAYERS);
        bottleneck **at = &b->adapter.sublayer[i];
        if (R == 0)
            continue;
        if (R > BOTTLENECK_MOST_COLUMNS)
            TRY(clora_fail(CLORA_ERROR_FORMAT,
                           "adapter_config.json: \"reduction_factor\" is too small or missing for layer %d: a "
                           "bottleneck has from 1 to %d columns",
                           i / SUBLAYERS, BOTTLENECK_MOST_COLUMNS));
        TRY(bottleneck_create(at, base->context, base->hidden, R));
        (*at)->swish = bottleneck_config_swish(b->config);
        (*at)->reads_stream = bottleneck_config_reads_stream(b->config);
        (*at)->dropout = bottleneck_config_dropout(b->config);
        tell(b, *at, i % SUBLAYERS);
        b->bottlenecks++;
        b->adapter.info.parameters += 2 * (int64_t)base->hidden * R + base->hidden + R;
    }
    if (b->bottlenecks == 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "adapter_config.json: \"leave_out\" names every layer of the base"));
done:
    return status;
}

static size_t count_values(const clora_adapter *adapter) {
    size_t n = 0;

    for (int i = 0; i < sublayers(adapter); i++)
        n += adapter->sublayer[i] ? bottleneck_count(adapter->sublayer[i]) : 0;
    return n;
}

/* The buffer, and each bottleneck's place in it. */
static clora_status place_values(bottleneck_adapter *b) {
    clora_context *context = b->adapter.base.context;
    const size_t n = count_values(&b->adapter);
    clora_status status = CLORA_OK;
    size_t at = 0;

    if (n > INT32_MAX || n > context->info.max_allocation / sizeof(float))
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "the bottlenecks take %zu bytes, more than one buffer may have on this device: take fewer "
                       "columns",
                       n * sizeof(float)));
    TRY(tensor_new(&b->values, context, CLORA_DTYPE_F32, 1, (int)n));
    for (int i = 0; i < sublayers(&b->adapter); i++) {
        bottleneck *one = b->adapter.sublayer[i];
        if (!one)
            continue;
        one->values = bottleneck_slice(one, b->values, at);
        at += bottleneck_count(one);
    }
done:
    return status;
}

/* From checked settings on; *values is room for an image of all. */
static clora_status build(bottleneck_adapter *b, float **values) {
    clora_status status = CLORA_OK;

    TRY(create_bottlenecks(b));
    TRY(place_values(b));
    *values = alloc_array(clora_tensor_count(b->values), sizeof(**values));
    if (!*values)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter's weights"));
done:
    return status;
}

/* A value depends on the seed, the sublayer and its place alone. */
static void fill(const bottleneck_rows *rows, const bottleneck *b, const clora_bottleneck_options *o, int sublayer) {
    enum { DOWN, UP };
    const float spread = 1.0f / sqrtf((float)b->C), deviation = 0.02f;
    const uint32_t stream = STREAM + 2 * (uint32_t)sublayer;

    for (size_t i = 0; i < (size_t)b->C * (size_t)b->R; i++) {
        if (o->init == CLORA_BOTTLENECK_INIT_MAM) {
            rows->down[i] = (2.0f * rng_uniform(o->seed, stream + DOWN, i) - 1.0f) * spread;
            continue;
        }
        rows->down[i] = deviation * rng_normal(o->seed, stream + DOWN, i);
        rows->up[i] = deviation * rng_normal(o->seed, stream + UP, i);
    }
}

static clora_status make_fresh(float *values, const clora_adapter *adapter, const clora_bottleneck_options *options) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < sublayers(adapter) && status == CLORA_OK; i++) {
        const bottleneck *one = adapter->sublayer[i];
        bottleneck_rows rows;
        if (!one)
            continue;
        TRY(bottleneck_rows_create(&rows, one));
        fill(&rows, one, options, i);
        bottleneck_pack(one, values, &rows);
        values += bottleneck_count(one);
        bottleneck_rows_free(&rows);
    }
done:
    return status;
}

clora_status bottleneck_adapter_create(clora_adapter **out, const base_model *base,
                                       const clora_bottleneck_options *options) {
    clora_status status = CLORA_OK;
    bottleneck_adapter *b = NULL;
    float *values = NULL;

    *out = NULL;
    TRY(allocate(&b, base));
    TRY(bottleneck_config_create(&b->config, base, options));
    TRY(build(b, &values));
    TRY(make_fresh(values, &b->adapter, options));
    TRY(clora_tensor_write(b->values, values));
    *out = &b->adapter;
    b = NULL;
done:
    free(values);
    if (b)
        clora_adapter_free(&b->adapter);
    return status;
}

static clora_status set_dropout(clora_adapter *adapter, float dropout) {
    const clora_status status = bottleneck_config_set_dropout(of(adapter)->config, dropout);

    for (int i = 0; status == CLORA_OK && i < sublayers(adapter); i++)
        if (adapter->sublayer[i])
            adapter->sublayer[i]->dropout = dropout;
    if (status == CLORA_OK)
        of(adapter)->info.dropout = dropout;
    return status;
}

static clora_status read_config(bottleneck_adapter *b, const char *directory) {
    char *path = file_join(directory, "adapter_config.json");
    const clora_status status = path ? bottleneck_config_load(&b->config, path)
                                     : clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory);

    free(path);
    return status;
}

static bottleneck_list list_of(const clora_adapter *adapter) {
    return (bottleneck_list){adapter->base.names->layers, adapter->sublayer, sublayers(adapter)};
}

static clora_status load(clora_adapter **out, const base_model *base, const char *directory) {
    clora_status status = CLORA_OK;
    bottleneck_adapter *b = NULL;
    float *values = NULL;

    *out = NULL;
    TRY(allocate(&b, base));
    TRY(read_config(b, directory));
    if ((status = build(b, &values)) != CLORA_OK) {
        status = clora_fail_within(status, "%s", directory);
        goto done;
    }
    const bottleneck_list list = list_of(&b->adapter);
    TRY(bottleneck_files_read(values, directory, bottleneck_config_name(b->config), &list));
    TRY(clora_tensor_write(b->values, values));
    *out = &b->adapter;
    b = NULL;
done:
    free(values);
    if (b)
        clora_adapter_free(&b->adapter);
    return status;
}

static clora_status save(const clora_adapter *adapter, const char *directory,
                         const clora_adapter_save_options *options) {
    const bottleneck_adapter *b = of(adapter);
    const bottleneck_list list = list_of(adapter);
    float *values = alloc_array(clora_tensor_count(b->values), sizeof(*values));
    clora_status status = CLORA_OK;

    if (!values)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", directory));
    TRY(clora_tensor_read(b->values, values));
    TRY(bottleneck_files_write(directory, options, b->config, &list, values));
done:
    free(values);
    return status;
}

/* The bias of the way up is a row of its factor. */
static clora_status list_parameters(parameters *out, const clora_adapter *adapter, const clora_train_options *options) {
    static const char *const places[SUBLAYERS] = {"attention_adapters", "output_adapters"};
    const parameter_group group = {1.0f, options->weight_decay};
    const char *layers = adapter->base.names->layers;
    clora_status status = CLORA_OK;

    TRY(parameters_add_buffer(out, of(adapter)->values));
    for (int i = 0; i < sublayers(adapter); i++) {
        const bottleneck *one = adapter->sublayer[i];
        const char *place = places[i % SUBLAYERS];
        const int l = i / SUBLAYERS;
        if (!one)
            continue;
        TRY(parameters_add(out, alloc_format("%s.%d.%s.adapter_down.weight", layers, l, place), &one->values.down,
                           group));
        TRY(parameters_add(out, alloc_format("%s.%d.%s.adapter_down.bias", layers, l, place), &one->values.bias,
                           group));
        TRY(parameters_add(out, alloc_format("%s.%d.%s.adapter_up", layers, l, place), &one->values.up, group));
    }
done:
    return status;
}

const method method_bottleneck = {
    .name = "adapter",
    .load = load,
    .save = save,
    .list_parameters = list_parameters,
    .set_dropout = set_dropout,
    .destroy = destroy,
};

const clora_bottleneck_info *clora_bottleneck_get_info(const clora_adapter *adapter) {
    static const clora_bottleneck_info none;

    return adapter && adapter->method == &method_bottleneck ? &of(adapter)->info : &none;
}
