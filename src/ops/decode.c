#include <math.h>

#include "ops/attention.h"
#include "ops/matmul.h"

/* The four products of a layer, as their own launches would make them. */
enum { QKV, OUT, GATE_UP, DOWN, PRODUCTS };

static forward_product product_of(const decode_linear *l, clora_tensor *y, const clora_tensor *x,
                                  const clora_tensor *residual) {
    return matmul_product(y, x, l->w, residual, l->lr, l->u);
}

static void products_of(forward_product *p, const decode_layer *d) {
    p[QKV] = product_of(&d->qkv, d->qkv_rows, d->x, NULL);
    p[OUT] = product_of(&d->out, d->mid, d->att, d->x);
    p[GATE_UP] = product_of(&d->gate_up, d->act, d->mid, NULL);
    p[DOWN] = product_of(&d->down, d->y, d->act, d->mid);
    p[GATE_UP].gated = true;
}

/* One part, panels of the first product's type, few rows, the term in the product. */
static bool is_simple(const forward_product *p, clora_dtype dtype) {
    const kernel_key key = forward_key(p);

    return p->w->layout == WEIGHT_PANEL && p->w->parts == 1 && p->w->dtype == dtype && p->M <= FEW_SUMS &&
           matmul_few_rows(p) && (!p->u || tuning_choose(p->w->context, "path_term", &key) == TERM_FUSED);
}

static kernel_key layer_key(const decode_layer *d) {
    return (kernel_key){.dtype = d->qkv.w->dtype, .M = d->shape.B * d->shape.T, .N = d->gate_up.w->N, .K = d->qkv.w->K};
}

bool op_decode_layer_fits(const decode_layer *d) {
    clora_context *context = d->qkv.w->context;
    const kernel_key key = layer_key(d);
    forward_product p[PRODUCTS];

    if (context->recorder || tuning_choose(context, "path_layer", &key) != LAYER_TOGETHER ||
        !attention_by_rows(context, d->shape))
        return false;
    products_of(p, d);
    for (int i = 0; i < PRODUCTS; i++)
        if (!is_simple(&p[i], d->qkv.w->dtype))
            return false;
    return matmul_can_gate(&p[GATE_UP]);
}

static bool is_term(const decode_linear *l, size_t M) {
    return matmul_is_term(l->lr, l->u, l->w, M);
}

static clora_status check(const decode_layer *d) {
    const attention_shape s = d->shape;
    const size_t M = (size_t)s.B * (size_t)s.T;
    const int C = d->qkv.w->K, F = d->down.w->K, heads = s.H * s.D;

    if (!matmul_is_shape(d->y, M, C) || !matmul_is_shape(d->x, M, C) || !matmul_is_shape(d->mid, M, C) ||
        !matmul_is_shape(d->qkv_rows, M, d->qkv.w->N) || !matmul_is_shape(d->att, M, heads) ||
        !matmul_is_shape(d->act, M, F) || d->qkv.w->N != heads + 2 * s.G * s.D || d->out.w->N != C ||
        d->out.w->K != heads || d->gate_up.w->N != 2 * F || d->gate_up.w->K != C || d->down.w->N != C || s.G < 1 ||
        s.H % s.G != 0 || s.D % 2 != 0)
        return clora_fail(CLORA_ERROR_SHAPE, "decode_layer: x%s qkv%s att%s act%s for H %d G %d D %d",
                          tensor_shape_text(d->x), tensor_shape_text(d->qkv_rows), tensor_shape_text(d->att),
                          tensor_shape_text(d->act), s.H, s.G, s.D);
    if (!matmul_is_shape(d->cache, (size_t)s.B * (size_t)s.S, 2 * s.G * s.D) || clora_tensor_count(d->positions) != M ||
        clora_tensor_count(d->past) < (size_t)s.B || clora_tensor_count(d->first) < M || tensor_cols(d->table) != s.D ||
        clora_tensor_count(d->counters) < DECODE_COUNTERS)
        return clora_fail(CLORA_ERROR_SHAPE, "decode_layer: cache%s positions%s for B %d T %d S %d",
                          tensor_shape_text(d->cache), tensor_shape_text(d->positions), s.B, s.T, s.S);
    if (!is_term(&d->qkv, M) || !is_term(&d->out, M) || !is_term(&d->gate_up, M) || !is_term(&d->down, M))
        return clora_fail(CLORA_ERROR_SHAPE, "decode_layer: a low-rank term of another weight");
    return CLORA_OK;
}

