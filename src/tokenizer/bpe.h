#ifndef CLORA_TOKENIZER_BPE_H
#define CLORA_TOKENIZER_BPE_H

#include "tokenizer/merges.h"
#include "tokenizer/piece.h"
#include "tokenizer/text_buffer.h"

#define BPE_DIRECT 0x800 /* characters whose token is found without a search */

/* The "model" of tokenizer.json, of type BPE. Immutable. */
typedef struct bpe {
    vocab vocab;
    merges merges;
    char *prefix, *suffix; /* continuing_subword_prefix, end_of_word_suffix */
    size_t prefix_size, suffix_size;
    char *unknown; /* unk_token, NULL for none */
    int32_t unknown_id;
    bool fuse_unknown, byte_fallback, ignore_merges, affixes;
    bool *own;          /* (vocab.size) a piece that is this token is not merged from others; NULL: none is */
    int32_t bytes[256]; /* ids of <0x00>... */
    int32_t direct[BPE_DIRECT];
} bpe;

clora_status bpe_init(bpe *b, const json_t *model, const char *where);
clora_status bpe_init_scored(bpe *b, const scored_vocab *scored, const char *where);
void bpe_finish(bpe *b);

/* Scratch and cache of one thread. Zeroed is ready. */
typedef struct bpe_workspace {
    int32_t *ids, *previous, *next; /* symbols of the stretch at hand */
    size_t count, capacity, links_capacity;
    uint64_t *heap;
    size_t heap_size, heap_capacity;
    text_buffer joined;
    struct bpe_cache *cache;
    bool use_cache;
    size_t border; /* the symbol at hand that begins after a piece's border; 0: there is none to watch */
    piece_notes *notes;
} bpe_workspace;

void bpe_workspace_finish(bpe_workspace *workspace);

/* Append the ids of one piece, and see whether a token crosses its border. */
clora_status bpe_encode(const bpe *b, id_buffer *out, const piece *text, bpe_workspace *workspace, piece_notes *notes);

/* Merge the workspace's symbols until no merge applies. The border's symbol is followed. */
clora_status bpe_merge(const bpe *b, bpe_workspace *workspace);

#endif
