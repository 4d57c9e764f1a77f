#include "ops/tape_note.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "ops/tape_private.h"

static int cores(const clora_context *context) {
    return context->info.compute_units > 0 ? (int)context->info.compute_units : 1;
}

/* ---- embedding ---- */

typedef struct embedding_call {
    const clora_tensor *y, *ids;
    const weight *w;
    int part;
    float scale;
} embedding_call;

static void fill_embedding(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const embedding_call *c = data;
    const weight *w = c->w;
    const weight_part *part = &w->part[c->part];
    const bool last = c->part + 1 == w->parts;
    const int columns = divide_up(w->K, cores(tape_context(t)));

    tape_need(l, &l->program.storage, (int)w->storage->id + 1);
    phase->kind = TAPE_EMBEDDING;
    phase->end = (int)tensor_rows(c->y) * divide_up(w->K, columns);
    phase->call.embedding = (tape_embedding){.y = tape_place_of(l, c->y),
                                             .ids = tape_place_of(l, c->ids),
                                             .w = tape_place_of(l, part->data),
                                             .y_stride = c->y->stride,
                                             .N = w->N,
                                             .K = w->K,
                                             .begin = part->panel * w->NR,
                                             .end = last ? w->N : (part->panel + part->panels) * w->NR,
                                             .columns = columns,
                                             .scale = c->scale};
}

bool tape_note_embedding(clora_tensor *y, const clora_tensor *ids, const weight *w, int part, float scale) {
    tape *t = tape_open();

    if (!t || w->layout != WEIGHT_PANEL)
        return false;
    tape_append(t, fill_embedding, &(embedding_call){y, ids, w, part, scale});
    return true;
}

/* ---- products ---- */

/* The look-ahead is that of the largest weight. */
static void need_ahead(tape_program *program, const forward_product *p, int ahead) {
    const size_t size = (size_t)p->N * (size_t)p->K;

    if (size <= program->longest)
        return;
    program->longest = size;
    program->ahead = ahead;
}

tape_place tape_columns(tape *t, tape_launch *l, const weight *w) {
    int32_t *columns = weight_list_columns(w);
    tape_place at = 0;

    if (columns)
        at = tape_constant(t, l, columns, 2 * (size_t)w->panels);
    l->full = l->full || !columns;
    free(columns);
    return at;
}

static tape_place table_of(tape *t, tape_launch *l, const lowrank *lr) {
    int32_t *table = lr ? lowrank_list_table(lr) : NULL;
    tape_place at = 0;

    if (table)
        at = tape_constant(t, l, table, 3 * (size_t)lr->base->panels);
    l->full = l->full || (lr && !table);
    free(table);
    return at;
}

/* Its u was made by the phase before: until W0 is read, only what that one waits for must be done. */
static int early_of(const tape *t, const tape_launch *l, const tape_phase *phase) {
    const tape_phase *before = tape_last(t, l);
    const bool follows = before && before->kind >= TAPE_DOWN && before->kind < TAPE_DOWN + TAPE_VARIANTS &&
                         phase->call.product.u && before->call.down.u == phase->call.product.u;

    return follows ? before->early : phase->early;
}

typedef struct product_call {
    const forward_product *p;
    const weight_part *part;
    int streams, ahead;
} product_call;

static void fill_product(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const product_call *c = data;
    const forward_product *p = c->p;
    const int each = p->gated ? 2 : 1, panels = (c->part ? c->part->panels : p->panels) / each;
    tape_program *program = &l->program;

    if (p->w)
        tape_need(l, &program->storage, (int)p->w->storage->id + 1);
    tape_need(l, &program->rows, matmul_program_rows(p->M));
    if (p->gated)
        tape_need(l, &program->gate, 1 + p->gelu);
    need_ahead(program, p, c->ahead);
    const int variant =
        tape_variant(l, program->product, &program->products, TAPE_PRODUCT_VARIANT(c->streams, p->gated));
    phase->kind = TAPE_PRODUCT + variant;
    phase->end = divide_up(panels, TAPE_STREAMS(program->product[variant]) / each);
    phase->call.product = (tape_product){.y = tape_place_of(l, p->y),
                                         .x = tape_place_of(l, p->x),
                                         .residual = tape_place_of(l, p->residual),
                                         .bias = tape_place_of(l, p->bias),
                                         .u = tape_place_of(l, p->u),
                                         .b = tape_place_of(l, p->b),
                                         .w = tape_place_of(l, c->part ? c->part->data : NULL),
                                         .columns = p->w ? tape_columns(t, l, p->w) : 0,
                                         .table = table_of(t, l, p->lr),
                                         .y_stride = p->y->stride,
                                         .x_stride = p->x ? p->x->stride : 0,
                                         .residual_stride = p->residual ? p->residual->stride : 0,
                                         .u_stride = p->u ? p->u->stride : 0,
                                         .M = p->M,
                                         .N = p->N,
                                         .K = p->K,
                                         .R = p->R,
                                         .first = c->part ? c->part->panel : 0,
                                         .panels = panels};
    phase->early = early_of(t, l, phase);
}