/* Panels that a task of each product reads side by side, as tuned for the product's own kernel. */
static int streams_of(const forward_product *p) {
    clora_context *context = p->w->context;
    const kernel_key key = forward_key(p);
    const int most = tuning_value(context, "matvec_panel", "MOST_STREAMS", &key), each = p->gated ? 2 : 1;

    return matmul_panels_together(context, most, p, p->panels / each) * each;
}

/* The numbers of a launch; kernels/decode_layer.cl has the same two. */
typedef struct linear_numbers {
    cl_ulong w, bias, columns, u, a, scales, b, table; /* offsets of tensors */
    cl_int N, K, R, panels;
} linear_numbers;

typedef struct layer_numbers {
    linear_numbers qkv, out, gate_up, down;
    cl_ulong y, x, qkv_rows, att, mid, act, norm_attention, norm_mlp, cache, positions, table, past, first, counters;
    cl_int B, T, S, H, G, cache_stride;
    cl_float scale, eps;
} layer_numbers;

static cl_ulong offset_of(const clora_tensor *t) {
    return t ? t->offset : 0;
}

static linear_numbers numbers_of(const decode_linear *d) {
    const weight *w = d->w;
    const lowrank *lr = d->lr;
    linear_numbers n = {.w = offset_of(w->part[0].data),
                        .bias = offset_of(w->bias),
                        .columns = offset_of(w->columns),
                        .N = w->N,
                        .K = w->K,
                        .panels = w->panels};

    if (lr) {
        n.u = offset_of(d->u);
        n.a = offset_of(&lr->a);
        n.scales = offset_of(lr->scales);
        n.b = offset_of(&lr->b);
        n.table = offset_of(lr->table);
        n.R = lr->R;
    }
    return n;
}

static void launch_numbers(launch *l, const decode_layer *d) {
    const attention_shape s = d->shape;
    const layer_numbers n = {.qkv = numbers_of(&d->qkv),
                             .out = numbers_of(&d->out),
                             .gate_up = numbers_of(&d->gate_up),
                             .down = numbers_of(&d->down),
                             .y = offset_of(d->y),
                             .x = offset_of(d->x),
                             .qkv_rows = offset_of(d->qkv_rows),
                             .att = offset_of(d->att),
                             .mid = offset_of(d->mid),
                             .act = offset_of(d->act),
                             .norm_attention = offset_of(d->norm_attention),
                             .norm_mlp = offset_of(d->norm_mlp),
                             .cache = offset_of(d->cache),
                             .positions = offset_of(d->positions),
                             .table = offset_of(d->table),
                             .past = offset_of(d->past),
                             .first = offset_of(d->first),
                             .counters = offset_of(d->counters),
                             .B = s.B,
                             .T = s.T,
                             .S = s.S,
                             .H = s.H,
                             .G = s.G,
                             .cache_stride = d->cache->stride,
                             .scale = 1.0f / sqrtf((float)s.D),
                             .eps = d->eps};

    launch_structure(l, sizeof(n), &n);
}

static bool has_term(const decode_layer *d) {
    return d->qkv.lr || d->out.lr || d->gate_up.lr || d->down.lr;
}

