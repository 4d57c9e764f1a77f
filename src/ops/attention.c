#include <math.h>

#include "ops/attention.h"
#include "ops/tape_note.h"

static bool is_matrix(const clora_tensor *t, size_t rows, int cols) {
    return tensor_rows(t) == rows && tensor_cols(t) == cols;
}

static bool is_list(const clora_tensor *t, size_t n) {
    return clora_tensor_count(t) >= n && tensor_is_dense(t);
}

void launch_pages(launch *l, attention_shape s, const clora_tensor *any) {
    const page_arguments pages = attention_pages(s);

    launch_tensor(l, s.pages ? s.pages : any);
    launch_int(l, pages.count);
    launch_int(l, pages.bits);
}

bool attention_has_rows(const clora_tensor *kv, attention_shape s) {
    if (!s.pages)
        return tensor_rows(kv) == (size_t)s.B * (size_t)s.S;
    return s.page > 0 && (s.page & (s.page - 1)) == 0 && tensor_rows(kv) % (size_t)s.page == 0 &&
           tensor_rows(s.pages) == (size_t)s.B && s.pages->dtype == CLORA_DTYPE_I32 && tensor_is_dense(s.pages);
}

static clora_status check(const char *op, const clora_tensor *y, const clora_tensor *q, const clora_tensor *k,
                          const clora_tensor *v, const clora_tensor *past, const clora_tensor *first,
                          attention_shape s) {
    const size_t M = (size_t)s.B * (size_t)s.T;

    if (s.G < 1 || s.H % s.G != 0 || !is_matrix(y, M, s.H * s.D) || !is_matrix(q, M, s.H * s.D) ||
        !attention_has_rows(k, s) || tensor_cols(k) != s.G * s.D || !attention_has_rows(v, s) ||
        tensor_cols(v) != s.G * s.D)
        return clora_fail(CLORA_ERROR_SHAPE, "%s: y%s q%s k%s v%s for B %d T %d S %d H %d G %d D %d", op,
                          tensor_shape_text(y), tensor_shape_text(q), tensor_shape_text(k), tensor_shape_text(v), s.B,
                          s.T, s.S, s.H, s.G, s.D);
    if (!is_list(past, (size_t)s.B) || !is_list(first, s.partial ? 2 * M : M) || s.prefix < 0 || s.prefix >= s.S)
        return clora_fail(CLORA_ERROR_SHAPE, "%s: past%s first%s for B %d T %d, prefix %d of S %d", op,
                          tensor_shape_text(past), tensor_shape_text(first), s.B, s.T, s.prefix, s.S);
    return CLORA_OK;
}

/* Queries a sequence, keys (in buckets, for they grow), head size, queries that share a key. */
static kernel_key key_of(attention_shape s) {
    return (kernel_key){.M = s.T, .keys = tuning_bucket(s.S), .head_dim = s.D, .heads = s.H / s.G};
}

/* The kernels of attention_backward.cl, by its PASS. */
typedef enum pass { DELTA, QUERY_GRADIENT, KEY_GRADIENT } pass;

/* Set the head size and the lanes of a group, as many as leave room in local memory for `tiles` of D, `blocks` of BK,
 * and `more` rows: WG work-items of a lane each, or NV vectors of one item. Returns the lanes. */
static size_t define_lanes(launch *l, int *group, int D, int tiles, int blocks, int more) {
    const size_t rows = (size_t)tiles * (size_t)D + (size_t)blocks * (size_t)launch_parameter(l, "BK") + (size_t)more;
    const int width = launch_parameter(l, "VW");
    int vectors = launch_parameter(l, "VECTORS");

    *group = launch_parameter(l, "ITEMS");
    while (*group > 1 && rows * (size_t)*group * sizeof(float) > l->context->info.local_memory)
        *group /= 2;
    while (vectors > 1 && rows * (size_t)(vectors * width) * sizeof(float) > l->context->info.local_memory)
        vectors--;
    launch_define(l, "D", D);
    launch_define(l, "WG", *group);
    launch_define(l, "NV", vectors);
    return (size_t)(*group * vectors * width);
}