bool tape_note_product(const forward_product *p, const weight_part *part, int streams, int ahead) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_product, &(product_call){p, part, streams, ahead});
    return true;
}

/* ---- u of a low-rank term ---- */

/* Ranks of u in a task: a share for each core, as far as their sums stay in registers. Each is a sum of its own. */
static int ranks_together(const clora_context *context, int M, int R) {
    const int sums = 2 * matmul_gemv_sums(context), most = M < sums ? sums / M : 1;
    const int share = divide_up(R, cores(context));

    return divide_up(share, divide_up(share, most));
}

static tape_place scales_of(tape *t, tape_launch *l, const lowrank *lr, int R) {
    float *scales = lr ? lowrank_list_scales(lr) : alloc_array((size_t)R, sizeof(*scales));
    tape_place at = 0;

    for (int r = 0; !lr && scales && r < R; r++)
        scales[r] = 1.0f;
    if (scales)
        at = tape_constant(t, l, (const int32_t *)scales, (size_t)R);
    l->full = l->full || !scales;
    free(scales);
    return at;
}

typedef struct down_call {
    const clora_tensor *u, *x, *a;
    const lowrank *lr;
} down_call;

static void fill_down(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const down_call *c = data;
    const int M = (int)tensor_rows(c->x), R = tensor_cols(c->u), ranks = ranks_together(tape_context(t), M, R);
    tape_program *program = &l->program;

    tape_need(l, &program->rows, matmul_program_rows(M));
    const int variant = tape_variant(l, program->down, &program->downs, TAPE_DOWN_VARIANT(ranks));
    phase->kind = TAPE_DOWN + variant;
    phase->end = divide_up(R, TAPE_RANKS(program->down[variant]));
    phase->call.down = (tape_down){.u = tape_place_of(l, c->u),
                                   .x = tape_place_of(l, c->x),
                                   .a = tape_place_of(l, c->a),
                                   .scales = scales_of(t, l, c->lr, R),
                                   .u_stride = c->u->stride,
                                   .x_stride = c->x->stride,
                                   .M = M,
                                   .K = tensor_cols(c->x),
                                   .R = R};
}

bool tape_note_down(clora_tensor *u, const clora_tensor *x, const clora_tensor *a, const lowrank *lr) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_down, &(down_call){u, x, a, lr});
    return true;
}

/* ---- rows ---- */

typedef struct rmsnorm_call {
    const clora_tensor *y, *rstd, *x, *g;
    float eps;
    bool plus_one;
} rmsnorm_call;

static void fill_rmsnorm(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const rmsnorm_call *c = data;

    (void)t;
    tape_need(l, &l->program.gain, 1 + c->plus_one);
    phase->kind = TAPE_RMSNORM;
    phase->end = (int)tensor_rows(c->x);
    phase->call.rmsnorm = (tape_rmsnorm){.y = tape_place_of(l, c->y),
                                         .x = tape_place_of(l, c->x),
                                         .gain = tape_place_of(l, c->g),
                                         .rstd = tape_place_of(l, c->rstd),
                                         .y_stride = c->y->stride,
                                         .x_stride = c->x->stride,
                                         .C = (int)clora_tensor_count(c->g),
                                         .parts = tensor_cols(c->x) / (int)clora_tensor_count(c->g),
                                         .eps = c->eps};
}

bool tape_note_rmsnorm(clora_tensor *y, clora_tensor *rstd, const clora_tensor *x, const clora_tensor *g, float eps,
                       bool plus_one) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_rmsnorm, &(rmsnorm_call){y, rstd, x, g, eps, plus_one});
    return true;
}

typedef struct layernorm_call {
    const clora_tensor *y, *moments, *x, *g, *b;
    float eps;
} layernorm_call;

static void fill_layernorm(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const layernorm_call *c = data;

    (void)t;
    phase->kind = TAPE_LAYERNORM;
    phase->end = (int)tensor_rows(c->x);
    phase->call.layernorm = (tape_layernorm){.y = tape_place_of(l, c->y),
                                             .x = tape_place_of(l, c->x),
                                             .gain = tape_place_of(l, c->g),
                                             .bias = tape_place_of(l, c->b),
                                             .moments = tape_place_of(l, c->moments),
                                             .y_stride = c->y->stride,
                                             .x_stride = c->x->stride,
                                             .C = tensor_cols(c->x),
                                             .eps = c->eps};
}

bool tape_note_layernorm(clora_tensor *y, clora_tensor *moments, const clora_tensor *x, const clora_tensor *g,
                         const clora_tensor *b, float eps) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_layernorm, &(layernorm_call){y, moments, x, g, b, eps});
    return true;
}