static void launch_linear(launch *l, const decode_linear *d, bool with_term) {
    const lowrank *lr = d->lr;

    launch_buffer(l, d->w->part[0].data);
    launch_buffer(l, d->w->bias);
    launch_buffer(l, d->w->columns);
    if (!with_term)
        return;
    launch_buffer(l, d->u);
    launch_buffer(l, lr ? &lr->a : NULL);
    launch_buffer(l, lr ? lr->scales : NULL);
    launch_buffer(l, lr ? &lr->b : NULL);
    launch_buffer(l, lr ? lr->table : NULL);
}

static void launch_buffers(launch *l, const decode_layer *d) {
    const bool with_term = has_term(d);

    launch_linear(l, &d->qkv, with_term);
    launch_linear(l, &d->out, with_term);
    launch_linear(l, &d->gate_up, with_term);
    launch_linear(l, &d->down, with_term);
    launch_buffer(l, d->y);
    launch_buffer(l, d->x);
    launch_buffer(l, d->qkv_rows);
    launch_buffer(l, d->att);
    launch_buffer(l, d->mid);
    launch_buffer(l, d->act);
    launch_buffer(l, d->norm_attention);
    launch_buffer(l, d->norm_mlp);
    launch_buffer(l, d->cache);
    launch_buffer(l, d->positions);
    launch_buffer(l, d->table);
    launch_buffer(l, d->past);
    launch_buffer(l, d->first);
    launch_buffer(l, d->counters);
}

/* What the program is made for; parameters are those of the kernels that each part has of its own. */
typedef struct layer_build {
    int streams[PRODUCTS], heads, keys, columns, ahead;
} layer_build;

static layer_build build_of(const decode_layer *d) {
    clora_context *context = d->qkv.w->context;
    const kernel_key rows = attention_key(d->shape);
    layer_build b = {.heads = attention_heads_together(context, d->shape),
                     .keys = tuning_value(context, "attention_row", "BK", &rows),
                     .columns = tuning_value(context, "attention_row", "NC", &rows)};
    forward_product p[PRODUCTS];

    products_of(p, d);
    const kernel_key longest = forward_key(&p[GATE_UP]);
    b.ahead = tuning_value(context, "matvec_panel", "AHEAD", &longest);
    for (int i = 0; i < PRODUCTS; i++)
        b.streams[i] = streams_of(&p[i]);
    return b;
}

static void define(launch *l, const decode_layer *d, const layer_build *b) {
    enum { RANKS = 4 /* of a task: a matter of balance, each is a sum of its own */ };

    launch_define(l, "NR", weight_panel_width(l->context));
    launch_define(l, "STORAGE", (int)d->qkv.w->dtype);
    launch_define(l, "ROWS", d->shape.B * d->shape.T);
    launch_define(l, "DM", d->shape.B * d->shape.T);
    launch_define(l, "DR", RANKS);
    launch_define(l, "D", d->shape.D);
    launch_define(l, "HEADS", b->heads);
    launch_define(l, "BK", b->keys);
    launch_define(l, "NC", b->columns);
    launch_define(l, "AHEAD", b->ahead);
    launch_define(l, "WITH_TERM", has_term(d));
    launch_define(l, "QKV_STREAMS", b->streams[QKV]);
    launch_define(l, "OUT_STREAMS", b->streams[OUT]);
    launch_define(l, "GATE_UP_STREAMS", b->streams[GATE_UP]);
    launch_define(l, "DOWN_STREAMS", b->streams[DOWN]);
}

clora_status op_decode_layer(const decode_layer *d) {
    clora_context *context = d->qkv.w->context;
    const layer_build build = build_of(d);
    clora_status status = CLORA_OK;
    launch l;

    TRY(check(d));
    launch_begin(&l, context, "decode_layer", layer_key(d));
    define(&l, d, &build);
    launch_buffers(&l, d);
    launch_numbers(&l, d);
    TRY(launch_run(&l, context->info.compute_units, 1, 1, 1, 1, 1));
done:
    return status;
}
