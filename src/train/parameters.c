#include "train/parameters.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/dtype.h"

void parameters_finish(parameters *p) {
    for (size_t i = 0; i < p->count; i++)
        free(p->list[i].name);
    for (int i = 0; i < p->buffers; i++)
        clora_tensor_free(p->gradient[i]);
    clora_tensor_free(p->product.gradient);
    free(p->list);
    free(p->value);
    free(p->gradient);
    free(p->home);
    *p = (parameters){0};
}

/* A view that owns none of its memory. */
static clora_status make_lent(clora_tensor **out, clora_tensor view) {
    const clora_status status = tensor_split(out, &view, 0, 1, tensor_cols(&view));

    if (status == CLORA_OK)
        (*out)->owned = 0;
    return status;
}

static bool is_lent(const parameters *p, int buffer) {
    return p->gradient[buffer]->owned == 0;
}

static clora_status make_gradient(clora_tensor **out, const parameters *p, const clora_tensor *value,
                                  const clora_tensor *stored) {
    const int n = tensor_cols(value);
    const clora_tensor lent = p->lender ? p->lender->lend(p->lender->user, stored, n) : (clora_tensor){0};
    clora_status status = CLORA_OK;

    if (lent.buffer)
        return make_lent(out, lent);
    TRY(tensor_new(out, value->context, CLORA_DTYPE_F32, 1, n));
    TRY(clora_tensor_zero(*out));
done:
    return status;
}

clora_status parameters_add_stored(parameters *p, clora_tensor *value, parameter_home home) {
    const size_t needed = (size_t)p->buffers + 1;
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&p->value, &p->value_capacity, needed, sizeof(*p->value)));
    TRY(alloc_grow((void **)&p->gradient, &p->gradient_capacity, needed, sizeof(*p->gradient)));
    TRY(alloc_grow((void **)&p->home, &p->home_capacity, needed, sizeof(*p->home)));
    p->value[p->buffers] = value;
    p->home[p->buffers] = home;
    p->gradient[p->buffers] = NULL;
    status = make_gradient(&p->gradient[p->buffers], p, value, home.keep ? &home.stored : value);
    p->buffers += p->gradient[p->buffers] != NULL;
done:
    return status;
}

clora_status parameters_add_buffer(parameters *p, clora_tensor *value) {
    return parameters_add_stored(p, value, (parameter_home){.keep = NULL});
}

clora_status parameters_fetch(const parameters *p, int buffer) {
    const parameter_home *h = &p->home[buffer];

    return h->keep ? h->fetch(h->user, p->value[buffer]) : CLORA_OK;
}

clora_status parameters_keep(const parameters *p, int buffer) {
    const parameter_home *h = &p->home[buffer];

    return h->keep ? h->keep(h->user, p->value[buffer]) : CLORA_OK;
}

/* What passes read of a buffer. */
static const clora_tensor *read_of(const parameters *p, int buffer) {
    return p->home[buffer].keep ? &p->home[buffer].stored : p->value[buffer];
}

static bool is_in(const clora_tensor *whole, const clora_tensor *view) {
    return whole->buffer == view->buffer && whole->offset <= view->offset &&
           view->offset + clora_tensor_count(view) <= whole->offset + clora_tensor_count(whole);
}

/* The buffer that a view lies in, or the number of buffers. */
static int find_buffer(const parameters *p, const clora_tensor *view) {
    int i = 0;

    while (i < p->buffers && !is_in(read_of(p, i), view))
        i++;
    return i;
}

clora_status parameters_add(parameters *p, char *name, const clora_tensor *value, parameter_group group) {
    const int buffer = find_buffer(p, value);
    clora_status status = CLORA_OK;

    assert(buffer < p->buffers && tensor_is_dense(value));
    if (!name)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a list of parameters"));
    TRY(alloc_grow((void **)&p->list, &p->capacity, p->count + 1, sizeof(*p->list)));
    p->list[p->count++] =
        (parameter){.name = name,
                    .buffer = buffer,
                    .offset = value->offset - read_of(p, buffer)->offset,
                    .count = p->home[buffer].keep ? clora_tensor_count(p->value[buffer]) : clora_tensor_count(value),
                    .group = group};
    name = NULL;
done:
    free(name);
    return status;
}

