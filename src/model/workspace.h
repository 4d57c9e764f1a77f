#ifndef CLORA_MODEL_WORKSPACE_H
#define CLORA_MODEL_WORKSPACE_H

#include "device/arena.h"
#include "model/model.h"
#include "ops/ops.h"

/* What the backward pass needs of a layer besides its input: of its attention, and of the rest. Everything else it
 * computes again: norms, gated activation, attention weights. */
typedef struct attention_activations {
    clora_tensor qkv; /* (M, (H+2G)D) after the rotation; in training before all where q and k are normalised */
    clora_tensor lse; /* (M, H) */
} attention_activations;

typedef struct layer_activations {
    clora_tensor rstd_attention; /* (M, 1), of layer normalisations (M, 2) with the mean before it */
    clora_tensor rstd_mlp;       /* likewise */
    clora_tensor gu; /* (M, 2F) gate and up, or (M, F) up alone; the backward pass overwrites it with its gradient */
    clora_tensor u[LAYER_PROJECTIONS]; /* (M, R) of adapted projections */
    clora_tensor z[LAYER_PROJECTIONS]; /* (M, N) of those with DoRA: what is scaled (methods/dora.h) */
    clora_tensor sublayer[SUBLAYERS];  /* (M, C + 2R + 1) of one with a bottleneck: what it reads, before and after its
                                          activation, one after the other (sublayer.c) */
    clora_tensor f[SUBLAYERS];         /* (M, C) what a sublayer adds, before it is normalised, where it is */
    clora_tensor rstd_f[SUBLAYERS];    /* (M, 1) of that */
} layer_activations;

/* What the head and a loss read and make of rows that are picked from a step's. */
typedef struct picked_rows {
    clora_tensor x, dx;                       /* (chunk, C) */
    clora_tensor targets, weights, loss, hit; /* (chunk, 1) */
} picked_rows;

/* All activations of a step of at most B x T tokens, in one arena. What is recomputed the layers share one set of;
 * without `train` they share all, the stream too. Logits lie where layers have what they share. */
typedef struct workspace {
    arena memory;
    const clora_model *model;
    int B, T, M; /* of the step in hand */
    bool forked; /* its rows have parts that do not see one another (ops.h) */
    int max_rows;
    bool train;
    clora_recompute recompute;
    attention_activations *attention;
    layer_activations *layer;
    bool lean;            /* of layers that are kept att and mid are made again, which costs least for its room */
    clora_tensor *stream; /* (M, C) the residual stream before each layer and after the last */
    clora_tensor *att;    /* (M, H*D) attention's output in each layer */
    clora_tensor *mid;    /* (M, C) the residual stream between attention and MLP of each layer */
    clora_tensor rstd_final, normed, u_head;
    clora_tensor act; /* (M, F) what the last product of an MLP reads; in the backward pass its gradient */
    clora_tensor dstream, dnorm, du, dropped, dsublayer, df;
    clora_tensor dqkv, datt, delta, dq_parts; /* of the layer that workspace_place_attention() was last told */
    bool lends_room;                          /* these have no memory of their own */
    clora_tensor z_head, dz_head, dz;         /* (chunk, V) and (M, widest N) where projections have DoRA */
    clora_tensor logits;                      /* (chunk, V): the head works through the rows chunk by chunk */
    clora_tensor uncapped;          /* (chunk, V): logits before their cap, of a model that has one, in training */
    arena_mark passing;             /* the end of what layers share, which begins where logits do */
    clora_tensor nll, hit, weights; /* weights: how much each row's loss counts, where that is asked for */
    clora_tensor learnt; /* i32 (max_rows): the numbers of the step's rows with targets, `learnt_rows` of them */
    int learnt_rows;
    picked_rows picked;                                      /* those of a chunk, side by side */
    clora_tensor ids, targets, positions, first, last, past; /* i32 */
    clora_tensor window_first, window_last;                  /* i32: those of layers with a window, if there are any;
                                                                with a prefix window_first has a second column */
    clora_tensor rope[ROPES]; /* (positions, W) of each rotation that a layer has; from row `longer` on those of longer
                                 texts, where these have others */
    int longer;               /* 0: they do not */
    clora_tensor qk, rstd_queries, rstd_keys; /* (M, (H+G)D) queries and keys of a layer that normalises them, ready for
                                                 attention, and of that (M, their parts); no memory otherwise */
    bool has_prompt; /* among the ids of the step in hand are some of a prompt's rows: from the vocabulary's size on */
    int prefix;      /* keys and values that may stand before each sequence's own, in a step without a cache */
    clora_tensor kv, dkv;     /* (B*(prefix + T), 2*G*D) theirs and the sequence's; no memory without a prefix */
    clora_tensor past_prefix; /* i32 (B): prefix */
    clora_tensor **rows;      /* the views whose first dimension is M */
    size_t rows_count, rows_capacity;
} workspace;

