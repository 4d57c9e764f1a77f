#include "model/workspace.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "methods/dora.h"
#include "model/decoder.h"
#include "model/family.h"
#include "model/layer_types.h"
#include "model/workspace_rooms.h"

/* Logits of one chunk of rows stay below this; larger chunks reuse the head's panels better. */
static const size_t logits_limit = (size_t)64 << 20;
static const size_t lean_logits_limit = (size_t)22 << 20;

static clora_status add_rows(workspace *ws, clora_tensor *view, clora_dtype dtype, int cols) {
    clora_status status = CLORA_OK;

    TRY(alloc_grow((void **)&ws->rows, &ws->rows_capacity, ws->rows_count + 1, sizeof(*ws->rows)));
    TRY(arena_add(&ws->memory, view, dtype, ws->max_rows, cols));
    ws->rows[ws->rows_count++] = view;
done:
    return status;
}

static clora_status add_floats(workspace *ws, clora_tensor *view, int cols) {
    return add_rows(ws, view, CLORA_DTYPE_F32, cols);
}

/* One view of each layer, or of all. */
static clora_status plan_views(clora_tensor **out, workspace *ws, int count, int cols) {
    clora_status status = CLORA_OK;

    *out = alloc_array((size_t)count, sizeof(**out));
    if (!*out)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the workspace");
    for (int l = 0; l < count; l++)
        TRY(add_floats(ws, &(*out)[l], cols));
done:
    return status;
}

static clora_status plan_attention(workspace *ws, const model_config *c) {
    const int count = workspace_keeps_attention(ws) ? c->layers : 1;
    clora_status status = CLORA_OK;

    ws->attention = alloc_array((size_t)count, sizeof(*ws->attention));
    if (!ws->attention)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the workspace");
    for (attention_activations *a = ws->attention; a < ws->attention + count; a++) {
        TRY(add_floats(ws, &a->qkv, (c->heads + 2 * c->kv_heads) * c->head_dim));
        TRY(add_floats(ws, &a->lse, c->heads));
    }
done:
    return status;
}

int workspace_bottleneck_width(const clora_adapter *adapter, int kind, int first, int last) {
    int most = 0;

    for (int l = first; l <= last; l++) {
        const bottleneck *b = adapter_sublayer(adapter, l * SUBLAYERS + kind);
        const int width = b ? b->C + 2 * b->R + 1 : 0;
        most = width > most ? width : most;
    }
    return most;
}

/* Room for what follows layers `first` to `last`, which share it. */
static clora_status plan_sublayers(workspace *ws, layer_activations *a, const clora_adapter *adapter, int first,
                                   int last) {
    clora_status status = CLORA_OK;

    for (int kind = 0; kind < SUBLAYERS; kind++) {
        const int width = workspace_bottleneck_width(adapter, kind, first, last);
        if (width > 0)
            TRY(add_floats(ws, &a->sublayer[kind], width));
    }
done:
    return status;
}

/* Columns of projection p where the adapter scales them, or 0. */
static int scaled_columns(const clora_adapter *adapter, int p) {
    const lowrank *lr = adapter_term(adapter, p);

    return dora_is(lr) ? lr->base->N : 0;
}

/* Room for what is scaled in layers `first` to `last`, which share it. */
static clora_status plan_scaled(workspace *ws, layer_activations *a, const clora_adapter *adapter, int first,
                                int last) {
    const int projections = ws->model->config.family->projections;
    clora_status status = CLORA_OK;

    for (int kind = 0; ws->train && kind < projections; kind++)
        for (int l = first; l <= last; l++) {
            const int columns = scaled_columns(adapter, l * projections + kind);
            if (columns == 0)
                continue;
            TRY(add_floats(ws, &a->z[kind], columns));
            break;
        }
done:
    return status;
}

static bool is_head(const workspace *ws, int p) {
    return p == ws->model->config.layers * ws->model->config.family->projections;
}

clora_tensor workspace_scaled(workspace *ws, int p, int rows) {
    const int projections = ws->model->config.family->projections;
    const clora_tensor *z = is_head(ws, p) ? &ws->z_head : &workspace_layer(ws, p / projections)->z[p % projections];

    return z->buffer ? tensor_view(z, 0, rows, 0, tensor_cols(z)) : (clora_tensor){0};
}

