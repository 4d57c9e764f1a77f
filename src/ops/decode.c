#include <math.h>

#include "ops/attention.h"
#include "ops/matmul.h"

/* The four products of a layer, as their own launches would make them. */
enum { QKV, OUT, GATE_UP, DOWN, PRODUCTS };

/* A work-group for each core. */
static int groups(const clora_context *context) {
    return context->info.compute_units > 0 ? (int)context->info.compute_units : 1;
}

static forward_product product_of(const decode_linear *l, clora_tensor *y, const clora_tensor *x,
                                  const clora_tensor *residual) {
    return matmul_product(y, x, l->w, residual, l->lr, l->lr ? &l->u : NULL);
}

static void products_of(forward_product *p, const decode_layer *d) {
    p[QKV] = product_of(&d->qkv, d->qkv_rows, d->x, NULL);
    p[OUT] = product_of(&d->out, d->mid, d->att, d->x);
    p[GATE_UP] = product_of(&d->gate_up, d->act, d->mid, NULL);
    p[DOWN] = product_of(&d->down, d->x, d->act, d->mid);
    p[GATE_UP].gated = true;
}

/* One part, panels of the first product's type, few rows, the term in the product. */
static bool is_simple(const forward_product *p, const storage *type) {
    const kernel_key key = forward_key(p);

    return p->w->layout == WEIGHT_PANEL && p->w->parts == 1 && p->w->storage == type && matmul_few_rows(p) &&
           (!p->u || tuning_choose(p->w->context, "path_term", &key) == TERM_FUSED);
}

static kernel_key layer_key(const decode_layer *d) {
    return (kernel_key){
        .dtype = d->qkv.w->storage->id, .M = d->shape.B * d->shape.T, .N = d->gate_up.w->N, .K = d->qkv.w->K};
}

/* Is one launch the way for this layer? */
static bool fits(const decode_layer *d) {
    clora_context *context = d->qkv.w->context;
    const kernel_key key = layer_key(d);
    forward_product p[PRODUCTS];

    if (context->recorder || !kernel_runs_layers(context) ||
        tuning_choose(context, "path_layer", &key) != LAYER_TOGETHER || !attention_by_rows(context, d->shape))
        return false;
    products_of(p, d);
    for (int i = 0; i < PRODUCTS; i++)
        if (!is_simple(&p[i], d->qkv.w->storage))
            return false;
    return matmul_can_gate(&p[GATE_UP]);
}

static bool is_term(const decode_linear *l, size_t M) {
    return matmul_is_term(l->lr, l->lr ? &l->u : NULL, l->w, M);
}

static bool is_dense(const decode_layer *d) {
    return tensor_is_dense(d->x) && tensor_is_dense(d->qkv_rows) && tensor_is_dense(d->att) &&
           tensor_is_dense(d->mid) && tensor_is_dense(d->normed) && tensor_is_dense(d->act) &&
           tensor_is_dense(d->table);
}

static clora_status check(const decode_layer *d) {
    const attention_shape s = d->shape;
    const size_t M = (size_t)s.B * (size_t)s.T;
    const int C = d->qkv.w->K, F = d->down.w->K, heads = s.H * s.D;

    if (!matmul_is_shape(d->x, M, C) || !matmul_is_shape(d->mid, M, C) || !matmul_is_shape(d->normed, M, C) ||
        !matmul_is_shape(d->qkv_rows, M, d->qkv.w->N) || !matmul_is_shape(d->att, M, heads) ||
        !matmul_is_shape(d->act, M, F) || d->qkv.w->N != heads + 2 * s.G * s.D || d->out.w->N != C ||
        d->out.w->K != heads || d->gate_up.w->N != 2 * F || d->gate_up.w->K != C || d->down.w->N != C || s.G < 1 ||
        s.H % s.G != 0 || s.D % 2 != 0 || clora_tensor_count(d->norm_attention) != (size_t)C ||
        clora_tensor_count(d->norm_mlp) != (size_t)C || !is_dense(d))
        return clora_fail(CLORA_ERROR_SHAPE, "decode_layers: x%s qkv%s att%s act%s for H %d G %d D %d",
                          tensor_shape_text(d->x), tensor_shape_text(d->qkv_rows), tensor_shape_text(d->att),
                          tensor_shape_text(d->act), s.H, s.G, s.D);
    if (!matmul_is_shape(&d->cache, (size_t)s.B * (size_t)s.S, 2 * s.G * s.D) ||
        clora_tensor_count(d->positions) != M || clora_tensor_count(d->past) < (size_t)s.B ||
        clora_tensor_count(d->first) < M || tensor_cols(d->table) != s.D ||
        clora_tensor_count(d->counters) < DECODE_COUNTERS)
        return clora_fail(CLORA_ERROR_SHAPE, "decode_layers: cache%s positions%s for B %d T %d S %d",
                          tensor_shape_text(&d->cache), tensor_shape_text(d->positions), s.B, s.T, s.S);
    if (!is_term(&d->qkv, M) || !is_term(&d->out, M) || !is_term(&d->gate_up, M) || !is_term(&d->down, M))
        return clora_fail(CLORA_ERROR_SHAPE, "decode_layers: a low-rank term of another weight");
    return CLORA_OK;
}

