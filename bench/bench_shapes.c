#include "operations.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cases/product.h"

clora_status bench_items_add(bench_items *items, const op_case *op, op_shape shape) {
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&items->item, &items->capacity, items->count + 1, sizeof(*items->item)));
    items->item[items->count++] = (bench_item){.op = op, .shape = shape};
done:
    return status;
}

void bench_items_finish(bench_items *items) {
    free(items->item);
    *items = (bench_items){0};
}

op_shape bench_projection_shape(const bench_model *m, int p, int M, int R, clora_storage dtype) {
    const int q = m->heads * m->head_dim, kv = m->kv_heads * m->head_dim;
    const op_shape shapes[BENCH_PROJECTIONS] = {
        {.N = q + 2 * kv, .K = m->hidden, .modules = 3, .first = q},
        {.N = m->hidden, .K = q, .option = PRODUCT_RESIDUAL},
        {.N = 2 * m->ffn, .K = m->hidden, .modules = 2, .first = m->ffn},
        {.N = m->hidden, .K = m->ffn, .option = PRODUCT_RESIDUAL},
        {.N = m->vocab, .K = m->hidden},
    };
    op_shape shape = shapes[p];

    shape.M = M;
    shape.R = R;
    shape.dtype = dtype;
    return shape;
}

/* ---- one function for each kind of operation: the shapes for some rows ---- */

typedef struct shape_request {
    bench_items *items;
    const op_case *op;
    const bench_model *model;
    const bench_list *ranks, *dtypes;
    int M;
} shape_request;

static clora_status add(const shape_request *r, op_shape shape) {
    return bench_items_add(r->items, r->op, shape);
}

static clora_status add_products(const shape_request *r, int R, clora_storage dtype) {
    clora_status status = CLORA_OK;

    for (int p = 0; p < BENCH_PROJECTIONS && status == CLORA_OK; p++)
        if (p < BENCH_PROJECTIONS - 1 || (R == 0 && r->M <= BENCH_LOGITS_ROWS))
            status = add(r, bench_projection_shape(r->model, p, r->M, R, dtype));
    return status;
}

static clora_status products(const shape_request *r) {
    clora_status status = CLORA_OK;

    for (int d = 0; d < r->dtypes->count; d++) {
        TRY(add_products(r, 0, (clora_storage)r->dtypes->item[d]));
        for (int i = 0; i < r->ranks->count; i++)
            TRY(add_products(r, r->ranks->item[i], (clora_storage)r->dtypes->item[d]));
    }
done:
    return status;
}

static clora_status factors(const shape_request *r) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < r->ranks->count; i++)
        for (int p = 0; p < BENCH_PROJECTIONS - 1; p++)
            TRY(add(r, bench_projection_shape(r->model, p, r->M, r->ranks->item[i], CLORA_STORAGE_F32)));
done:
    return status;
}

static clora_status merged(const shape_request *r) {
    clora_status status = CLORA_OK;

    for (int d = 0; d < r->dtypes->count; d++)
        for (int i = 0; i < r->ranks->count; i++)
            for (int p = 0; p < BENCH_PROJECTIONS - 1; p++)
                TRY(add(r,
                        bench_projection_shape(r->model, p, 0, r->ranks->item[i], (clora_storage)r->dtypes->item[d])));
done:
    return status;
}

static clora_status embedding(const shape_request *r) {
    clora_status status = CLORA_OK;

    for (int d = 0; d < r->dtypes->count && status == CLORA_OK; d++)
        status = add(
            r, (op_shape){
                   .M = r->M, .N = r->model->vocab, .K = r->model->hidden, .dtype = (clora_storage)r->dtypes->item[d]});
    return status;
}

static clora_status stream(const shape_request *r) {
    return add(r, (op_shape){.M = r->M, .K = r->model->hidden});
}

static clora_status placed(const shape_request *r) {
    enum { POSITIONS = 1024 }; /* of GPT-2 */

    return add(r, (op_shape){.M = r->M, .N = POSITIONS, .K = r->model->hidden});
}

static clora_status dropped(const shape_request *r) {
    return add(r, (op_shape){.M = r->M, .K = r->model->hidden, .option = 1});
}

static clora_status bottlenecks(const shape_request *r) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < r->ranks->count; i++)
        TRY(add(r, (op_shape){.M = r->M, .K = r->model->hidden, .R = r->ranks->item[i]}));
done:
    return status;
}

static clora_status gated(const shape_request *r) {
    return add(r, (op_shape){.M = r->M, .K = r->model->ffn});
}

static clora_status rotation(const shape_request *r) {
    return add(r, (op_shape){.M = r->M, .H = r->model->heads, .D = r->model->head_dim});
}

static clora_status bent_logits(const shape_request *r) {
    const int M = r->M < BENCH_LOGITS_ROWS ? r->M : BENCH_LOGITS_ROWS;
    return add(r, (op_shape){.M = M, .K = r->model->vocab});
}

static clora_status losses(const shape_request *r) {
    const int M = r->M < BENCH_LOGITS_ROWS ? r->M : BENCH_LOGITS_ROWS;
    return add(r, (op_shape){.M = M, .V = r->model->vocab});
}