clora_status parameters_add_product(parameters *p, parameter_product product) {
    clora_status status = CLORA_OK;

    assert(!p->product.gradient && tensor_is_dense(&product.value));
    TRY(tensor_new(&product.gradient, product.value.context, CLORA_DTYPE_F32, 1, tensor_cols(&product.value)));
    p->product = product;
    TRY(clora_tensor_zero(product.gradient));
done:
    return status;
}

clora_status parameters_back_product(const parameters *p) {
    const parameter_product *one = &p->product;

    return one->gradient ? one->back(one->user, p, one->gradient) : CLORA_OK;
}

clora_status parameters_make_product(const parameters *p) {
    return p->product.gradient ? p->product.make(p->product.user) : CLORA_OK;
}

clora_tensor parameters_gradient(const parameters *p, const clora_tensor *value) {
    const int buffer = p ? find_buffer(p, value) : 0;
    clora_tensor view = *value;

    if (!p)
        return (clora_tensor){0};
    if (p->product.gradient && is_in(&p->product.value, value)) {
        view.buffer = p->product.gradient->buffer;
        view.offset = p->product.gradient->offset + (value->offset - p->product.value.offset);
        return view;
    }
    if (buffer == p->buffers)
        return (clora_tensor){0};
    const clora_tensor *gradient = p->gradient[buffer];
    if (p->home[buffer].keep)
        return tensor_slice(gradient, 0, 1, tensor_cols(gradient));
    view.buffer = gradient->buffer;
    view.offset = gradient->offset + (value->offset - p->value[buffer]->offset);
    return view;
}

clora_status parameters_begin_gradient(const parameters *p, const clora_tensor *value) {
    const int buffer = find_buffer(p, value);

    return buffer < p->buffers && is_lent(p, buffer) ? clora_tensor_zero(p->gradient[buffer]) : CLORA_OK;
}

clora_status parameters_end_gradient(const parameters *p, const clora_tensor *value) {
    const int buffer = find_buffer(p, value);

    return buffer < p->buffers && parameters_uses_up(p, buffer) ? p->lender->use(p->lender->user, buffer) : CLORA_OK;
}

bool parameters_uses_up(const parameters *p, int buffer) {
    return is_lent(p, buffer) && p->lender->use;
}

size_t parameters_scalars(const parameters *p) {
    size_t n = 0;

    for (int i = 0; i < p->buffers; i++)
        n += clora_tensor_count(p->value[i]);
    return n;
}

size_t parameters_gradient_bytes(const parameters *p) {
    size_t n = p->product.gradient ? p->product.gradient->owned : 0;

    for (int i = 0; i < p->buffers; i++)
        n += p->gradient[i]->owned;
    return n;
}

clora_status parameters_zero_gradients(const parameters *p) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < p->buffers; i++)
        if (!is_lent(p, i))
            TRY(clora_tensor_zero(p->gradient[i]));
    if (p->product.gradient)
        TRY(clora_tensor_zero(p->product.gradient));
done:
    return status;
}

static clora_status all_finite(bool *out, const clora_tensor *t) {
    const size_t n = clora_tensor_count(t);
    float *values = alloc_array(n, sizeof(*values));
    clora_status status = CLORA_OK;

    if (!values)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to look at a gradient");
    TRY(clora_tensor_read(t, values));
    *out = dtype_all_finite(values, CLORA_DTYPE_F32, n);
done:
    free(values);
    return status;
}

clora_status parameters_blame(const parameters *p, int step) {
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < p->count; i++) {
        const parameter *one = &p->list[i];
        const clora_tensor gradient = tensor_slice(p->gradient[one->buffer], one->offset, 1, (int)one->count);
        bool finite = false;
        TRY(all_finite(&finite, &gradient));
        if (!finite)
            return clora_fail(CLORA_ERROR_FORMAT,
                              "step %d: the gradient of %s is not finite; a smaller learning rate may help", step,
                              one->name);
    }
    status = clora_fail(CLORA_ERROR_FORMAT,
                        "step %d: the norm of the gradient is not finite; a smaller learning rate may help", step);
done:
    return status;
}
