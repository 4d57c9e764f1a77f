#include "operations.h"

/* Every W0 product of a step, forward and back; the head in chunks of rows. */
static clora_status add_products(bench_items *items, const bench_model *model, int rows, clora_storage dtype) {
    const op_case *forward = case_find("matmul"), *backward = case_find("matmul_dx");
    const int chunk = rows < BENCH_LOGITS_ROWS ? rows : BENCH_LOGITS_ROWS;
    clora_status status = CLORA_OK;

    for (int p = 0; p < BENCH_PROJECTIONS; p++) {
        op_shape shape = bench_projection_shape(model, p, p == BENCH_PROJECTIONS - 1 ? chunk : rows, 0, dtype);
        TRY(bench_items_add(items, forward, shape));
        shape.option = 0; /* a gradient has no residual */
        TRY(bench_items_add(items, backward, shape));
    }
done:
    return status;
}

clora_status bench_measure_limit(bench_limit *out, clora_context *context, const bench_model *model, int batch,
                                 int length, clora_storage dtype, int rounds) {
    clora_status status = CLORA_OK;
    bench_items items = {0};
    const int rows = batch * length;

    *out = (bench_limit){.batch = batch, .length = length, .dtype = dtype};
    TRY(add_products(&items, model, rows, dtype));
    TRY(bench_measure(context, &items, rounds));
    for (size_t i = 0; i < items.count; i++) {
        const bench_item *item = &items.item[i];
        const double times = item->shape.N == model->vocab ? (double)rows / item->shape.M : model->layers;
        out->flops += times * item->op->flops(&item->shape);
        out->time.best += times * item->time.best;
        out->time.median += times * item->time.median;
    }
done:
    bench_items_finish(&items);
    return status;
}
