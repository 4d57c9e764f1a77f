#include "methods/lora_origin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "methods/decompose.h"
#include "methods/lora_parts.h"

/* ---- values ---- */

/* B of a module is made with its A, and kept until it is asked for. */
typedef struct made {
    const lora_adapter *lora;
    float **b; /* of each target, or NULL */
} made;

static const weight *weight_of(int *at, const lora_adapter *lora, int module) {
    const base_model *base = &lora->adapter.base;
    int p = 0;

    while (module >= base->projection[p].weight->modules)
        module -= base->projection[p++].weight->modules;
    *at = module;
    return base->projection[p].weight;
}

static clora_status make(void *user, float *out, int module, peft_part part) {
    made *m = user;
    const lora_adapter *lora = m->lora;
    const target_module *target = &lora->target[module];
    const target_choice *choice = &lora->choice[module];
    const size_t n = (size_t)target->N * (size_t)choice->R;
    int at;
    const weight *w = weight_of(&at, lora, module);

    if (part == PEFT_B) {
        memcpy(out, m->b[module], n * sizeof(*out));
        free(m->b[module]);
        m->b[module] = NULL;
        return CLORA_OK;
    }
    m->b[module] = alloc_array(n, sizeof(*out));
    if (!m->b[module])
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", target->name);
    if (lora->options.init == CLORA_INIT_OLORA)
        return decompose_olora(out, m->b[module], w, at, choice->R);
    return decompose_pissa(out, m->b[module], w, at, choice->R, choice->scale, lora->options.seed + (uint64_t)module);
}

static clora_status check_targets(const lora_adapter *lora) {
    for (int i = 0; i < lora->targets; i++) {
        const target_module *t = &lora->target[i];
        const int R = lora->choice[i].R, most = t->N < t->K ? t->N : t->K;
        if (R > 0 && t->kind == TARGET_EMBEDDING)
            return clora_fail(CLORA_ERROR_ARGUMENT, "an embedding's factors do not begin as a part of it: leave %s out",
                              t->name);
        if (R > most || 2 * R > TARGET_MAX_RANK)
            return clora_fail(
                CLORA_ERROR_ARGUMENT,
                "rank %d of %s, which is %d x %d: factors that begin as a part of it have at most rank %d", R, t->name,
                t->N, t->K, most < TARGET_MAX_RANK / 2 ? most : TARGET_MAX_RANK / 2);
    }
    return CLORA_OK;
}

/* ---- the terms that are taken away ---- */

/* The same values in the frozen term, those of B with the other sign. */
static clora_status copy_factor(clora_tensor *to, const clora_tensor *from, float sign) {
    const size_t n = clora_tensor_count(from);
    float *values = alloc_array(n, sizeof(*values));
    clora_status status = CLORA_OK;

    if (!values)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for what an adapter began as"));
    TRY(clora_tensor_read(from, values));
    for (size_t i = 0; i < n; i++)
        values[i] *= sign;
    TRY(clora_tensor_write(to, values));
done:
    free(values);
    return status;
}

static clora_status take_away(lora_adapter *lora, int p) {
    const lowrank *term = lora->adapter.term[p];
    float scale[WEIGHT_MODULES] = {0};
    int R[WEIGHT_MODULES] = {0};
    clora_status status = CLORA_OK;
    lowrank *origin;

    for (int m = 0; m < term->modules; m++) {
        R[m] = term->module[m].R;
        scale[m] = term->module[m].scale;
    }
    TRY(lowrank_create(&lora->adapter.origin[p], term->base, R, scale));
    TRY(tensor_new(&lora->frozen[p], term->context, CLORA_DTYPE_F32, 1, (int)(term->a_count + term->b_count)));
    origin = lora->adapter.origin[p];
    origin->a = tensor_slice(lora->frozen[p], 0, 1, (int)term->a_count);
    origin->b = tensor_slice(lora->frozen[p], term->a_count, 1, (int)term->b_count);
    if (!term->context->outlined) {
        TRY(copy_factor(&origin->a, &term->a, 1.0f));
        TRY(copy_factor(&origin->b, &term->b, -1.0f));
    }
done:
    return status;
}

