#include "operations.h"

#include <stdio.h>

#include <jansson.h>

static const double GIGA = 1e9;

static void print_roof(const clora_context *context, const bench_roof *roof) {
    printf("device    %d %s (%s kernels)\n", context->info.index, context->info.name, context->info.gemm);
    printf("roofline  %.1f GFLOP/s (f32 multiply-adds), %.1f GB/s copied, %.1f GB/s read\n", roof->flops / GIGA,
           roof->copy / GIGA, roof->read / GIGA);
}

static void print_items(const bench_roof *roof, const bench_items *items) {
    printf("\n%-64s %10s %10s %9s %8s %6s\n", "operation", "best ms", "median ms", "GFLOP/s", "GB/s", "roof");
    for (size_t i = 0; i < items->count; i++) {
        const bench_item *item = &items->item[i];
        const double best = item->time.best;
        printf("%-64s %10.4f %10.4f %9.1f %8.2f %5.0f%%\n", case_text(item->op, &item->shape), 1e3 * best,
               1e3 * item->time.median, item->op->flops(&item->shape) / best / GIGA,
               item->op->bytes(&item->shape) / best / GIGA, 100 * bench_share(item, roof));
    }
}

static double tokens(const bench_limit *limit) {
    return (double)limit->batch * limit->length;
}

static void print_limits(const bench_limit *limits, int count) {
    printf("\na training step, if only the products with W0 took time:\n");
    for (int i = 0; i < count; i++)
        printf("  %d x %d %-4s  %7.1f tokens/s (median %.1f): %.3f s at %.1f GFLOP/s\n", limits[i].batch,
               limits[i].length, clora_storage_name(limits[i].dtype), tokens(&limits[i]) / limits[i].time.best,
               tokens(&limits[i]) / limits[i].time.median, limits[i].time.best,
               limits[i].flops / limits[i].time.best / GIGA);
}

void bench_print(const clora_context *context, const bench_roof *roof, const bench_items *items,
                 const bench_limit *limits, int limits_count) {
    print_roof(context, roof);
    if (items->count > 0)
        print_items(roof, items);
    if (limits_count > 0)
        print_limits(limits, limits_count);
}

static json_t *item_json(const bench_item *item, const bench_roof *roof) {
    const op_shape *s = &item->shape;
    const double best = item->time.best;

    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f}", "operation", item->op->name,
                     "shape", case_text(item->op, s), "dtype", clora_storage_name(s->dtype), "M", s->M, "N", s->N, "K",
                     s->K, "R", s->R, "seconds", best, "median_seconds", item->time.median, "gflops",
                     item->op->flops(s) / best / GIGA, "gbytes_per_second", item->op->bytes(s) / best / GIGA, "roof",
                     bench_share(item, roof));
}

static json_t *limit_json(const bench_limit *l) {
    return json_pack("{s:i, s:i, s:s, s:f, s:f, s:f, s:f}", "batch_size", l->batch, "length", l->length, "dtype",
                     clora_storage_name(l->dtype), "seconds", l->time.best, "tokens_per_second",
                     tokens(l) / l->time.best, "median_tokens_per_second", tokens(l) / l->time.median, "gflops",
                     l->flops / l->time.best / GIGA);
}

bool bench_print_json(const clora_context *context, const bench_roof *roof, const bench_items *items,
                      const bench_limit *limits, int limits_count) {
    json_t *results = json_array(), *products = json_array();

    for (size_t i = 0; i < items->count; i++)
        json_array_append_new(results, item_json(&items->item[i], roof));
    for (int i = 0; i < limits_count; i++)
        json_array_append_new(products, limit_json(&limits[i]));
    json_t *object = json_pack("{s:s, s:s, s:{s:f, s:f, s:f}, s:o, s:o}", "device", context->info.name, "kernels",
                               context->info.gemm, "roofline", "gflops", roof->flops / GIGA, "copy_gbytes_per_second",
                               roof->copy / GIGA, "read_gbytes_per_second", roof->read / GIGA, "results", results,
                               "products_only", products);
    if (!object || json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0)
        return false;
    json_decref(object);
    return putchar('\n') != EOF;
}
