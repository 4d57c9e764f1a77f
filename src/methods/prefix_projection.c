#include "methods/prefix_projection.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "ops/ops.h"

/* A linear layer that trains: a weight of one part, its values where they lie, and its bias. */
typedef struct layer {
    weight *w;
    clora_tensor values;
} layer;

struct prefix_projection {
    clora_tensor matrix;
    clora_tensor *e;    /* (1, P * D) */
    clora_tensor *z;    /* (P, H) before the tanh, and its gradient */
    clora_tensor *a;    /* (P, H) after it */
    float *host, *tanh; /* (P * H): there are few of them, and no kernel for them */
    layer first, second;
};

static const uint32_t STREAM = 0x50000010u; /* of random numbers, the first of five */

/* ---- values on the host ---- */

clora_status projection_values_init(projection_values *v, int P, int D, int H, int N) {
    const size_t p = (size_t)P, d = (size_t)D, h = (size_t)H, n = (size_t)N;

    *v = (projection_values){.D = D, .H = H};
    v->e = calloc(p * d, sizeof(float));
    v->w1 = calloc(h * d, sizeof(float));
    v->b1 = calloc(h, sizeof(float));
    v->w2 = calloc(n * h, sizeof(float));
    v->b2 = calloc(n, sizeof(float));
    if (v->e && v->w1 && v->b1 && v->w2 && v->b2)
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_MEMORY, "no memory for a projection of %d columns", H);
}

void projection_values_finish(projection_values *v) {
    free(v->e);
    free(v->w1);
    free(v->b1);
    free(v->w2);
    free(v->b2);
    *v = (projection_values){0};
}

static void fill_uniform(float *x, size_t n, int columns, uint64_t seed, uint32_t stream) {
    const float most = 1.0f / sqrtf((float)columns);

    for (size_t i = 0; i < n; i++)
        x[i] = (2.0f * rng_uniform(seed, stream, i) - 1.0f) * most;
}

void projection_values_fill(projection_values *v, int P, int N, uint64_t seed) {
    const size_t H = (size_t)v->H, D = (size_t)v->D;

    for (size_t i = 0; i < (size_t)P * D; i++)
        v->e[i] = rng_normal(seed, STREAM, i);
    fill_uniform(v->w1, H * D, v->D, seed, STREAM + 1);
    fill_uniform(v->b1, H, v->D, seed, STREAM + 2);
    fill_uniform(v->w2, (size_t)N * H, v->H, seed, STREAM + 3);
    fill_uniform(v->b2, (size_t)N, v->H, seed, STREAM + 4);
}

/* ---- the layers ---- */

static clora_status create_layer(layer *l, clora_context *context, int N, int K, const float *w, const float *bias) {
    clora_status status = CLORA_OK;

    TRY(weight_create(&l->w, context, CLORA_STORAGE_F32, K, 1, &N));
    if (l->w->parts > 1)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "a projection of %d x %d values is larger than a buffer of the device",
                       N, K));
    TRY(weight_pack(l->w, 0, w, CLORA_DTYPE_F32, false));
    TRY(weight_set_bias(l->w, 0, bias));
    l->values = weight_span_view(l->w, weight_module_span(l->w, 0, 0));
done:
    return status;
}

static clora_status list_layer(parameters *out, const layer *l, const char *name, parameter_group group) {
    clora_status status = CLORA_OK;

    TRY(parameters_add_buffer(out, (clora_tensor *)(uintptr_t)&l->values));
    TRY(parameters_add(out, alloc_format("%s.weight", name), &l->values, group));
    TRY(parameters_add_buffer(out, l->w->bias));
    TRY(parameters_add(out, alloc_format("%s.bias", name), l->w->bias, group));
done:
    return status;
}

/* Of dy (P, N) and x (P, K); dx (P, K) overwritten. */
static clora_status back_layer(clora_tensor *dx, const layer *l, const parameters *p, const clora_tensor *dy,
                               const clora_tensor *x) {
    clora_tensor dw = parameters_gradient(p, &l->values), dbias = parameters_gradient(p, l->w->bias);
    clora_status status = CLORA_OK;

    TRY(op_matmul_dw(&dw, dy, x, l->w, weight_module_span(l->w, 0, 0)));
    TRY(op_matmul_dbias(&dbias, dy));
    TRY(op_matmul_dx(dx, dy, l->w, NULL, NULL, false));
done:
    return status;
}

/* ---- both passes ---- */

static clora_tensor rows_of(const prefix_projection *p, const clora_tensor *values, int columns) {
    return tensor_slice(values, 0, p->matrix.shape[0], columns);
}

