// Where keys and values of a sequence's positions lie: in pages of 1 << bits rows each, which a table names, or without
// pages one after the other. The rows of a page are neighbours; kernels take them a stretch at a time.

typedef struct {
    __global const int *table; // (B, count)
    int count, bits;           // pages of a sequence; 0: it has S rows side by side
    int S;
} cache_pages;

INLINE size_t page_row(const cache_pages *pages, const int b, const int at) {
    if (pages->count == 0)
        return (size_t)b * pages->S + at;
    const size_t page = pages->table[(size_t)b * pages->count + (at >> pages->bits)];
    return (page << pages->bits) + (at & ((1 << pages->bits) - 1));
}

// Of n positions from `at` on, those in neighbouring rows.
INLINE int page_stretch(const cache_pages *pages, const int at, const int n) {
    return pages->count == 0 ? n : min(n, (1 << pages->bits) - (at & ((1 << pages->bits) - 1)));
}

// Positions that a sequence has rows for.
INLINE int page_room(const cache_pages *pages) {
    return pages->count == 0 ? pages->S : pages->count << pages->bits;
}
