#include "methods/full.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "methods/merge_files.h"
#include "methods/target_pattern.h"
#include "ops/ops.h"

/* ---- values of 16 bits: in and out of the buffer that is updated ---- */

static clora_status fetch(const void *user, clora_tensor *value) {
    const full_value *v = user;

    return v->master ? CLORA_OK : op_weight_values(value, v->tensor->weight, v->span);
}

static clora_status keep(const void *user, const clora_tensor *value) {
    const full_value *v = user;

    return op_weight_round(v->tensor->weight, v->span, value);
}

static bool is_wide(const full_value *v) {
    return v->stored.dtype == CLORA_DTYPE_F32;
}

/* ---- what trains ---- */

static clora_status add_value(full *f, full_value v) {
    const clora_status status = alloc_grow((void **)&f->value, &f->capacity, f->count + 1, sizeof(*f->value));

    if (status == CLORA_OK)
        f->value[f->count++] = v;
    return status;
}

/* A module of a weight is one value for each part that it reaches into. */
static clora_status add_weight(full *f, const own_tensor *t) {
    const weight *w = t->weight;
    clora_status status = CLORA_OK;

    if (w->storage->block > 1)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s is stored in %s, in which weights cannot train: load the model in f32, f16 or bf16", t->name,
                       w->storage->name));
    for (int i = 0; i < w->parts; i++) {
        const weight_span span = weight_module_span(w, t->module, i);
        if (span.count > 0)
            TRY(add_value(f, (full_value){.tensor = t, .span = span, .stored = weight_span_view(w, span)}));
    }
    f->adapter.info.parameters += (int64_t)w->module[t->module].N * w->K;
done:
    return status;
}

static clora_status add_tensor(full *f, const own_tensor *t) {
    if (t->weight)
        return add_weight(f, t);
    f->adapter.info.parameters += (int64_t)clora_tensor_count(&t->vector);
    return add_value(f, (full_value){.tensor = t, .stored = t->vector});
}

static bool is_of_part(const own_tensor *t, clora_full_part part) {
    const bool norm_bias = t->kind == OWN_NORM_BIAS;

    return part == CLORA_FULL_PART_ALL || (part == CLORA_FULL_PART_BIASES && (t->kind == OWN_BIAS || norm_bias)) ||
           (part == CLORA_FULL_PART_NORMS && (t->kind == OWN_NORM || norm_bias));
}

static clora_status refuse_nothing(const base_model *base, const clora_full_options *o) {
    if (o->modules)
        return clora_fail(CLORA_ERROR_NOT_FOUND,
                          "\"%s\" matches the whole name of no tensor that could train; names are like %s", o->modules,
                          base->tensor[base->tensors - 1].name);
    return clora_fail(CLORA_ERROR_NOT_FOUND, "models of type %s have no biases to train", base->model_type);
}

static clora_status choose(full *f, const clora_full_options *o) {
    const base_model *base = &f->adapter.base;
    clora_status status = CLORA_OK;
    pattern *names = NULL;

    if (o->modules)
        TRY(pattern_create(&names, "", o->modules, "", true, "modules"));
    for (int i = 0; i < base->tensors; i++) {
        bool wanted = is_of_part(&base->tensor[i], o->part);
        if (wanted && names)
            TRY(pattern_match(&wanted, names, base->tensor[i].name));
        if (wanted)
            TRY(add_tensor(f, &base->tensor[i]));
    }
    if (f->count == 0)
        TRY(refuse_nothing(base, o));
done:
    pattern_free(names);
    return status;
}

/* ---- where it is updated ---- */

static int count_of(const full_value *v) {
    return v->tensor->weight ? (int)weight_span_values(v->tensor->weight, v->span) : tensor_cols(&v->stored);
}

