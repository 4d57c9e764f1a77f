#include "cases/case.h"
#include "ref/ref.h"

/* Bottleneck adapters: M rows of K columns, R between. */

enum { SWISH = 1, IN_PLACE = 2, ALONE = 4 /* bits of the option: without a start */ };

/* Values or gradients in the reference's row-major form. */
typedef struct host_values {
    float *down, *bias, *up; /* (R,K), (R), (K, R+1) */
} host_values;

typedef struct bottleneck_data {
    host_values values, gradients;
    case_buffer *gradient, *x, *y, *z, *a, *da, *dx;
} bottleneck_data;

static host_values make_host(case_run *run, unsigned seed) {
    const size_t K = (size_t)run->shape.K, R = (size_t)run->shape.R;
    const size_t down = R * K, up = K * (R + 1);
    float *all = case_memory(run, down + R + up, sizeof(float));

    if (run->status == CLORA_OK)
        case_fill(all, down + R + up, case_seed(run, seed));
    return (host_values){all, all + down, all + down + R};
}

/* The image on the device. */
static void pack(case_run *run, float *image, const host_values *h) {
    const size_t K = (size_t)run->shape.K, R = (size_t)run->shape.R;
    float *up = case_memory(run, K * (R + 1), sizeof(float)), *up_bias = up + K * R;

    if (run->status != CLORA_OK)
        return;
    for (size_t k = 0; k < K; k++) {
        for (size_t r = 0; r < R; r++)
            up[k * R + r] = h->up[k * (R + 1) + r];
        up_bias[k] = h->up[k * (R + 1) + R];
    }
    bottleneck_pack(run->bottleneck, image, &(bottleneck_rows){h->down, h->bias, up, up_bias});
}

static bottleneck_data *setup(case_run *run) {
    bottleneck_data *d = case_memory(run, 1, sizeof(*d));

    run->data = d;
    if (run->status == CLORA_OK)
        run->status = bottleneck_create(&run->bottleneck, run->context, run->shape.K, run->shape.R);
    if (run->status != CLORA_OK)
        return d;
    bottleneck *b = run->bottleneck;
    case_buffer *values = case_dense(run, "values", CASE_IN, CLORA_DTYPE_F32, 1, (int)bottleneck_count(b));
    d->values = make_host(run, 1300);
    pack(run, values->host, &d->values);
    b->swish = run->shape.option & SWISH;
    b->values = bottleneck_slice(b, &values->tensor, 0);
    return d;
}

static ref_bottleneck_values ref_values(const case_run *run) {
    const host_values *v = &((const bottleneck_data *)run->data)->values;
    return (ref_bottleneck_values){v->down, v->bias, v->up, run->bottleneck->swish};
}

/* ---- the activation and its gradient ---- */

static void activate_setup(case_run *run) {
    bottleneck_data *d = setup(run);

    d->a = case_matrix(run, "a", CASE_OUT, run->shape.M, run->shape.R + 1);
    d->z = case_matrix(run, "z", CASE_IN, run->shape.M, run->shape.R);
}

static clora_status activate_launch(case_run *run) {
    bottleneck_data *d = run->data;
    return op_activate(&d->a->tensor, &d->z->tensor, run->bottleneck);
}

static void activate_reference(case_run *run) {
    const bottleneck_data *d = run->data;
    ref_activate(d->a->expected, d->z->host, d->values.bias, run->bottleneck->swish, run->shape.M, run->shape.R);
}

static void activate_backward_setup(case_run *run) {
    const op_shape *s = &run->shape;
    bottleneck_data *d = setup(run);

    d->z = case_matrix(run, "z", s->option & IN_PLACE ? CASE_INOUT : CASE_IN, s->M, s->R);
    d->a = s->option & IN_PLACE ? d->z : case_matrix(run, "dz", CASE_OUT, s->M, s->R);
    d->da = case_matrix(run, "da", CASE_IN, s->M, s->R + 1);
}

static clora_status activate_backward_launch(case_run *run) {
    bottleneck_data *d = run->data;
    return op_activate_backward(&d->a->tensor, &d->da->tensor, &d->z->tensor, run->bottleneck);
}

static void activate_backward_reference(case_run *run) {
    const bottleneck_data *d = run->data;
    ref_activate_backward(d->a->expected, d->da->host, d->z->host, d->values.bias, run->bottleneck->swish, run->shape.M,
                          run->shape.R);
}

/* ---- the whole ---- */

static void bottleneck_setup(case_run *run) {
    const op_shape *s = &run->shape;
    bottleneck_data *d = setup(run);

    d->y = case_matrix(run, "y", CASE_OUT, s->M, s->K);
    d->z = case_matrix(run, "z", CASE_OUT, s->M, s->R);
    d->a = case_matrix(run, "a", CASE_OUT, s->M, s->R + 1);
    d->x = case_matrix(run, "x", CASE_IN, s->M, s->K);
}

static clora_status bottleneck_launch(case_run *run) {
    bottleneck_data *d = run->data;
    const clora_tensor *start = run->shape.option & ALONE ? NULL : &d->x->tensor;

    return op_bottleneck(&d->y->tensor, &d->z->tensor, &d->a->tensor, start, &d->x->tensor, run->bottleneck);
}

static void bottleneck_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const bottleneck_data *d = run->data;
    const ref_bottleneck_values values = ref_values(run);

    ref_bottleneck(d->y->expected, d->z->expected, d->a->expected, s->option & ALONE ? NULL : d->x->host, d->x->host,
                   &values, s->M, s->K, s->R);
}

