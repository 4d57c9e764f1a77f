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

/* All zero: empty. The buffers are f32 (1, n). */
typedef struct parameters {
    parameter *list; /* in the order of buffers and offsets */
    size_t count, capacity;
    int buffers;
    clora_tensor **value;    /* borrowed: trained in place */
    clora_tensor **gradient; /* one for each value, of its size: backward passes accumulate */
    parameter_home *home;    /* one for each */
    size_t value_capacity, gradient_capacity, home_capacity;
} parameters;

void parameters_finish(parameters *p);

/* A buffer whose parameters are to be added. Makes its gradient, which is zero. */
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

/* The gradient of a value that lies in one of the buffers: the view at its place. Elsewhere, or where p is NULL,
 * nothing trains, and the view has no buffer. */
clora_tensor parameters_gradient(const parameters *p, const clora_tensor *value);

/* Scalars of all buffers. */
size_t parameters_scalars(const parameters *p);

clora_status parameters_zero_gradients(const parameters *p);

/* Name the first parameter whose gradient is not finite in a CLORA_ERROR_FORMAT. Waits. */
clora_status parameters_blame(const parameters *p, int step);

#endif