typedef struct workspace_options {
    int B, T;      /* largest step, without what comes before the sequences' own */
    int positions; /* rows of the rotation's table, likewise */
    bool train;
    clora_recompute recompute;
    bool lean; /* where all is kept: but what is cheap to make again */
    bool loss; /* targets, logits by chunks, nll: training and evaluation */
    bool weights;
    bool dropout;
    const int *ranks;             /* columns of u per projection (0: none), or NULL */
    const clora_adapter *adapter; /* whose bottlenecks, magnitudes, prefix and prompt find room, or NULL */
} workspace_options;

/* Plan; nothing is allocated. The model may be one that only has a configuration. */
clora_status workspace_plan(workspace **out, const clora_model *model, const workspace_options *options);

/* Allocate what was planned and write the rotation's table. (workspace_commit.c) */
clora_status workspace_commit(workspace *ws);
void workspace_free(workspace *ws);
size_t workspace_bytes(const workspace *ws);

/*
 * Memory that nothing needs any more when the backward pass comes to a layer: what those above it kept, or logits. Of
 * some pieces the i-th as floats, of a workspace that has no size set yet; one without a buffer where there is nothing.
 * (workspace_spare.c)
 */
enum { WORKSPACE_SPARES = 3 };
clora_tensor workspace_spare(workspace *ws, int layer, int i);

/* Before the backward pass of layer l's attention, when that of its MLP is over: the gradients of attention lie where
 * gu and act were, if they fit. (workspace_rooms.c) */
void workspace_place_attention(workspace *ws, int l);

/* Set the size of the step in hand, whose rows all count as learnt. */
void workspace_set_shape(workspace *ws, int B, int T);

static inline bool workspace_keeps_layers(const workspace *ws) {
    return ws->train && ws->recompute != CLORA_RECOMPUTE_LAYER;
}

static inline layer_activations *workspace_layer(workspace *ws, int l) {
    return &ws->layer[workspace_keeps_layers(ws) ? l : 0];
}

static inline bool workspace_keeps_attention(const workspace *ws) {
    return ws->train && ws->recompute == CLORA_RECOMPUTE_NONE;
}

static inline attention_activations *workspace_attention(workspace *ws, int l) {
    return &ws->attention[workspace_keeps_attention(ws) ? l : 0];
}

static inline clora_tensor *workspace_att(workspace *ws, int l) {
    return &ws->att[workspace_keeps_attention(ws) && !ws->lean ? l : 0];
}

static inline clora_tensor *workspace_mid(workspace *ws, int l) {
    return &ws->mid[workspace_keeps_layers(ws) && !ws->lean ? l : 0];
}

/* The room of a sublayer's bottleneck. */
static inline clora_tensor *workspace_sublayer(workspace *ws, int sublayer) {
    return &workspace_layer(ws, sublayer / SUBLAYERS)->sublayer[sublayer % SUBLAYERS];
}

/* The room for what DoRA scales of projection p, of `rows` rows, and for its gradient; without one no buffer. */
clora_tensor workspace_scaled(workspace *ws, int p, int rows);
clora_tensor workspace_scaled_gradient(const workspace *ws, int p, int rows);

/* What the widest of an adapter's bottlenecks keeps of a row, of one kind of sublayer of the layers first to last; 0
 * without any. */
int workspace_bottleneck_width(const clora_adapter *adapter, int kind, int first, int last);

/* Whether a text of so many positions is rotated as longer ones are, and the row of the tables for one of them. */
static inline bool workspace_is_longer(const workspace *ws, int length) {
    return ws->longer > 0 && length > ws->model->config.rope[ROPE_FIRST].original;
}

static inline int workspace_rope_row(const workspace *ws, int position, bool longer) {
    return position + (longer ? ws->longer : 0);
}

/* The stream before layer l, which is that after layer l - 1. */
static inline clora_tensor *workspace_stream(workspace *ws, int l) {
    return &ws->stream[ws->train ? l : 0];
}

#endif
