#include "methods/past_adapter.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "methods/method.h"
#include "methods/past_files.h"
#include "methods/peft.h"

typedef struct past_adapter {
    clora_adapter adapter;
    past_layout layout;
    json_t *config;
    clora_tensor *values;          /* f32 (1, n): what trains */
    clora_tensor matrix;           /* the same as (tokens, width): the attach point */
    prefix_projection *projection; /* what trains in their place, or NULL */
} past_adapter;

static past_adapter *of(const clora_adapter *adapter) {
    return (past_adapter *)(uintptr_t)adapter;
}

static bool is_prefix(const method *m) {
    return m == &method_prefix;
}

static clora_status allocate(past_adapter **out, const base_model *base, const method *m) {
    past_adapter *p = calloc(1, sizeof(*p));

    *out = p;
    if (!p)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter");
    adapter_init(&p->adapter, base, m);
    p->layout = past_layout_of(base, is_prefix(m));
    return CLORA_OK;
}

/* From settings to values on the device; NULL: they are yet to come. */
static clora_status build(past_adapter *p, const float *values) {
    const int tokens = past_config_tokens(p->config), width = p->layout.width;
    clora_status status = CLORA_OK;
    int n;

    if (__builtin_mul_overflow(tokens, width, &n))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%d positions of %d values are too many", tokens, width));
    TRY(tensor_new(&p->values, p->adapter.base.context, CLORA_DTYPE_F32, 1, n));
    if (values)
        TRY(clora_tensor_write(p->values, values));
    p->matrix = tensor_slice(p->values, 0, tokens, width);
    p->adapter.info.parameters = n;
    if (p->layout.is_prefix)
        p->adapter.prefix = &p->matrix;
    else
        p->adapter.prompt = &p->matrix;
done:
    return status;
}

/* Of values, or of those of a projection. */
static clora_status create(clora_adapter **out, const base_model *base, const method *m, int tokens,
                           const float *values, const projection_values *projection) {
    clora_status status = CLORA_OK;
    past_adapter *p;

    *out = NULL;
    TRY(allocate(&p, base, m));
    TRY(past_config_create(&p->config, base, &p->layout, tokens, projection ? projection->H : 0));
    TRY(build(p, values));
    if (projection) {
        TRY(prefix_projection_create(&p->projection, base, &p->matrix, projection));
        p->adapter.info.parameters = prefix_projection_scalars(p->projection);
    }
    *out = &p->adapter;
    p = NULL;
done:
    if (p)
        clora_adapter_free(&p->adapter);
    return status;
}

clora_status prefix_create(clora_adapter **out, const base_model *base, int tokens, const float *values) {
    return create(out, base, &method_prefix, tokens, values, NULL);
}

clora_status prompt_create(clora_adapter **out, const base_model *base, int tokens, const float *values) {
    return create(out, base, &method_prompt, tokens, values, NULL);
}

clora_status prefix_create_projected(clora_adapter **out, const base_model *base, int tokens,
                                     const projection_values *values) {
    return create(out, base, &method_prefix, tokens, NULL, values);
}

int prefix_token_width(const base_model *base) {
    return past_layout_of(base, true).token_dim;
}

int prefix_width(const base_model *base) {
    return past_layout_of(base, true).width;
}

int prompt_width(const base_model *base) {
    return past_layout_of(base, false).width;
}

/* ---- and a head of labels ---- */

/* names is taken over, also when it fails. */
static clora_status add_head(past_adapter *p, char **names) {
    clora_adapter *adapter = &p->adapter;
    const clora_status status = classifier_create(&adapter->classifier, &adapter->base, names);

    if (status == CLORA_OK)
        adapter_take_labels(adapter);
    return status;
}

clora_status past_add_labels(clora_adapter *adapter, const char *const *labels, uint64_t seed) {
    clora_status status = CLORA_OK;

    TRY(add_head(of(adapter), label_names_copy(labels)));
    TRY(classifier_begin(adapter->classifier, seed));
    TRY(label_names_put(of(adapter)->config, labels));
done:
    return status;
}

