#ifndef CLORA_MODEL_KVCACHE_H
#define CLORA_MODEL_KVCACHE_H

#include "device/arena.h"
#include "model/config.h"

/*
 * Keys and values of B sequences in pages of some positions: per layer f32 (pages * page, 2*G*D), keys first. A table
 * says in which pages a sequence's positions lie; all layers of a kind have the same, those that see every position and
 * those with a window. Sequences that begin alike have pages in common, which are counted: who is about to write to
 * one that others have takes a copy first. Layers with a window give back what no later position sees, when a sequence
 * has as many pages as it may: the window's and those of the longest step.
 */
typedef struct kv_pages {
    int rows;               /* positions of a sequence that are there at a time, at most */
    int pages;              /* of all sequences; 0: no layer is of the kind */
    int columns;            /* of the table: pages for the positions of a sequence */
    int *users;             /* (pages) sequences that have it */
    int *spare, spares;     /* pages that nobody has, the last to be taken first */
    bool *mark;             /* (pages) scratch */
    int32_t *table;         /* (B, columns) pages of each sequence, or NO_PAGE */
    int32_t *sent;          /* what the device has of it */
    int *first;             /* (B) the first column that is kept */
    clora_tensor on_device; /* i32 (B, columns) */
} kv_pages;

typedef struct kv_cache {
    const model_config *config;
    int B, capacity;         /* sequences, positions of each */
    int first;               /* a step works on sequences from this one on */
    int page;                /* positions of a page, a power of two */
    kv_pages whole, windows; /* of layers that see every position; of those with a window */
    clora_tensor *kv;        /* one view a layer */
} kv_cache;

/* How many sequences, of how many positions each; all of them together have `positions` (0: B * capacity), and a step
 * has up to `longest` tokens of a sequence. */
typedef struct kv_size {
    int B, capacity, longest;
    size_t positions;
} kv_size;

/* Plan it in an arena. kv_finish frees the lists, not the arena. */
clora_status kv_plan(kv_cache *cache, arena *memory, const model_config *c, kv_size size);
void kv_finish(kv_cache *cache);

/* Positions of a sequence that layer l has at a time, at most, and the first that is there. */
int kv_rows(const kv_cache *cache, int l);
int kv_first(const kv_cache *cache, int l, int sequence);

/* The rows of a sequence's positions from `begin` on, which are there: up to `most` of them, as far as they are in one
 * page. */
clora_tensor kv_span(const kv_cache *cache, int l, int sequence, int begin, int most);

/* The pages of a step's B sequences in layer l. */
clora_tensor kv_table(const kv_cache *cache, int l, int B);

/* The sequence is reset to nothing; its first so many positions, the last of which find room, come at once. */
void kv_begin(kv_cache *cache, int sequence, int positions);

/* Of the pages of layers that see every position: those that T positions more after `length` take, those that nobody
 * has, and whether a sequence has some. */
int kv_needed(const kv_cache *cache, int sequence, int length, int T);
int kv_spare(const kv_cache *cache);
bool kv_has_pages(const kv_cache *cache, int sequence);

/* Marks those of a sequence; returns how many had no mark since kv_unmark. */
void kv_unmark(kv_cache *cache);
int kv_mark(kv_cache *cache, int sequence);

/* Room in all layers for T positions more after `length`. Enqueued. When it fails the first `length` are as before. */
clora_status kv_make_room(kv_cache *cache, int sequence, int length, int T);

/* The tables go to the device, if they are others than it has. What was sent before must have been read. */
clora_status kv_send(kv_cache *cache);

/* Is what a token after the first `length` positions sees still there? */
bool kv_reaches(const kv_cache *cache, int sequence, int length);

/* Sequence `to` has the first `length` positions of another, which reaches so far: the same pages. */
void kv_share(kv_cache *cache, int to, int from, int length);

#endif
