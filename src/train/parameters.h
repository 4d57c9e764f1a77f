#ifndef CLORA_TRAIN_PARAMETERS_H
#define CLORA_TRAIN_PARAMETERS_H

#include "device/tensor.h"

/*
 * What trains: a list of named parameters and their gradients. Whoever owns parameters fills it (an adapter:
 * methods/adapter.c); training knows them by this list alone, so this header knows nothing but tensors.
 *
 * Parameters lie side by side in a few flat buffers, so that many small ones need few launches: one a buffer for what
 * is done to all alike.
 */

/* How some of the parameters are updated. */
typedef struct parameter_group {
    float lr_factor;    /* times the update's learning rate */
    float weight_decay; /* decoupled */
} parameter_group;

typedef struct parameter {
    char *name;           /* as files have it; the list's */
    int buffer;           /* which of the list's */
    size_t offset, count; /* its elements there, padding included */
    parameter_group group;
} parameter;

/* Where the values of a buffer are at home, if not in it: in a tensor of another type. */
typedef struct parameter_home {
    clora_tensor stored; /* what passes read: the buffer is known by this view */
    const void *user;
    clora_status (*fetch)(const void *user, clora_tensor *value);      /* into the buffer, before an update */
    clora_status (*keep)(const void *user, const clora_tensor *value); /* back, after it; NULL: there is no such home */
} parameter_home;

/*
 * Memory that gradients are lent for as long as they are needed: those that a backward pass makes in one go and no
 * other adds to. It serves others before, and after where each is used up as soon as it is made.
 */
typedef struct gradient_lender {
    void *user;
    /* A dense view for the n gradients of a buffer, given what passes read; without a buffer: none is lent. */
    clora_tensor (*lend)(void *user, const clora_tensor *stored, int n);
    /* Use up the gradient of a buffer; NULL: gradients last until the next forward pass. */
    clora_status (*use)(void *user, int buffer);
} gradient_lender;

/* A value that passes read and parameters are made into: f32 (1, n). Whoever has such a one makes it before the first
 * step. */
typedef struct parameters parameters;
typedef struct parameter_product {
    clora_tensor value;
    size_t bytes;           /* of it, and of what else is there to make it */
    clora_tensor *gradient; /* to which backward passes add; the list's */
    const void *user;
    clora_status (*make)(const void *user);
    clora_status (*back)(const void *user, const parameters *p, const clora_tensor *gradient); /* overwrites theirs */
} parameter_product;

/* All zero: empty. The buffers are f32 (1, n). */
struct parameters {
    parameter *list; /* in the order of buffers and offsets */
    size_t count, capacity;
    int buffers;
    clora_tensor **value;          /* borrowed: trained in place */
    clora_tensor **gradient;       /* one for each value, of its size: backward passes accumulate */
    parameter_home *home;          /* one for each */
    const gradient_lender *lender; /* borrowed; NULL: all gradients have memory of their own */
    size_t value_capacity, gradient_capacity, home_capacity;
    parameter_product product; /* without a gradient: there is none */
};

void parameters_finish(parameters *p);

/* A buffer whose parameters are to be added. Makes its gradient, which is zero unless it is lent. */
clora_status parameters_add_buffer(parameters *p, clora_tensor *value);

/* The same for values with a home elsewhere, which is what parameters_add and parameters_gradient are asked by: as a
 * whole. Buffers may share the memory of their values where `fetch` brings them each time. */
clora_status parameters_add_stored(parameters *p, clora_tensor *value, parameter_home home);

/* Before and after a buffer's values are updated. */
clora_status parameters_fetch(const parameters *p, int buffer);
clora_status parameters_keep(const parameters *p, int buffer);

/* A parameter whose value is a dense view in one of the buffers. Takes over the name, also when it fails; a NULL name
 * is one that there was no memory for. */
clora_status parameters_add(parameters *p, char *name, const clora_tensor *value, parameter_group group);

/* The one value that is made of parameters. Its gradient is made here. */
clora_status parameters_add_product(parameters *p, parameter_product product);

/* After all backward passes of an update: what the product's gradient makes of those of its parameters. */
clora_status parameters_back_product(const parameters *p);

/* After an update. */
clora_status parameters_make_product(const parameters *p);

/* The gradient of a value that lies in one of the buffers or in the product: the view at its place. Elsewhere, or where
 * p is NULL, nothing trains, and the view has no buffer. */
clora_tensor parameters_gradient(const parameters *p, const clora_tensor *value);

/* Before and after a backward pass makes the gradient of a value in one go: where it is lent memory, zero it, and use
 * it up. */
clora_status parameters_begin_gradient(const parameters *p, const clora_tensor *value);
clora_status parameters_end_gradient(const parameters *p, const clora_tensor *value);

/* Is the gradient of a buffer gone when the pass is over? */
bool parameters_uses_up(const parameters *p, int buffer);

/* Scalars of all buffers, and the bytes of gradients that are not lent, the product's too. */
size_t parameters_scalars(const parameters *p);
size_t parameters_gradient_bytes(const parameters *p);

/* Those that are not lent. */

clora_status parameters_zero_gradients(const parameters *p);

/* Name the first parameter whose gradient is not finite in a CLORA_ERROR_FORMAT. None is used up. Waits. */
clora_status parameters_blame(const parameters *p, int step);

#endif