/* What the forward pass leaves: z and a belong to x. */
static void fill_activations(case_run *run, const bottleneck_data *d) {
    const op_shape *s = &run->shape;
    const ref_bottleneck_values values = ref_values(run);
    float *y = case_memory(run, (size_t)s->M * (size_t)s->K, sizeof(float));

    if (run->status == CLORA_OK)
        ref_bottleneck(y, d->z->host, d->a->host, NULL, d->x->host, &values, s->M, s->K, s->R);
}

static void backward_setup(case_run *run) {
    const op_shape *s = &run->shape;
    bottleneck_data *d = setup(run);

    if (run->status != CLORA_OK)
        return;
    d->gradient = case_dense(run, "gradients", CASE_INOUT, CLORA_DTYPE_F32, 1, (int)bottleneck_count(run->bottleneck));
    d->gradients = make_host(run, 1400);
    pack(run, d->gradient->host, &d->gradients);
    d->y = case_matrix(run, "dy", s->option & IN_PLACE ? CASE_INOUT : CASE_IN, s->M, s->K);
    d->dx = s->option & IN_PLACE ? d->y : case_matrix(run, "dx", CASE_OUT, s->M, s->K);
    d->z = case_matrix(run, "z", CASE_INOUT, s->M, s->R);
    d->a = case_matrix(run, "a", CASE_IN, s->M, s->R + 1);
    d->x = case_matrix(run, "x", CASE_IN, s->M, s->K);
    d->da = case_matrix(run, "da", CASE_SCRATCH, s->M, s->R + 1);
    fill_activations(run, d);
}

static clora_status backward_launch(case_run *run) {
    bottleneck_data *d = run->data;
    const bottleneck_values gradients = bottleneck_slice(run->bottleneck, &d->gradient->tensor, 0);

    const clora_tensor *start = run->shape.option & ALONE ? NULL : &d->y->tensor;

    return op_bottleneck_backward(&d->dx->tensor, &gradients, &d->z->tensor, &d->da->tensor, start, &d->y->tensor,
                                  &d->x->tensor, &d->a->tensor, run->bottleneck);
}

static void backward_reference(case_run *run) {
    const op_shape *s = &run->shape;
    const bottleneck_data *d = run->data;
    const ref_bottleneck_values values = ref_values(run);
    const ref_bottleneck_gradients gradients = {d->gradients.down, d->gradients.bias, d->gradients.up};
    float *da = case_memory(run, (size_t)s->M * (size_t)(s->R + 1), sizeof(float));

    if (run->status != CLORA_OK)
        return;
    ref_bottleneck_backward(d->dx->expected, &gradients, d->z->expected, da, s->option & ALONE ? NULL : d->y->host,
                            d->y->host, d->x->host, d->z->host, d->a->host, &values, s->M, s->K, s->R);
    pack(run, d->gradient->expected, &d->gradients);
}

static double small_flops(const op_shape *s) {
    return 10.0 * s->M * s->R;
}
static double small_bytes(const op_shape *s) {
    return 8.0 * s->M * s->R;
}
static double forward_flops(const op_shape *s) {
    return 4.0 * s->M * (double)s->K * s->R;
}
static double forward_bytes(const op_shape *s) {
    return 4.0 * (2.0 * s->M * s->K + 2.0 * s->K * s->R + 2.0 * s->M * s->R);
}
static double backward_flops(const op_shape *s) {
    return 8.0 * s->M * (double)s->K * s->R;
}
static double backward_bytes(const op_shape *s) {
    return 4.0 * (3.0 * s->M * s->K + 4.0 * s->K * s->R + 3.0 * s->M * s->R);
}

static const op_shape activation_shapes[] = {
    {.M = 1, .K = 1, .R = 1},
    {.M = 3, .K = 2, .R = 7, .pad = 5, .option = SWISH},
    {.M = 5, .K = 3, .R = 64, .option = IN_PLACE},
    {.M = 2, .K = 1, .R = 577, .pad = 1, .option = SWISH | IN_PLACE},
    {.M = 4, .K = 1, .R = 17},
};
static const op_shape bottleneck_shapes[] = {
    {.M = 1, .K = 1, .R = 1},
    {.M = 1, .K = 67, .R = 8, .option = SWISH},
    {.M = 3, .K = 33, .R = 1, .pad = 2, .option = IN_PLACE},
    {.M = 7, .K = 97, .R = 31, .option = SWISH | IN_PLACE},
    {.M = 41, .K = 64, .R = 16, .pad = 3, .option = ALONE},
    {.M = 67, .K = 131, .R = 33, .option = SWISH},
};

const op_case cases_bottleneck[] = {
    {"activate", CASE_SHAPES(activation_shapes), activate_setup, activate_launch, activate_reference, small_flops,
     small_bytes, 1e-6f},
    {"activate_backward", CASE_SHAPES(activation_shapes), activate_backward_setup, activate_backward_launch,
     activate_backward_reference, small_flops, small_bytes, 1e-6f},
    {"bottleneck", CASE_SHAPES(bottleneck_shapes), bottleneck_setup, bottleneck_launch, bottleneck_reference,
     forward_flops, forward_bytes, 4e-6f},
    {"bottleneck_backward", CASE_SHAPES(bottleneck_shapes), backward_setup, backward_launch, backward_reference,
     backward_flops, backward_bytes, 4e-6f},
    {.name = NULL},
};