clora_tensor workspace_scaled_gradient(const workspace *ws, int p, int rows) {
    return tensor_slice(is_head(ws, p) ? &ws->dz_head : &ws->dz, 0, rows, ws->model->projection[p].weight->N);
}

/* What a normalisation keeps of a row. */
static int norm_moments(const model_config *c) {
    return c->family->layernorm ? 2 : 1;
}

/* Is what a kind of sublayer adds normalised? */
static bool normalises(const model_config *c, int kind) {
    const int norm = DECODER_NORM_AFTER_ATTENTION + kind;

    return norm < c->family->norms && model_norm_width(c, norm) > 0;
}

static clora_status plan_layer(workspace *ws, layer_activations *a, const model_config *c, const int *ranks) {
    clora_status status = CLORA_OK;

    TRY(add_floats(ws, &a->rstd_attention, norm_moments(c)));
    TRY(add_floats(ws, &a->rstd_mlp, norm_moments(c)));
    TRY(add_floats(ws, &a->gu, c->family->plain_mlp ? c->ffn : 2 * c->ffn));
    for (int kind = 0; kind < SUBLAYERS; kind++)
        if (normalises(c, kind)) {
            TRY(add_floats(ws, &a->f[kind], c->hidden));
            TRY(add_floats(ws, &a->rstd_f[kind], 1));
        }
    for (int k = 0; ranks && k < c->family->projections; k++)
        if (ranks[k] > 0)
            TRY(add_floats(ws, &a->u[k], ranks[k]));
done:
    return status;
}

static int largest(const int *values, int n) {
    int most = 0;

    for (int i = 0; i < n; i++)
        most = values[i] > most ? values[i] : most;
    return most;
}

/* Where one layer's views serve all, u must hold the largest rank of each projection. */
static clora_status plan_layers(workspace *ws, const model_config *c, const int *ranks, const clora_adapter *adapter) {
    clora_status status = CLORA_OK;
    int shared[LAYER_PROJECTIONS] = {0};
    const int projections = c->family->projections;
    const bool each = workspace_keeps_layers(ws);

    ws->layer = alloc_array(each ? (size_t)c->layers : 1, sizeof(*ws->layer));
    if (!ws->layer)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the workspace");
    if (each) {
        for (int l = 0; l < c->layers; l++) {
            TRY(plan_layer(ws, &ws->layer[l], c, ranks ? ranks + l * projections : NULL));
            TRY(plan_scaled(ws, &ws->layer[l], adapter, l, l));
            TRY(plan_sublayers(ws, &ws->layer[l], adapter, l, l));
        }
        return CLORA_OK;
    }
    for (int i = 0; ranks && i < c->layers * projections; i++)
        if (ranks[i] > shared[i % projections])
            shared[i % projections] = ranks[i];
    TRY(plan_layer(ws, &ws->layer[0], c, shared));
    TRY(plan_scaled(ws, &ws->layer[0], adapter, 0, c->layers - 1));
    TRY(plan_sublayers(ws, &ws->layer[0], adapter, 0, c->layers - 1));
done:
    return status;
}

/* What the head's backward pass needs as well. */
static clora_status plan_head_backward(workspace *ws, const model_config *c, const workspace_options *o) {
    const int most = largest(o->ranks, c->layers * c->family->projections + 1);
    const int widest = largest((int[]){c->hidden, c->ffn, c->heads * c->head_dim}, 3);
    clora_status status = CLORA_OK;

    TRY(add_floats(ws, &ws->du, most ? most : 1));
    if (o->dropout)
        TRY(add_floats(ws, &ws->dropped, widest));
done:
    return status;
}

static clora_status plan_attention_gradients(workspace *ws) {
    attention_gradient list[ATTENTION_GRADIENTS];
    clora_status status = CLORA_OK;

    rooms_list_gradients(list, ws);
    ws->lends_room = rooms_find_places(list, ws);
    for (int i = 0; i < ATTENTION_GRADIENTS && !ws->lends_room; i++)
        if (list[i].cols > 0)
            TRY(add_floats(ws, list[i].view, list[i].cols));
done:
    return status;
}