/* ---- files ---- */

static clora_status load_head(past_adapter *p, past_contents *contents) {
    char **names = contents->labels;
    clora_status status = CLORA_OK;

    contents->labels = NULL;
    if (!names)
        return CLORA_OK;
    TRY(add_head(p, names));
    TRY(classifier_write(p->adapter.classifier, contents->score));
done:
    return status;
}

static clora_status load(clora_adapter **out, const base_model *base, const method *m, const char *directory) {
    clora_status status = CLORA_OK;
    past_contents contents = {.config = NULL};
    past_adapter *p;

    *out = NULL;
    TRY(allocate(&p, base, m));
    TRY(past_files_read(&contents, base, &p->layout, directory));
    p->config = json_incref(contents.config);
    TRY(build(p, contents.values));
    TRY(load_head(p, &contents));
    *out = &p->adapter;
    p = NULL;
done:
    past_contents_finish(&contents);
    if (p)
        clora_adapter_free(&p->adapter);
    return status;
}

static clora_status load_prefix(clora_adapter **out, const base_model *base, const char *directory) {
    return load(out, base, &method_prefix, directory);
}

static clora_status load_prompt(clora_adapter **out, const base_model *base, const char *directory) {
    return load(out, base, &method_prompt, directory);
}

static clora_status save(const clora_adapter *adapter, const char *directory,
                         const clora_adapter_save_options *options) {
    const past_adapter *p = of(adapter);
    const classifier *head = adapter->classifier;
    const size_t hidden = (size_t)adapter->base.hidden;
    float *values = alloc_array(clora_tensor_count(p->values), sizeof(*values));
    float *score = alloc_array((size_t)(head ? head->labels : 1) * hidden, sizeof(*score));
    clora_status status = CLORA_OK;

    if (!values || !score)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", directory));
    TRY(clora_tensor_read(p->values, values));
    if (head)
        TRY(classifier_read(score, head));
    const past_contents contents = {p->config, values, head ? head->name : NULL, score};
    TRY(past_files_write(directory, options, &contents, &p->layout, (int)hidden));
done:
    free(values);
    free(score);
    return status;
}

/* ---- training ---- */

static clora_status list_parameters(parameters *out, const clora_adapter *adapter, const clora_train_options *options) {
    const past_adapter *p = of(adapter);
    const parameter_group group = {1.0f, options->weight_decay};
    const classifier *head = adapter->classifier;
    clora_status status = CLORA_OK;

    if (head) {
        TRY(parameters_add_buffer(out, head->values));
        TRY(parameters_add(out, alloc_string(PEFT_SCORE), &head->head->a, group));
    }
    if (p->projection)
        return prefix_projection_list(out, p->projection, group);
    if (past_config_projection(p->config) > 0)
        TRY(clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "the prefix was trained through a projection (\"prefix_projection\"), which its files do not hold: "
            "it cannot be trained further"));
    TRY(parameters_add_buffer(out, p->values));
    TRY(parameters_add(out, alloc_format("%s.prompt_embeddings", adapter->method->name), p->values, group));
done:
    return status;
}

static void destroy(clora_adapter *adapter) {
    past_adapter *p = of(adapter);

    prefix_projection_free(p->projection);
    classifier_free(adapter->classifier);
    clora_tensor_free(p->values);
    json_decref(p->config);
    free(p);
}

const method method_prefix = {
    .name = "prefix",
    .peft_type = "PREFIX_TUNING",
    .load = load_prefix,
    .save = save,
    .list_parameters = list_parameters,
    .destroy = destroy,
};

const method method_prompt = {
    .name = "prompt",
    .peft_type = "PROMPT_TUNING",
    .load = load_prompt,
    .save = save,
    .list_parameters = list_parameters,
    .destroy = destroy,
};