static clora_status make_master(full_value *v, clora_context *context) {
    clora_status status = CLORA_OK;

    TRY(tensor_new(&v->master, context, CLORA_DTYPE_F32, 1, count_of(v)));
    TRY(op_weight_values(v->master, v->tensor->weight, v->span));
    v->value = tensor_slice(v->master, 0, 1, count_of(v));
done:
    return status;
}

static clora_status place_values(full *f, clora_full_master master) {
    clora_context *context = f->adapter.base.context;
    clora_status status = CLORA_OK;
    int most = 0;

    for (size_t i = 0; i < f->count; i++) {
        full_value *v = &f->value[i];
        if (is_wide(v))
            v->value = v->stored;
        else if (master == CLORA_FULL_MASTER_F32)
            TRY(make_master(v, context));
        else
            most = count_of(v) > most ? count_of(v) : most;
    }
    if (most > 0)
        TRY(tensor_new(&f->scratch, context, CLORA_DTYPE_F32, 1, most));
    for (size_t i = 0; i < f->count; i++)
        if (!f->value[i].value.buffer)
            f->value[i].value = tensor_slice(f->scratch, 0, 1, count_of(&f->value[i]));
done:
    return status;
}

static const method *const methods[] = {[CLORA_FULL_PART_ALL] = &method_full,
                                        [CLORA_FULL_PART_BIASES] = &method_bias,
                                        [CLORA_FULL_PART_NORMS] = &method_norms};

clora_status full_create(clora_adapter **out, const base_model *base, const clora_full_options *options) {
    clora_status status = CLORA_OK;
    full *f = NULL;

    *out = NULL;
    if ((int)options->part < 0 || options->part > CLORA_FULL_PART_NORMS || (int)options->master < 0 ||
        options->master > CLORA_FULL_MASTER_NONE)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no part %d or master %d", (int)options->part,
                          (int)options->master);
    TRY(merge_check_others(base->directory)); /* what saving would end with */
    f = calloc(1, sizeof(*f));
    if (!f)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to train a model");
    adapter_init(&f->adapter, base, methods[options->part]);
    f->adapter.changes_model = true;
    f->adapter.trains_weights = options->part == CLORA_FULL_PART_ALL;
    TRY(choose(f, options));
    TRY(place_values(f, options->master));
    *out = &f->adapter;
    f = NULL;
done:
    if (f)
        clora_adapter_free(&f->adapter);
    return status;
}

/* ---- the rows ---- */

/* A name of its own for each: a weight in several parts has as many. */
static char *name_of(const full_value *v) {
    return v->span.part == 0 ? alloc_string(v->tensor->name) : alloc_format("%s.%d", v->tensor->name, v->span.part);
}

static clora_status list_parameters(parameters *out, const clora_adapter *adapter, const clora_train_options *options) {
    const parameter_group group = {1.0f, options->weight_decay};
    const full *f = full_of(adapter);
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < f->count; i++) {
        full_value *v = &f->value[i];
        if (is_wide(v))
            TRY(parameters_add_buffer(out, &v->value));
        else
            TRY(parameters_add_stored(out, v->master ? v->master : &v->value,
                                      (parameter_home){v->stored, v, fetch, keep}));
        TRY(parameters_add(out, name_of(v), &v->stored, group));
    }
done:
    return status;
}

static clora_status save(const clora_adapter *adapter, const char *directory,
                         const clora_adapter_save_options *options) {
    return full_save(&adapter->base, directory, options->overwrite != 0);
}

static void destroy(clora_adapter *adapter) {
    full *f = full_of(adapter);

    for (size_t i = 0; i < f->count; i++)
        clora_tensor_free(f->value[i].master);
    clora_tensor_free(f->scratch);
    free(f->value);
    free(f);
}

#define OWN_WEIGHTS .save = save, .list_parameters = list_parameters, .destroy = destroy

const method method_full = {.name = "full", OWN_WEIGHTS};
const method method_bias = {.name = "bias", OWN_WEIGHTS};
const method method_norms = {.name = "norms", OWN_WEIGHTS};