static clora_status plan_sublayers_backward(workspace *ws, const model_config *c, const workspace_options *o) {
    clora_status status = CLORA_OK;
    int wide = 0, scaled = 0;

    for (int i = 0; i < c->layers * c->family->projections; i++)
        scaled = largest((int[]){scaled, scaled_columns(o->adapter, i)}, 2);
    TRY(add_floats(ws, &ws->dstream, c->hidden));
    if (scaled > 0)
        TRY(add_floats(ws, &ws->dz, scaled));
    if (normalises(c, SUBLAYER_ATTENTION) || normalises(c, SUBLAYER_MLP))
        TRY(add_floats(ws, &ws->df, c->hidden));
    for (int kind = 0; kind < SUBLAYERS; kind++)
        wide = largest((int[]){wide, workspace_bottleneck_width(o->adapter, kind, 0, c->layers - 1)}, 2);
    if (wide > 0)
        TRY(add_floats(ws, &ws->dsublayer, wide));
done:
    return status;
}

static clora_status plan_picked(workspace *ws, const model_config *c, int chunk) {
    picked_rows *p = &ws->picked;
    clora_status status = CLORA_OK;

    TRY(arena_add(&ws->memory, &p->x, CLORA_DTYPE_F32, chunk, c->hidden));
    if (ws->train)
        TRY(arena_add(&ws->memory, &p->dx, CLORA_DTYPE_F32, chunk, c->hidden));
    TRY(arena_add(&ws->memory, &p->targets, CLORA_DTYPE_I32, chunk, 1));
    TRY(arena_add(&ws->memory, &p->weights, CLORA_DTYPE_F32, chunk, 1));
    TRY(arena_add(&ws->memory, &p->loss, CLORA_DTYPE_F32, chunk, 1));
    TRY(arena_add(&ws->memory, &p->hit, CLORA_DTYPE_F32, chunk, 1));
done:
    return status;
}

/* What the head uses: logits, and rows that are picked for them. */
static clora_status plan_head(workspace *ws, const model_config *c, const workspace_options *o) {
    clora_status status = CLORA_OK;
    size_t chunk = (o->lean ? lean_logits_limit : logits_limit) / (sizeof(float) * (size_t)c->vocab);

    chunk = chunk < 16 ? 16 : chunk > 256 ? chunk / 256 * 256 : chunk;
    if (chunk > (size_t)ws->max_rows)
        chunk = (size_t)ws->max_rows;
    if (o->lean) /* all alike */
        chunk = divide_up_size((size_t)ws->max_rows, divide_up_size((size_t)ws->max_rows, chunk));
    TRY(arena_add(&ws->memory, &ws->logits, CLORA_DTYPE_F32, (int)chunk, c->vocab));
    if (ws->train && c->logit_cap > 0.0f)
        TRY(arena_add(&ws->memory, &ws->uncapped, CLORA_DTYPE_F32, (int)chunk, c->vocab));
    if (ws->train && scaled_columns(o->adapter, c->layers * c->family->projections)) {
        TRY(arena_add(&ws->memory, &ws->z_head, CLORA_DTYPE_F32, (int)chunk, c->vocab));
        TRY(arena_add(&ws->memory, &ws->dz_head, CLORA_DTYPE_F32, (int)chunk, c->vocab));
    }
    TRY(plan_picked(ws, c, (int)chunk));
done:
    return status;
}

static clora_status plan_loss(workspace *ws, const workspace_options *o) {
    clora_status status = CLORA_OK;

    TRY(add_floats(ws, &ws->nll, 1));
    TRY(add_floats(ws, &ws->hit, 1));
    if (o->weights)
        TRY(add_floats(ws, &ws->weights, 1));
    TRY(add_rows(ws, &ws->targets, CLORA_DTYPE_I32, 1));
    TRY(arena_add(&ws->memory, &ws->learnt, CLORA_DTYPE_I32, ws->max_rows, 1));
done:
    return status;
}