/* Many rows are sequences of up to 512 tokens; few are one token each of as many sequences, after 511. */
enum { LONGEST = 512, FEWEST = 16, WITHOUT_LSE = 1 };

static clora_status attention(const shape_request *r) {
    const bench_model *m = r->model;
    const bool decode = r->M < FEWEST;
    const int T = decode ? 1 : r->M > LONGEST ? LONGEST / 2 : r->M;

    return add(r, (op_shape){.B = r->M / T,
                             .T = T,
                             .S = decode ? LONGEST : T,
                             .H = m->heads,
                             .G = m->kv_heads,
                             .D = m->head_dim,
                             .option = decode ? WITHOUT_LSE : 0});
}

static clora_status attention_training(const shape_request *r) {
    return r->M < FEWEST ? CLORA_OK : attention(r);
}

static clora_status cache(const shape_request *r) {
    const bench_model *m = r->model;
    const bool decode = r->M < FEWEST;
    const int T = decode ? 1 : r->M < LONGEST ? r->M : LONGEST;

    return add(
        r, (op_shape){.B = decode ? r->M : 1, .T = T, .S = LONGEST, .H = m->heads, .G = m->kv_heads, .D = m->head_dim});
}

/* ---- those that know no rows ---- */

static clora_status weights(const shape_request *r) {
    clora_status status = CLORA_OK;

    TRY(add(r, (op_shape){.M = r->model->ffn, .K = r->model->hidden, .dtype = CLORA_STORAGE_F16}));
    TRY(add(r, (op_shape){.M = r->model->ffn, .K = r->model->hidden, .dtype = CLORA_STORAGE_BF16}));
done:
    return status;
}

/* All factors of an adapter on all linear layers. */
static clora_status parameters(const shape_request *r) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < r->ranks->count; i++) {
        double scalars = 0;
        for (int p = 0; p < BENCH_PROJECTIONS - 1; p++) {
            const op_shape s = bench_projection_shape(r->model, p, 1, r->ranks->item[i], CLORA_STORAGE_F32);
            scalars += (double)product_ranks(&s) * s.K + product_b_elements(&s);
        }
        if (scalars * r->model->layers < 1e9)
            TRY(add(r, (op_shape){.M = r->model->layers, .K = (int)scalars}));
    }
done:
    return status;
}

static clora_status sums(const shape_request *r) {
    return add(r, (op_shape){.M = 1, .K = 16, .option = 10});
}

typedef struct shape_rule {
    const char *name;
    clora_status (*add)(const shape_request *request);
    bool once; /* not for every number of rows */
} shape_rule;

static const shape_rule rules[] = {
    {"matmul", products, false},
    {"matmul_dx", products, false},
    {"matmul_dw", products, false},
    {"embedding", embedding, false},
    {"embedding_dw", embedding, false},
    {"lowrank_down", factors, false},
    {"lowrank_down_grad", factors, false},
    {"lowrank_dx", factors, false},
    {"lowrank_grad_a", factors, false},
    {"lowrank_grad_b", factors, false},
    {"lowrank_merge", merged, true},
    {"weight_merge", merged, true},
    {"activate", bottlenecks, false},
    {"activate_backward", bottlenecks, false},
    {"bottleneck", bottlenecks, false},
    {"bottleneck_backward", bottlenecks, false},
    {"rmsnorm", stream, false},
    {"rmsnorm_apply", stream, false},
    {"rmsnorm_backward", stream, false},
    {"rmsnorm_dg", stream, false},
    {"matmul_dbias", stream, false},
    {"layernorm", stream, false},
    {"layernorm_apply", stream, false},
    {"layernorm_backward", stream, false},
    {"layernorm_dg", stream, false},
    {"rope", rotation, false},
    {"swiglu", gated, false},
    {"swiglu_backward", gated, false},
    {"gelu", gated, false},
    {"gelu_backward", gated, false},
    {"add_positions", placed, false},
    {"softcap", bent_logits, false},
    {"softcap_backward", bent_logits, false},
    {"cross_entropy", losses, false},
    {"dropout", dropped, false},
    {"dropout_add", dropped, false},
    {"add", stream, false},
    {"scale", stream, false},
    {"attention", attention, false},
    {"attention_backward", attention_training, false},
    {"rope_store", cache, false},
    {"widen", weights, true},
    {"adamw", parameters, true},
    {"adamw8bit", parameters, true},
    {"sgd", parameters, true},
    {"sum_squares", parameters, true},
    {"clip_scale", sums, true},
};

clora_status bench_shapes_add(bench_items *items, const op_case *op, const bench_model *model, const bench_list *rows,
                              const bench_list *ranks, const bench_list *dtypes) {
    shape_request request = {items, op, model, ranks, dtypes, 0};
    const shape_rule *rule = NULL;
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
        if (strcmp(rules[i].name, op->name) == 0)
            rule = &rules[i];
    for (size_t i = 0; !rule && i < op->shapes_count; i++)
        TRY(bench_items_add(items, op, op->shapes[i]));
    for (int i = 0; rule && i < (rule->once ? 1 : rows->count); i++) {
        request.M = rows->item[i];
        TRY(rule->add(&request));
    }
done:
    return status;
}
