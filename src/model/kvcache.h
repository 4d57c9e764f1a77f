#ifndef CLORA_MODEL_KVCACHE_H
#define CLORA_MODEL_KVCACHE_H

#include "device/arena.h"
#include "model/config.h"

/*
 * Keys and values of B sequences: per layer f32 (B * rows, 2*G*D), keys first. A sequence's positions lie one after the
 * other in its rows. A layer with a window has rows for the window and the longest step; when they are full, what no
 * later position sees is let go, and the others move to the first row: then its rows are those of the positions from
 * gone[b] on. What attention reads are neighbours, as in other layers, so that no kernel knows of it.
 */
typedef struct kv_cache {
    const model_config *config;
    int B, capacity;          /* sequences, positions of each */
    int first;                /* a step works on sequences from this one on */
    int window_rows;          /* of a sequence in layers with a window: up to capacity */
    int *gone;                /* (B) */
    clora_tensor *kv;         /* one view a layer */
    clora_tensor window_past; /* i32 (B): of a step's sequences, the rows before their tokens in layers with a window */
} kv_cache;

/* Plan it in an arena, for steps of up to `longest` tokens of a sequence. kv_finish frees the lists, not the arena. */
clora_status kv_plan(kv_cache *cache, arena *memory, const model_config *c, int B, int capacity, int longest);
void kv_finish(kv_cache *cache);

/* Rows of each sequence in layer l, and the first position that is there. */
int kv_rows(const kv_cache *cache, int l);
int kv_first(const kv_cache *cache, int l, int sequence);

/* The rows of `count` positions of a sequence from position `begin` on, which are there. */
clora_tensor kv_span(const kv_cache *cache, int l, int sequence, int begin, int count);

/* The sequence begins with so many positions, the last of which find room. */
void kv_begin(kv_cache *cache, int sequence, int positions);

/* Room in all layers for T positions more after `length`. Enqueued. When it fails no position can be relied on. */
clora_status kv_make_room(kv_cache *cache, int sequence, int length, int T);

/* Is what a token after the first `length` positions sees still there? */
bool kv_reaches(const kv_cache *cache, int sequence, int length);

/* Sequence `to` has the first `length` positions of another, which reaches so far. Enqueued. */
clora_status kv_copy(kv_cache *cache, int to, int from, int length);

#endif