/* Panels that a task of each product reads side by side, as tuned for the product's own kernel. */
static int streams_of(const forward_product *p) {
    clora_context *context = p->w->context;
    const kernel_key key = forward_key(p);
    const int most = tuning_value(context, "matvec_panel", "MOST_STREAMS", &key), each = p->gated ? 2 : 1;

    return matmul_panels_together(context, most, p, p->panels / each) * each;
}

/* The numbers of a launch; kernels/decode_layers.cl has the same two. */
typedef struct linear_numbers {
    cl_ulong w, bias, columns, u, a, scales, b, table; /* offsets of tensors */
    cl_ulong w_step, a_step, b_step;                   /* what they grow by from layer to layer */
    cl_int N, K, R, panels;
} linear_numbers;

typedef struct layer_numbers {
    linear_numbers qkv, out, gate_up, down;
    cl_ulong x, normed, qkv_rows, att, mid, act, norm_attention, norm_mlp, norm_step, cache, cache_step;
    cl_ulong positions, table, past, first, counters;
    cl_int layers, B, T, S, H, G, cache_stride;
    cl_float scale, eps;
} layer_numbers;

static cl_ulong offset_of(const clora_tensor *t) {
    return t ? t->offset : 0;
}

static cl_ulong step_of(const clora_tensor *a, const clora_tensor *b) {
    return offset_of(b) - offset_of(a);
}

/* From layer d to the one behind it, which may be d itself. */
static linear_numbers linear_numbers_of(const decode_linear *d, const decode_linear *next) {
    const weight *w = d->w;
    const lowrank *lr = d->lr;
    linear_numbers n = {.w = offset_of(w->part[0].data),
                        .w_step = step_of(w->part[0].data, next->w->part[0].data),
                        .bias = offset_of(w->bias),
                        .columns = offset_of(w->columns),
                        .N = w->N,
                        .K = w->K,
                        .panels = w->panels};

    if (lr) {
        n.u = offset_of(&d->u);
        n.a = offset_of(&lr->a);
        n.a_step = step_of(&lr->a, &next->lr->a);
        n.scales = offset_of(lr->scales);
        n.b = offset_of(&lr->b);
        n.b_step = step_of(&lr->b, &next->lr->b);
        n.table = offset_of(lr->table);
        n.R = lr->R;
    }
    return n;
}

static layer_numbers numbers_of(const decode_layer *d, const decode_layer *next, int layers) {
    const attention_shape s = d->shape;

    return (layer_numbers){.qkv = linear_numbers_of(&d->qkv, &next->qkv),
                           .out = linear_numbers_of(&d->out, &next->out),
                           .gate_up = linear_numbers_of(&d->gate_up, &next->gate_up),
                           .down = linear_numbers_of(&d->down, &next->down),
                           .x = offset_of(d->x),
                           .normed = offset_of(d->normed),
                           .qkv_rows = offset_of(d->qkv_rows),
                           .att = offset_of(d->att),
                           .mid = offset_of(d->mid),
                           .act = offset_of(d->act),
                           .norm_attention = offset_of(d->norm_attention),
                           .norm_mlp = offset_of(d->norm_mlp),
                           .norm_step = step_of(d->norm_attention, next->norm_attention),
                           .cache = offset_of(&d->cache),
                           .cache_step = step_of(&d->cache, &next->cache),
                           .positions = offset_of(d->positions),
                           .table = offset_of(d->table),
                           .past = offset_of(d->past),
                           .first = offset_of(d->first),
                           .counters = offset_of(d->counters),
                           .layers = layers,
                           .B = s.B,
                           .T = s.T,
                           .S = s.S,
                           .H = s.H,
                           .G = s.G,
                           .cache_stride = d->cache.stride,
                           .scale = 1.0f / sqrtf((float)s.D),
                           .eps = d->eps};
}

static bool shares(const clora_tensor *a, const clora_tensor *b) {
    return a->buffer == b->buffer;
}

/* Do the tables of one term hold for the other? */
static bool same_ranks(const lowrank *a, const lowrank *b) {
    for (int m = 0; m < a->modules; m++)
        if (a->module[m].R != b->module[m].R || a->module[m].scale != b->module[m].scale)
            return false;
    return a->modules == b->modules;
}

static bool alike(const decode_linear *a, const decode_linear *b) {
    const weight *v = a->w, *w = b->w;

    if (v->bias || w->bias || v->N != w->N || v->K != w->K || v->modules != w->modules || v->storage != w->storage ||
        !shares(v->part[0].data, w->part[0].data) || !a->lr != !b->lr)
        return false;
    for (int m = 0; m < v->modules; m++)
        if (v->module[m].N != w->module[m].N)
            return false;
    return !a->lr || (same_ranks(a->lr, b->lr) && shares(&a->lr->a, &b->lr->a) && shares(&a->lr->b, &b->lr->b) &&
                      shares(&a->u, &b->u) && a->u.offset == b->u.offset);
}