typedef struct gelu_call {
    const clora_tensor *y, *x;
} gelu_call;

static void fill_gelu(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const gelu_call *c = data;
    const int F = tensor_cols(c->x), columns = divide_up(F, cores(tape_context(t)));

    phase->kind = TAPE_GELU;
    phase->end = (int)tensor_rows(c->x) * divide_up(F, columns);
    phase->call.gelu = (tape_gelu){.y = tape_place_of(l, c->y),
                                   .x = tape_place_of(l, c->x),
                                   .y_stride = c->y->stride,
                                   .x_stride = c->x->stride,
                                   .F = F,
                                   .columns = columns};
}

bool tape_note_gelu(clora_tensor *y, const clora_tensor *x) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_gelu, &(gelu_call){y, x});
    return true;
}

typedef struct swiglu_call {
    const clora_tensor *y, *gu;
    bool gelu;
} swiglu_call;

/* A core's share of a row, in whole vectors of any width. */
static void fill_swiglu(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    enum { VECTOR = 16 };
    const swiglu_call *c = data;
    const int F = tensor_cols(c->y), columns = divide_up(divide_up(F, cores(tape_context(t))), VECTOR) * VECTOR;

    tape_need(l, &l->program.gate, 1 + c->gelu);
    phase->kind = TAPE_SWIGLU;
    phase->end = (int)tensor_rows(c->y) * divide_up(F, columns);
    phase->call.swiglu = (tape_swiglu){.y = tape_place_of(l, c->y),
                                       .gu = tape_place_of(l, c->gu),
                                       .y_stride = c->y->stride,
                                       .gu_stride = c->gu->stride,
                                       .F = F,
                                       .columns = columns};
}

bool tape_note_swiglu(clora_tensor *y, const clora_tensor *gu, bool gelu) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_swiglu, &(swiglu_call){y, gu, gelu});
    return true;
}

typedef struct positions_call {
    const clora_tensor *x, *table, *positions;
    int first;
} positions_call;

static void fill_positions(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const positions_call *c = data;

    (void)t;
    phase->kind = TAPE_POSITIONS;
    phase->end = (int)tensor_rows(c->x);
    phase->call.positions = (tape_positions){.x = tape_place_of(l, c->x),
                                             .table = tape_place_of(l, c->table),
                                             .positions = tape_place_of(l, c->positions),
                                             .x_stride = c->x->stride,
                                             .table_stride = c->table->stride,
                                             .first = c->first,
                                             .P = (int)tensor_rows(c->table),
                                             .C = tensor_cols(c->x)};
}

bool tape_note_add_positions(clora_tensor *x, const clora_tensor *table, const clora_tensor *positions, int first) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_positions, &(positions_call){x, table, positions, first});
    return true;
}

typedef struct activate_call {
    const clora_tensor *a, *z;
    const bottleneck *b;
} activate_call;

static void fill_activate(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const activate_call *c = data;

    (void)t;
    phase->kind = TAPE_ACTIVATE;
    phase->end = (int)tensor_rows(c->z);
    phase->call.activate = (tape_activate){.a = tape_place_of(l, c->a),
                                           .z = tape_place_of(l, c->z),
                                           .bias = tape_place_of(l, &c->b->values.bias),
                                           .a_stride = c->a->stride,
                                           .z_stride = c->z->stride,
                                           .R = c->b->R,
                                           .swish = c->b->swish};
}

bool tape_note_activate(clora_tensor *a, const clora_tensor *z, const bottleneck *b) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_activate, &(activate_call){a, z, b});
    return true;
}

typedef struct add_call {
    const clora_tensor *y, *x;
} add_call;

static void fill_add(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const add_call *c = data;

    (void)t;
    phase->kind = TAPE_ADD;
    phase->end = (int)tensor_rows(c->x);
    phase->call.add = (tape_add){.y = tape_place_of(l, c->y),
                                 .x = tape_place_of(l, c->x),
                                 .y_stride = c->y->stride,
                                 .x_stride = c->x->stride,
                                 .C = tensor_cols(c->x)};
}

bool tape_note_add(clora_tensor *y, const clora_tensor *x) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_add, &(add_call){y, x});
    return true;
}

typedef struct scale_call {
    const clora_tensor *x;
    float factor;
} scale_call;

static void fill_scale(tape *t, tape_launch *l, tape_phase *phase, const void *data) {
    const scale_call *c = data;

    (void)t;
    phase->kind = TAPE_SCALE;
    phase->end = (int)tensor_rows(c->x);
    phase->call.scale = (tape_scale){
        .x = tape_place_of(l, c->x), .x_stride = c->x->stride, .C = tensor_cols(c->x), .factor = c->factor};
}

bool tape_note_scale(clora_tensor *x, float factor) {
    tape *t = tape_open();

    if (!t)
        return false;
    tape_append(t, fill_scale, &(scale_call){x, factor});
    return true;
}