/* What most models do not have is not defined for them. */
static void define_variant(launch *l, attention_shape s) {
    if (s.partial)
        launch_define(l, "PARTIAL", true);
    if (s.cap > 0.0f)
        launch_define(l, "CAPPED", true);
}

int attention_lanes(clora_context *context, attention_shape s) {
    const kernel_key key = key_of(s);

    return tuning_value(context, "attention", "VECTORS", &key) * tuning_value(context, "attention", "VW", &key) *
           tuning_value(context, "attention", "ITEMS", &key);
}

bool attention_by_rows(clora_context *context, attention_shape s) {
    const size_t rows = (size_t)s.T * (size_t)(s.H / s.G);

    return s.prefix == 0 && !s.forked && !s.partial && rows * 2 <= (size_t)attention_lanes(context, s);
}

/* A group for each block of lanes among n, each key/value head, each sequence. */
static clora_status run(launch *l, size_t n, size_t lanes, int group, attention_shape s) {
    return launch_run(l, divide_up_size(n, lanes) * (size_t)group, (size_t)s.G, (size_t)s.B, (size_t)group, 1, 1);
}

static void launch_shape(launch *l, attention_shape s) {
    launch_int(l, s.T);
    launch_int(l, s.S);
    launch_int(l, s.H);
    launch_int(l, s.G);
    launch_float(l, attention_scale(s));
    launch_float(l, s.cap);
}

static void launch_forward(launch *l, clora_tensor *y, clora_tensor *lse, const clora_tensor *q, const clora_tensor *k,
                           const clora_tensor *v, const clora_tensor *past, const clora_tensor *first,
                           attention_shape s) {
    launch_matrix(l, y);
    launch_tensor(l, lse ? lse : y);
    launch_matrix(l, q);
    launch_matrix(l, k);
    launch_matrix(l, v);
    launch_tensor(l, past);
    launch_tensor(l, first);
    launch_shape(l, s);
    launch_pages(l, s, past);
}

/* Heads that a work-group makes from one reading of their keys: as many as leave four groups for each compute unit. */
static int heads_together(const clora_context *context, attention_shape s) {
    const size_t rows = (size_t)s.B * (size_t)s.T * (size_t)s.H, least = 4 * (size_t)context->info.compute_units;
    int heads = s.H / s.G;

    while (heads > 1 && (s.H / s.G % heads != 0 || rows / (size_t)heads < least))
        heads--;
    return heads;
}

static attention_blocks blocks_of(clora_context *context, attention_shape s) {
    const kernel_key key = key_of(s);

    return (attention_blocks){heads_together(context, s), tuning_value(context, "attention_row", "BK", &key),
                              tuning_value(context, "attention_row", "NC", &key)};
}