/* Keys and values of a layer behind those of a prefix. */
static clora_status plan_prefix(workspace *ws, const model_config *c, const workspace_options *o) {
    const int width = 2 * c->kv_heads * c->head_dim;
    clora_status status = CLORA_OK;
    int before, rows;

    if (ws->prefix == 0)
        return CLORA_OK;
    if (__builtin_mul_overflow(o->B, ws->prefix, &before) || __builtin_add_overflow(before, ws->max_rows, &rows))
        return clora_fail(CLORA_ERROR_ARGUMENT, "a batch of %d sequences of %d tokens after %d is too large", o->B,
                          o->T, ws->prefix);
    TRY(arena_add(&ws->memory, &ws->kv, CLORA_DTYPE_F32, rows, width));
    if (o->train)
        TRY(arena_add(&ws->memory, &ws->dkv, CLORA_DTYPE_F32, rows, width));
done:
    return status;
}

/* Longer texts have rotations of their own with longrope, which only the first of a model's settings may be. */
static clora_status plan_rope(workspace *ws, const model_config *c, int positions) {
    const rope_settings *first = &c->rope[ROPE_FIRST];
    clora_status status = CLORA_OK;

    if (first->kind == ROPE_LONGROPE && positions > first->original)
        ws->longer = positions;
    for (int i = 0; i < ROPES; i++)
        if (config_has_rope(c, i))
            TRY(arena_add(&ws->memory, &ws->rope[i], CLORA_DTYPE_F32, positions + ws->longer, c->rope[i].width));
done:
    return status;
}

/* Which keys the rows see. */
static clora_status plan_limits(workspace *ws, const model_config *c) {
    clora_status status = CLORA_OK;

    TRY(add_rows(ws, &ws->first, CLORA_DTYPE_I32, 1));
    TRY(add_rows(ws, &ws->last, CLORA_DTYPE_I32, 1));
    if (model_largest_window(c) > 0) {
        TRY(add_rows(ws, &ws->window_first, CLORA_DTYPE_I32, ws->prefix > 0 ? 2 : 1));
        TRY(add_rows(ws, &ws->window_last, CLORA_DTYPE_I32, 1));
    }
done:
    return status;
}

/* normed and dnorm; where memory counts act lies in their place, for it is of use when neither is. */
static clora_status plan_norms(workspace *ws, const model_config *c, const workspace_options *o) {
    const arena_mark begin = ws->memory.next;
    clora_status status = CLORA_OK;

    TRY(add_floats(ws, &ws->normed, c->hidden));
    if (o->train)
        TRY(add_floats(ws, &ws->dnorm, c->hidden));
    if (!o->lean)
        return CLORA_OK;
    const arena_mark end = ws->memory.next;
    arena_return(&ws->memory, begin);
    TRY(add_floats(ws, &ws->act, c->ffn));
    arena_return(&ws->memory, arena_later(end, ws->memory.next));
done:
    return status;
}

/* What lasts from the forward pass to the backward pass, and what the head uses. */
static clora_status plan_lasting(workspace *ws, const model_config *c, const workspace_options *o) {
    const int head = c->layers * c->family->projections;
    clora_status status = CLORA_OK;

    TRY(add_rows(ws, &ws->ids, CLORA_DTYPE_I32, 1));
    TRY(add_rows(ws, &ws->positions, CLORA_DTYPE_I32, 1));
    TRY(plan_limits(ws, c));
    TRY(arena_add(&ws->memory, &ws->past, CLORA_DTYPE_I32, o->B, 1));
    TRY(plan_rope(ws, c, o->positions + adapter_past(o->adapter)));
    if (ws->prefix > 0)
        TRY(arena_add(&ws->memory, &ws->past_prefix, CLORA_DTYPE_I32, o->B, 1));
    TRY(plan_views(&ws->stream, ws, o->train ? c->layers + 1 : 1, c->hidden));
    if (workspace_keeps_attention(ws))
        TRY(plan_attention(ws, c));
    if (workspace_keeps_layers(ws))
        TRY(plan_layers(ws, c, o->ranks, o->adapter));
    if (workspace_keeps_attention(ws) && !ws->lean)
        TRY(plan_views(&ws->att, ws, c->layers, c->heads * c->head_dim));
    if (workspace_keeps_layers(ws) && !ws->lean)
        TRY(plan_views(&ws->mid, ws, c->layers, c->hidden));
    TRY(add_floats(ws, &ws->rstd_final, norm_moments(c)));
    TRY(plan_norms(ws, c, o));
    if (o->ranks && o->ranks[head] > 0)
        TRY(add_floats(ws, &ws->u_head, o->ranks[head]));
    if (o->train)
        TRY(plan_head_backward(ws, c, o));
    if (o->loss)
        TRY(plan_loss(ws, o));
done:
    return status;
}

