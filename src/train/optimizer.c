#include "train/optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "ops/ops.h"

static clora_status create_like(clora_tensor ***out, const clora_adapter *adapter) {
    clora_status status = CLORA_OK;

    *out = alloc_array((size_t)adapter->chunks, sizeof(**out));
    if (!*out)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the optimizer");
    for (int i = 0; i < adapter->chunks; i++) {
        TRY(tensor_new(&(*out)[i], adapter->context, CLORA_DTYPE_F32, 1, tensor_cols(adapter->chunk[i])));
        TRY(clora_tensor_zero((*out)[i]));
    }
done:
    return status;
}

static void free_like(clora_tensor **chunks, const clora_adapter *adapter) {
    for (int i = 0; chunks && i < adapter->chunks; i++)
        clora_tensor_free(chunks[i]);
    free(chunks);
}

clora_status optimizer_create(optimizer **out, clora_adapter *adapter) {
    clora_status status = CLORA_OK;
    optimizer *o = calloc(1, sizeof(*o));

    *out = NULL;
    if (!o)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the optimizer");
    o->adapter = adapter;
    TRY(create_like(&o->gradient, adapter));
    TRY(create_like(&o->m, adapter));
    TRY(create_like(&o->v, adapter));
    TRY(tensor_new(&o->sums, adapter->context, CLORA_DTYPE_F32, 1, adapter->chunks));
    TRY(tensor_new(&o->scale, adapter->context, CLORA_DTYPE_F32, 1, 2));
    *out = o;
    o = NULL;
done:
    optimizer_free(o);
    return status;
}

void optimizer_free(optimizer *o) {
    if (!o)
        return;
    free_like(o->gradient, o->adapter);
    free_like(o->m, o->adapter);
    free_like(o->v, o->adapter);
    clora_tensor_free(o->sums);
    clora_tensor_free(o->scale);
    free(o);
}

size_t optimizer_bytes(const optimizer *o) {
    size_t elements = 0;

    for (int i = 0; i < o->adapter->chunks; i++)
        elements += clora_tensor_count(o->adapter->chunk[i]);
    return elements * 4 * sizeof(float);
}

clora_status optimizer_zero_gradients(optimizer *o) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < o->adapter->chunks; i++)
        TRY(clora_tensor_zero(o->gradient[i]));
done:
    return status;
}

clora_status optimizer_norm(optimizer *o, float *norm, float factor, float clip) {
    clora_status status = CLORA_OK;
    float scale[2];

    for (int i = 0; i < o->adapter->chunks; i++)
        TRY(op_sum_squares(o->sums, i, o->gradient[i]));
    TRY(op_clip_scale(o->scale, o->sums, o->adapter->chunks, factor, clip));
    TRY(clora_tensor_read(o->scale, scale));
    *norm = scale[1];
done:
    return status;
}

clora_status optimizer_update(optimizer *o, const clora_train_options *options, float lr, int step) {
    const adamw_options adamw = {lr, options->beta1, options->beta2, options->eps, options->weight_decay, step};
    clora_status status = CLORA_OK;

    for (int i = 0; i < o->adapter->chunks; i++)
        TRY(op_adamw(o->adapter->chunk[i], o->m[i], o->v[i], o->gradient[i], o->scale, adamw));
done:
    return status;
}

static clora_status all_finite(bool *out, const clora_tensor *t) {
    const size_t n = clora_tensor_count(t);
    float *values = alloc_array(n, sizeof(*values));
    clora_status status = CLORA_OK;

    *out = true;
    if (!values)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to look at a gradient");
    TRY(clora_tensor_read(t, values));
    for (size_t i = 0; i < n; i++)
        *out = *out && isfinite(values[i]);
done:
    free(values);
    return status;
}

clora_status optimizer_blame(const optimizer *o, int step) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < o->adapter->sites; i++) {
        const lowrank *lr = o->adapter->term[i];
        const char *name = NULL;
        bool finite_a, finite_b;
        if (!lr)
            continue;
        const clora_tensor a = adapter_view_a(o->adapter, o->gradient, i),
                           b = adapter_view_b(o->adapter, o->gradient, i);
        TRY(all_finite(&finite_a, &a));
        TRY(all_finite(&finite_b, &b));
        for (int m = lr->modules - 1; m >= 0; m--)
            name = lr->module[m].R > 0 ? o->adapter->site[i].names[m] : name;
        if (!finite_a || !finite_b)
            return clora_fail(CLORA_ERROR_FORMAT,
                              "step %d: the gradient of %s.lora_%c is not finite; a smaller learning rate may help",
                              step, name, finite_b ? 'A' : 'B');
    }
    status = clora_fail(CLORA_ERROR_FORMAT,
                        "step %d: the norm of the gradient is not finite; a smaller learning rate may help", step);
done:
    return status;
}