clora_status lora_origin_build(lora_adapter *lora) {
    const int projections = lora->adapter.base.projections;
    clora_status status = CLORA_OK;
    made m = {lora, alloc_array((size_t)lora->targets + 1, sizeof(float *))};

    lora->adapter.origin = alloc_array((size_t)projections + 1, sizeof(lowrank *));
    lora->frozen = alloc_array((size_t)projections + 1, sizeof(clora_tensor *));
    if (!m.b || !lora->adapter.origin || !lora->frozen)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for what an adapter begins as"));
    if (lora->adapter.base.merged->any)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "an adapter is merged into the model's weights, and this one begins as a "
                                             "part of its own: clora_adapter_unmerge() first"));
    TRY(check_targets(lora));
    TRY(lora_adapter_build(lora, make, &m, true));
    for (int p = 0; p < projections; p++)
        if (lora->adapter.term[p])
            TRY(take_away(lora, p));
done:
    for (int i = 0; m.b && i < lora->targets; i++)
        free(m.b[i]);
    free(m.b);
    return status;
}

/* ---- on disk ---- */

static json_t *times_number(const json_t *value, double factor) {
    const double product = factor * json_number_value(value);

    return product == floor(product) && product < 1e9 ? json_integer((json_int_t)product) : json_real(product);
}

static void times_values(bool *ok, json_t *config, const char *key, double factor) {
    json_t *pattern = json_object_get(config, key), *value;
    const char *name;

    if (json_is_number(pattern))
        *ok = json_object_set_new(config, key, times_number(pattern, factor)) == 0 && *ok;
    json_object_foreach (pattern, name, value)
        *ok = json_object_set_new(pattern, name, times_number(value, factor)) == 0 && *ok;
}

/* Twice the rank at the same scale: alpha / r, or alpha / sqrt(r). */
clora_status lora_origin_settings(json_t **config, target_choice **choice, const lora_adapter *lora) {
    const double factor = json_is_true(json_object_get(lora->config, "use_rslora")) ? sqrt(2.0) : 2.0;
    bool ok = true;

    *config = json_deep_copy(lora->config);
    *choice = alloc_array((size_t)lora->targets + 1, sizeof(**choice));
    if (!*config || !*choice)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to save an adapter");
    times_values(&ok, *config, "r", 2.0);
    times_values(&ok, *config, "rank_pattern", 2.0);
    times_values(&ok, *config, "lora_alpha", factor);
    times_values(&ok, *config, "alpha_pattern", factor);
    for (int i = 0; i < lora->targets; i++)
        (*choice)[i] = (target_choice){2 * lora->choice[i].R, lora->choice[i].scale};
    return ok ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory to save an adapter");
}

clora_status lora_origin_download(void *user, float *out, int module, peft_part part) {
    lora_adapter *lora = user;
    const size_t R = (size_t)lora->choice[module].R, N = part == PEFT_B ? (size_t)lora->target[module].N : 1;
    const size_t row = part == PEFT_B ? R : R * (size_t)lora->target[module].K; /* of A all is one */
    float *now = alloc_array(N, row * sizeof(*now)), *then = alloc_array(N, row * sizeof(*then));
    clora_status status = CLORA_OK;

    if (!now || !then)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", lora->target[module].name));
    TRY(lora_download(lora, now, module, part));
    TRY(lora_download_term(then, lora, lora->adapter.origin, module, part));
    for (size_t n = 0; n < N; n++) {
        memcpy(out + 2 * n * row, now + n * row, row * sizeof(*out));
        memcpy(out + (2 * n + 1) * row, then + n * row, row * sizeof(*out));
    }
done:
    free(now);
    free(then);
    return status;
}