/* Queries and keys as attention reads them, where these are not what their projection made. */
static clora_status plan_normed_heads(workspace *ws, const model_config *c) {
    const int q = c->heads * c->head_dim, k = c->kv_heads * c->head_dim;
    clora_status status = CLORA_OK;

    TRY(add_floats(ws, &ws->qk, q + k));
    TRY(add_floats(ws, &ws->rstd_queries, q / model_norm_width(c, DECODER_NORM_QUERIES)));
    TRY(add_floats(ws, &ws->rstd_keys, k / model_norm_width(c, DECODER_NORM_KEYS)));
done:
    return status;
}

/* What serves one layer after the other, in either direction. */
static clora_status plan_passing(workspace *ws, const model_config *c, const workspace_options *o) {
    clora_status status = CLORA_OK;

    TRY(plan_prefix(ws, c, o));
    if (!workspace_keeps_attention(ws))
        TRY(plan_attention(ws, c));
    if (!workspace_keeps_layers(ws))
        TRY(plan_layers(ws, c, o->ranks, o->adapter));
    if (!ws->att)
        TRY(plan_views(&ws->att, ws, 1, c->heads * c->head_dim));
    if (!ws->mid)
        TRY(plan_views(&ws->mid, ws, 1, c->hidden));
    if (o->train && model_norm_width(c, DECODER_NORM_QUERIES) > 0)
        TRY(plan_normed_heads(ws, c));
    if (o->train)
        TRY(plan_sublayers_backward(ws, c, o));
    if (!o->lean)
        TRY(add_floats(ws, &ws->act, c->ffn));
    if (o->train)
        TRY(plan_attention_gradients(ws));
done:
    return status;
}

static clora_status plan_all(workspace *ws, const model_config *c, const workspace_options *o) {
    clora_status status = CLORA_OK;

    TRY(plan_lasting(ws, c, o));
    const arena_mark mark = ws->memory.next;
    TRY(plan_passing(ws, c, o));
    ws->passing = ws->memory.next;
    if (o->loss) { /* no layer is at work while the head is */
        arena_return(&ws->memory, mark);
        TRY(plan_head(ws, c, o));
    }
done:
    return status;
}

clora_status workspace_plan(workspace **out, const clora_model *model, const workspace_options *options) {
    clora_status status = CLORA_OK;
    workspace *ws = calloc(1, sizeof(*ws));
    int T;

    *out = NULL;
    if (!ws)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a workspace");
    arena_init(&ws->memory, model->context);
    ws->model = model;
    ws->train = options->train;
    ws->recompute = options->recompute;
    ws->lean = options->lean && options->recompute == CLORA_RECOMPUTE_NONE;
    ws->prefix = adapter_prefix_length(options->adapter);
    if (__builtin_add_overflow(options->T, adapter_past(options->adapter), &T) ||
        __builtin_mul_overflow(options->B, T - ws->prefix, &ws->max_rows))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a batch of %d sequences of %d tokens is too large", options->B,
                       options->T));
    TRY(plan_all(ws, &model->config, options));
    *out = ws;
    ws = NULL;
done:
    workspace_free(ws);
    return status;
}

void workspace_free(workspace *ws) {
    if (!ws)
        return;
    arena_finish(&ws->memory);
    free(ws->rows);
    free(ws->attention);
    free(ws->layer);
    free(ws->stream);
    free(ws->att);
    free(ws->mid);
    free(ws);
}

size_t workspace_bytes(const workspace *ws) {
    return ws->memory.total;
}

void workspace_set_shape(workspace *ws, int B, int T) {
    ws->B = B;
    ws->T = T;
    ws->M = ws->learnt_rows = B * T;
    for (size_t i = 0; i < ws->rows_count; i++)
        ws->rows[i]->shape[0] = ws->M;
    ws->kv.shape[0] = ws->dkv.shape[0] = B * (ws->prefix + T);
}