static clora_status make(const void *user) {
    const prefix_projection *p = user;
    const size_t n = clora_tensor_count(p->z);
    const clora_tensor e = rows_of(p, p->e, p->first.w->K);
    clora_tensor matrix = p->matrix;
    clora_status status = CLORA_OK;

    TRY(op_matmul(p->z, &e, p->first.w, NULL, NULL, NULL, false));
    TRY(clora_tensor_read(p->z, p->host));
    for (size_t i = 0; i < n; i++)
        p->tanh[i] = tanhf(p->host[i]);
    TRY(clora_tensor_write(p->a, p->tanh));
    TRY(op_matmul(&matrix, p->a, p->second.w, NULL, NULL, NULL, false));
done:
    return status;
}

static clora_status back(const void *user, const parameters *list, const clora_tensor *gradient) {
    const prefix_projection *p = user;
    const size_t n = clora_tensor_count(p->z);
    const clora_tensor e = rows_of(p, p->e, p->first.w->K), dy = rows_of(p, gradient, p->second.w->N);
    const clora_tensor of_e = parameters_gradient(list, p->e);
    clora_tensor de = rows_of(p, &of_e, p->first.w->K);
    clora_status status = CLORA_OK;

    TRY(back_layer(p->z, &p->second, list, &dy, p->a));
    TRY(clora_tensor_read(p->z, p->host));
    for (size_t i = 0; i < n; i++)
        p->host[i] *= 1.0f - p->tanh[i] * p->tanh[i];
    TRY(clora_tensor_write(p->z, p->host));
    TRY(back_layer(&de, &p->first, list, p->z, &e));
done:
    return status;
}

clora_status prefix_projection_create(prefix_projection **out, const base_model *base, const clora_tensor *matrix,
                                      const projection_values *v) {
    clora_context *context = base->context;
    const int P = matrix->shape[0], N = tensor_cols(matrix);
    const size_t n = (size_t)P * (size_t)v->H;
    clora_status status = CLORA_OK;
    prefix_projection *p = calloc(1, sizeof(*p));

    *out = NULL;
    if (!p)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a projection");
    p->matrix = *matrix;
    p->host = calloc(n, sizeof(*p->host));
    p->tanh = calloc(n, sizeof(*p->tanh));
    if (!p->host || !p->tanh)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a projection"));
    TRY(tensor_new(&p->e, context, CLORA_DTYPE_F32, 1, P * v->D));
    TRY(clora_tensor_write(p->e, v->e));
    TRY(tensor_new(&p->z, context, CLORA_DTYPE_F32, P, v->H));
    TRY(tensor_new(&p->a, context, CLORA_DTYPE_F32, P, v->H));
    TRY(create_layer(&p->first, context, v->H, v->D, v->w1, v->b1));
    TRY(create_layer(&p->second, context, N, v->H, v->w2, v->b2));
    TRY(make(p));
    *out = p;
    p = NULL;
done:
    prefix_projection_free(p);
    return status;
}

void prefix_projection_free(prefix_projection *p) {
    if (!p)
        return;
    weight_free(p->first.w);
    weight_free(p->second.w);
    clora_tensor_free(p->e);
    clora_tensor_free(p->z);
    clora_tensor_free(p->a);
    free(p->host);
    free(p->tanh);
    free(p);
}

int64_t prefix_projection_scalars(const prefix_projection *p) {
    const int64_t H = p->first.w->N, D = p->first.w->K, N = p->second.w->N;

    return p->matrix.shape[0] * D + H * (D + 1) + N * (H + 1);
}

clora_status prefix_projection_list(parameters *out, const prefix_projection *p, parameter_group group) {
    const size_t floats = clora_tensor_count(&p->matrix) + 2 * clora_tensor_count(p->z);
    const size_t places = clora_tensor_count(p->first.w->columns) + clora_tensor_count(p->second.w->columns);
    const clora_tensor matrix = tensor_slice(&p->matrix, 0, 1, (int)clora_tensor_count(&p->matrix));
    clora_status status = CLORA_OK;

    TRY(parameters_add_buffer(out, p->e));
    TRY(parameters_add(out, alloc_string("embedding.weight"), p->e, group));
    TRY(list_layer(out, &p->first, "transform.0", group));
    TRY(list_layer(out, &p->second, "transform.2", group));
    TRY(parameters_add_product(
        out, (parameter_product){
                 .value = matrix, .bytes = (floats + places) * sizeof(float), .user = p, .make = make, .back = back}));
done:
    return status;
}