/* A group for each row of some heads. */
static clora_status attention_rows(clora_tensor *y, clora_tensor *lse, const clora_tensor *q, const clora_tensor *k,
                                   const clora_tensor *v, const clora_tensor *past, const clora_tensor *first,
                                   attention_shape s) {
    const int heads = heads_together(y->context, s);
    launch l;

    if (tape_note_attention(y, lse, q, k, v, past, first, s, blocks_of(y->context, s)))
        return CLORA_OK;
    do {
        launch_begin(&l, y->context, "attention_row", key_of(s));
        launch_define(&l, "D", s.D);
        launch_define(&l, "HEADS", heads);
        define_variant(&l, s);
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_forward(&l, y, lse, q, k, v, past, first, s);
    launch_int(&l, lse != NULL);
    return launch_run(&l, (size_t)(s.H / heads) * group, (size_t)s.T, (size_t)s.B, group, 1, 1);
}

clora_status op_attention(clora_tensor *y, clora_tensor *lse, const clora_tensor *q, const clora_tensor *k,
                          const clora_tensor *v, const clora_tensor *past, const clora_tensor *first,
                          const clora_tensor *last, attention_shape s) {
    const clora_status status = check("attention", y, q, k, v, past, first, s);
    size_t lanes;
    int group;
    launch l;

    if (status != CLORA_OK)
        return status;
    if (lse && (!is_matrix(lse, (size_t)s.B * (size_t)s.T, s.H) || !tensor_is_dense(lse)))
        return clora_fail(CLORA_ERROR_SHAPE, "attention: lse%s for B %d T %d H %d", tensor_shape_text(lse), s.B, s.T,
                          s.H);
    if (s.forked && !is_list(last, (size_t)s.B * (size_t)(s.S - s.prefix)))
        return clora_fail(CLORA_ERROR_SHAPE, "attention: last%s for B %d S %d prefix %d", tensor_shape_text(last), s.B,
                          s.S, s.prefix);
    if (attention_by_rows(y->context, s))
        return attention_rows(y, lse, q, k, v, past, first, s);
    do {
        launch_begin(&l, y->context, "attention", key_of(s));
        lanes = define_lanes(&l, &group, s.D, 2, 1, launch_parameter(&l, "MR"));
        launch_define(&l, "FORKED", s.forked);
        define_variant(&l, s);
    } while (launch_again(&l));
    launch_forward(&l, y, lse, q, k, v, past, first, s);
    launch_tensor(&l, s.forked ? last : first);
    launch_int(&l, s.prefix);
    launch_int(&l, lse != NULL);
    return run(&l, (size_t)s.T * (size_t)(s.H / s.G), lanes, group, s);
}

/* ---- backward ---- */

/* What the kernels of the backward pass read. */
typedef struct gradient_inputs {
    const clora_tensor *dy, *q, *k, *v, *lse, *past, *first, *last, *delta;
} gradient_inputs;

static void launch_inputs(launch *l, const gradient_inputs *in) {
    launch_tensor(l, in->delta);
    launch_matrix(l, in->dy);
    launch_matrix(l, in->q);
    launch_matrix(l, in->k);
    launch_matrix(l, in->v);
    launch_tensor(l, in->lse);
    launch_tensor(l, in->past);
    launch_tensor(l, in->first);
}

static clora_status run_delta(clora_tensor *delta, const clora_tensor *dy, const clora_tensor *y, attention_shape s) {
    const size_t M = (size_t)s.B * (size_t)s.T;
    launch l;

    do {
        launch_begin(&l, delta->context, "attention_delta", key_of(s));
        launch_define(&l, "PASS", DELTA);
        launch_define(&l, "D", s.D);
    } while (launch_again(&l));
    const size_t group = (size_t)launch_parameter(&l, "WG");
    launch_tensor(&l, delta);
    launch_matrix(&l, dy);
    launch_matrix(&l, y);
    launch_int(&l, s.H);
    return launch_run(&l, M * group, 1, 1, group, 1, 1);
}

static clora_status run_dq(clora_tensor *dq, const gradient_inputs *in, attention_shape s) {
    size_t lanes;
    int group;
    launch l;

    do {
        launch_begin(&l, dq->context, "attention_dq", key_of(s));
        lanes = define_lanes(&l, &group, s.D, 3, 2, 0);
        launch_define(&l, "PASS", QUERY_GRADIENT);
        launch_define(&l, "FORKED", s.forked);
        define_variant(&l, s);
    } while (launch_again(&l));
    launch_matrix(&l, dq);
    launch_inputs(&l, in);
    launch_shape(&l, s);
    launch_tensor(&l, in->last);
    launch_int(&l, s.prefix);
    return run(&l, (size_t)s.T * (size_t)(s.H / s.G), lanes, group, s);
}

/* Parts of the keys that may each have a dq of their own. */
enum { MOST_PARTS = 4 };

int op_attention_parts(const clora_context *context) {
    return kernel_explicit_vectors(context) ? MOST_PARTS - 1 : 0;
}

/*
 * In how many parts the blocks of keys are dealt out, so that every core has some groups to make: the fewest, for each
 * part but the first has a dq of its own. 0: not even the most parts are a group for each core, or there are no
 * explicit vectors; then dq has a kernel of its own.
 */
static int parts_of(const clora_context *context, attention_shape s, int blocks) {
    const int units = (int)context->info.compute_units, groups = s.B * s.G;
    int parts = 1;

    if (!kernel_explicit_vectors(context))
        return 0;
    while (parts < MOST_PARTS && parts < blocks && parts * groups < 3 * units)
        parts++;
    return parts * groups < units ? 0 : parts;
}

static clora_status run_backward(clora_tensor *dq, clora_tensor *parts, clora_tensor *dk, clora_tensor *dv,
                                 const gradient_inputs *in, attention_shape s) {
    const size_t size = (size_t)s.B * (size_t)s.T * (size_t)(s.H * s.D);
    clora_status status = CLORA_OK;
    int group, blocks, count;
    launch l;

    do {
        launch_begin(&l, dk->context, "attention_backward", key_of(s));
        const int lanes = (int)define_lanes(&l, &group, s.D, 5, 2, 0);
        blocks = divide_up(s.S, lanes);
        count = parts_of(dk->context, s, blocks);
        launch_define(&l, "PASS", KEY_GRADIENT);
        launch_define(&l, "WITH_DQ", count > 0);
        define_variant(&l, s);
    } while (launch_again(&l));
    if (l.status == CLORA_OK && count > 1 && !is_list(parts, (size_t)(count - 1) * size))
        l.status = clora_fail(CLORA_ERROR_SHAPE, "attention_backward: parts%s for %d parts of dq%s",
                              tensor_shape_text(parts), count, tensor_shape_text(dq));
    launch_matrix(&l, dq);
    launch_tensor(&l, parts && parts->buffer ? parts : dq);
    launch_matrix(&l, dk);
    launch_matrix(&l, dv);
    launch_inputs(&l, in);
    launch_tensor(&l, in->last);
    launch_shape(&l, s);
    launch_int(&l, s.prefix);
    TRY(run(&l, count > 0 ? (size_t)count : (size_t)blocks, 1, group, s));
    for (int p = 1; p < count; p++) {
        const clora_tensor part = tensor_slice(parts, (size_t)(p - 1) * size, s.B * s.T, s.H * s.D);
        TRY(op_add(dq, &part));
    }
    if (count == 0)
        TRY(run_dq(dq, in, s));
done:
    return status;
}

clora_status op_attention_backward(clora_tensor *dq, clora_tensor *dk, clora_tensor *dv, clora_tensor *delta,
                                   clora_tensor *parts, const clora_tensor *dy, const clora_tensor *y,
                                   const clora_tensor *q, const clora_tensor *k, const clora_tensor *v,
                                   const clora_tensor *lse, const clora_tensor *past, const clora_tensor *first,
                                   const clora_tensor *last, attention_shape s) {
    const gradient_inputs in = {dy, q, k, v, lse, past, first, last, delta};
    const size_t M = (size_t)s.B * (size_t)s.T;
    clora_status status = CLORA_OK;

    TRY(check("attention_backward", y, q, k, v, past, first, s));
    TRY(check("attention_backward (gradients)", dy, dq, dk, dv, past, first, s));
    if (!is_matrix(lse, M, s.H) || !is_matrix(delta, M, s.H) || !tensor_is_dense(lse) || !tensor_is_dense(delta) ||
        !is_list(last, (size_t)s.B * (size_t)(s.S - s.prefix)) || s.pages)
        TRY(clora_fail(CLORA_ERROR_SHAPE, "attention_backward: lse%s delta%s last%s for B %d T %d S %d H %d prefix %d",
                       tensor_shape_text(lse), tensor_shape_text(delta), tensor_shape_text(last), s.B, s.T, s.S, s.H,
                       s.prefix));
    TRY(run_delta(delta, dy, y, s));
    TRY(run_backward(dq, parts, dk, dv, &in, s));
done:
    return status;
}