static bool same_steps(const linear_numbers *a, const linear_numbers *b) {
    return a->w_step == b->w_step && a->a_step == b->a_step && a->b_step == b->b_step;
}

/* Can one launch hold both: the same buffers, sizes and ranks? */
static bool layers_alike(const decode_layer *a, const decode_layer *b) {
    return alike(&a->qkv, &b->qkv) && alike(&a->out, &b->out) && alike(&a->gate_up, &b->gate_up) &&
           alike(&a->down, &b->down) && shares(a->norm_attention, b->norm_attention) &&
           shares(a->norm_mlp, b->norm_mlp) && shares(&a->cache, &b->cache) &&
           step_of(a->norm_attention, b->norm_attention) == step_of(a->norm_mlp, b->norm_mlp);
}

/* Is it as far from b to c as from a to b? */
static bool even_steps(const decode_layer *a, const decode_layer *b, const decode_layer *c) {
    const layer_numbers before = numbers_of(a, b, 1), after = numbers_of(b, c, 1);

    return same_steps(&before.qkv, &after.qkv) && same_steps(&before.out, &after.out) &&
           same_steps(&before.gate_up, &after.gate_up) && same_steps(&before.down, &after.down) &&
           before.norm_step == after.norm_step && before.cache_step == after.cache_step;
}

/* Layers from the first of n on that one launch makes. */
static int run_length(const decode_layer *d, int n) {
    int length = 1;

    while (length < n && layers_alike(&d[length - 1], &d[length]) &&
           (length == 1 || even_steps(&d[length - 2], &d[length - 1], &d[length])))
        length++;
    return length;
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
    launch_buffer(l, lr ? &d->u : NULL);
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
    launch_buffer(l, d->x);
    launch_buffer(l, d->normed);
    launch_buffer(l, d->qkv_rows);
    launch_buffer(l, d->att);
    launch_buffer(l, d->mid);
    launch_buffer(l, d->act);
    launch_buffer(l, d->norm_attention);
    launch_buffer(l, d->norm_mlp);
    launch_buffer(l, &d->cache);
    launch_buffer(l, d->positions);
    launch_buffer(l, d->table);
    launch_buffer(l, d->past);
    launch_buffer(l, d->first);
    launch_buffer(l, d->counters);
}

/* Ranks of u in a task: a share for each core, as far as their sums stay in registers. Each is a sum of its own. */
static int ranks_of(const forward_product *p) {
    const int cores = groups(p->w->context), R = p->u ? tensor_cols(p->u) : 1;
    const int sums = 2 * matmul_few_sums(p->w->context), most = p->M < sums ? sums / p->M : 1,
              share = (R + cores - 1) / cores, tasks = (share + most - 1) / most;

    return (share + tasks - 1) / tasks;
}

/* What the program is made for; parameters are those of the kernels that each part has of its own. */
typedef struct layer_build {
    int streams[PRODUCTS], ranks[PRODUCTS], heads, keys, columns, ahead;
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
    for (int i = 0; i < PRODUCTS; i++) {
        b.streams[i] = streams_of(&p[i]);
        b.ranks[i] = ranks_of(&p[i]);
    }
    return b;
}

static void define(launch *l, const decode_layer *d, const layer_build *b) {
    const int rows = matmul_program_rows(d->shape.B * d->shape.T);

    launch_define(l, "NR", kernel_panel_width(l->context));
    launch_define(l, "STORAGE", (int)d->qkv.w->storage->id);
    launch_define(l, "ROWS", rows);
    launch_define(l, "DM", rows);
    launch_define(l, "NORM_FIRST", rows > FEW_NORMED);
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
    if (!has_term(d))
        return;
    launch_define(l, "QKV_RANKS", b->ranks[QKV]);
    launch_define(l, "OUT_RANKS", b->ranks[OUT]);
    launch_define(l, "GATE_UP_RANKS", b->ranks[GATE_UP]);
    launch_define(l, "DOWN_RANKS", b->ranks[DOWN]);
}

static clora_status run_layers(const decode_layer *d, int layers) {
    clora_context *context = d->qkv.w->context;
    const layer_build build = build_of(d);
    const layer_numbers numbers = numbers_of(d, &d[layers > 1], layers);
    launch l;

    launch_begin(&l, context, "decode_layers", layer_key(d));
    define(&l, d, &build);
    launch_buffers(&l, d);
    launch_structure(&l, sizeof(numbers), &numbers);
    return launch_run(&l, (size_t)groups(context), 1, 1, 1, 1, 1);
}

bool op_decode_layers_fit(const decode_layer *d, int n) {
    for (int i = 0; i < n; i++)
        if (!fits(&d[i]))
            return false;
    return true;
}

clora_status op_decode_layers(const decode_layer *d, int n) {
    clora_status status = CLORA_OK;

    for (int i = 0; i < n; i++)
        TRY(check(&d[i]));
    for (int i = 0, length; i < n; i += length) {
        length = run_length(d + i, n - i);
        TRY(run_layers(d + i, length));
    }
done:
    return status;
}
