#include "model/kvcache.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "model/layer_types.h"

/* Positions of a page: a multiple of the keys that attention takes at once while decoding, so that a block of them lies
 * in one page. */
enum { PAGE = 64 };

/* Positions go so many at a time. A multiple of all blocks of keys that attention may take at once: on GPUs these begin
 * at multiples of their size, some before the first key that is seen. */
enum { GO_TOGETHER = 3 * PAGE };

enum { NO_PAGE = -1 };

static int window_rows(const model_config *c, int capacity, int longest) {
    const int window = model_largest_window(c);
    const int64_t rows = (int64_t)window - 1 + GO_TOGETHER - 1 + longest;

    return window > 0 && rows < capacity ? (int)rows : capacity;
}

static bool slides(const kv_cache *cache, int l) {
    return model_window(cache->config, l) > 0;
}

static const kv_pages *pages_of(const kv_cache *cache, int l) {
    return slides(cache, l) ? &cache->windows : &cache->whole;
}

/* ---- the lists ---- */

/* The first pages are the first to be taken. */
static clora_status create_lists(kv_pages *p, int B) {
    const size_t entries = (size_t)B * (size_t)p->columns;

    p->users = alloc_array((size_t)p->pages, sizeof(*p->users));
    p->spare = alloc_array((size_t)p->pages, sizeof(*p->spare));
    p->mark = alloc_array((size_t)p->pages, sizeof(*p->mark));
    p->table = alloc_array(entries, sizeof(*p->table));
    p->sent = alloc_array(entries, sizeof(*p->sent));
    p->first = alloc_array((size_t)B, sizeof(*p->first));
    if (!p->users || !p->spare || !p->mark || !p->table || !p->sent || !p->first)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a session");
    for (size_t i = 0; i < entries; i++) {
        p->table[i] = NO_PAGE;
        p->sent[i] = NO_PAGE - 1;
    }
    for (int i = 0; i < p->pages; i++)
        p->spare[i] = p->pages - 1 - i;
    p->spares = p->pages;
    return CLORA_OK;
}

static clora_status plan_pages(kv_pages *p, arena *memory, int B, int columns, size_t pages) {
    clora_status status = CLORA_OK;

    if (pages > INT32_MAX / PAGE)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a cache of %zu tokens is too large", pages * PAGE);
    p->columns = columns;
    p->pages = (int)pages;
    TRY(create_lists(p, B));
    TRY(arena_add(memory, &p->on_device, CLORA_DTYPE_I32, B, columns));
done:
    return status;
}

/* A cache for short texts alone has smaller pages. */
static int choose_page(int capacity) {
    int page = PAGE;

    while (page / 2 >= capacity)
        page /= 2;
    return page;
}

clora_status kv_plan(kv_cache *cache, arena *memory, const model_config *c, kv_size size) {
    const int page = choose_page(size.capacity), columns = divide_up(size.capacity, page);
    const size_t all = (size_t)size.B * (size_t)columns, wanted = divide_up_size(size.positions, (size_t)page);
    clora_status status = CLORA_OK;

    *cache = (kv_cache){.config = c, .B = size.B, .capacity = size.capacity, .page = page};
    cache->whole.rows = size.capacity;
    cache->windows.rows = window_rows(c, size.capacity, size.longest);
    cache->kv = alloc_array((size_t)c->layers, sizeof(*cache->kv));
    if (!cache->kv)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a session");
    TRY(plan_pages(&cache->whole, memory, size.B, columns, wanted > 0 && wanted < all ? wanted : all));
    if (model_largest_window(c) > 0)
        TRY(plan_pages(&cache->windows, memory, size.B, columns,
                       (size_t)size.B * (size_t)divide_up(cache->windows.rows, page)));
    for (int l = 0; l < c->layers; l++)
        TRY(arena_add(memory, &cache->kv[l], CLORA_DTYPE_F32, pages_of(cache, l)->pages * page,
                      2 * c->kv_heads * c->head_dim));
done:
    return status;
}

static void finish_lists(kv_pages *p) {
    free(p->users);
    free(p->spare);
    free(p->mark);
    free(p->table);
    free(p->sent);
    free(p->first);
}

void kv_finish(kv_cache *cache) {
    finish_lists(&cache->whole);
    finish_lists(&cache->windows);
    free(cache->kv);
}

/* ---- where positions lie ---- */

int kv_rows(const kv_cache *cache, int l) {
    return pages_of(cache, l)->rows;
}

int kv_first(const kv_cache *cache, int l, int sequence) {
    return pages_of(cache, l)->first[sequence] * cache->page;
}

static int32_t *row_of(const kv_pages *p, int sequence) {
    return p->table + (size_t)sequence * (size_t)p->columns;
}

clora_tensor kv_span(const kv_cache *cache, int l, int sequence, int begin, int most) {
    const int page = row_of(pages_of(cache, l), sequence)[begin / cache->page], at = begin % cache->page;

    return tensor_view(&cache->kv[l], page * cache->page + at, least(most, cache->page - at), 0,
                       tensor_cols(&cache->kv[l]));
}

clora_tensor kv_table(const kv_cache *cache, int l, int B) {
    const kv_pages *p = pages_of(cache, l);
    return tensor_view(&p->on_device, cache->first, B, 0, p->columns);
}

static clora_status send(kv_pages *p, int B) {
    const size_t entries = (size_t)B * (size_t)p->columns;
    clora_status status = CLORA_OK;

    if (p->pages == 0 || memcmp(p->sent, p->table, entries * sizeof(*p->table)) == 0)
        return CLORA_OK;
    memcpy(p->sent, p->table, entries * sizeof(*p->table));
    TRY(tensor_send(&p->on_device, entries, p->sent));
done:
    if (status != CLORA_OK)
        p->sent[0] = NO_PAGE - 1; /* again the next time */
    return status;
}

clora_status kv_send(kv_cache *cache) {
    clora_status status = CLORA_OK;

    TRY(send(&cache->whole, cache->B));
    TRY(send(&cache->windows, cache->B));
done:
    return status;
}

/* ---- taking pages and giving them back ---- */

static void give_back(kv_pages *p, int32_t *entry) {
    if (*entry != NO_PAGE && --p->users[*entry] == 0)
        p->spare[p->spares++] = *entry;
    *entry = NO_PAGE;
}

static void give_back_columns(kv_pages *p, int sequence, int begin, int end) {
    for (int i = begin; i < end; i++)
        give_back(p, &row_of(p, sequence)[i]);
}

/* The first position that a token after `length` others sees in layers with a window. */
static int first_seen(const kv_cache *cache, int length) {
    return most(0, length - model_largest_window(cache->config) + 1);
}

static int first_kept(const kv_cache *cache, int length) {
    return first_seen(cache, length) / GO_TOGETHER * GO_TOGETHER / cache->page;
}

void kv_begin(kv_cache *cache, int sequence, int positions) {
    kv_pages *w = &cache->windows;

    give_back_columns(&cache->whole, sequence, 0, cache->whole.columns);
    if (w->pages == 0)
        return;
    give_back_columns(w, sequence, 0, w->columns);
    w->first[sequence] = positions > w->rows ? first_kept(cache, positions) : 0;
}

/* The columns that T positions after `length` lie in. */
typedef struct column_range {
    int begin, end;
} column_range;

static column_range columns_of(const kv_cache *cache, const kv_pages *p, int sequence, int length, int T) {
    return (column_range){most(p->first[sequence], length / cache->page), divide_up(length + T, cache->page)};
}

/* A page that the sequence has to itself: none yet, or one that others have too. */
static bool needs_page(const kv_pages *p, int32_t entry) {
    return entry == NO_PAGE || p->users[entry] > 1;
}

int kv_needed(const kv_cache *cache, int sequence, int length, int T) {
    const kv_pages *p = &cache->whole;
    const column_range of = columns_of(cache, p, sequence, length, T);
    int needed = 0;

    for (int i = of.begin; i < of.end; i++)
        needed += needs_page(p, row_of(p, sequence)[i]);
    return needed;
}

int kv_spare(const kv_cache *cache) {
    return cache->whole.spares;
}

bool kv_has_pages(const kv_cache *cache, int sequence) {
    return row_of(&cache->whole, sequence)[0] != NO_PAGE;
}

void kv_unmark(kv_cache *cache) {
    memset(cache->whole.mark, 0, (size_t)cache->whole.pages * sizeof(*cache->whole.mark));
}

int kv_mark(kv_cache *cache, int sequence) {
    const kv_pages *p = &cache->whole;
    int marked = 0;

    for (int i = 0; i < p->columns; i++) {
        const int32_t page = row_of(p, sequence)[i];
        if (page == NO_PAGE || p->mark[page])
            continue;
        p->mark[page] = true;
        marked++;
    }
    return marked;
}

/* Rows of a page into another, in all layers of its kind. */
static clora_status copy_page(const kv_cache *cache, const kv_pages *p, int to, int from, int rows) {
    clora_status status = CLORA_OK;

    for (int l = 0; rows > 0 && l < cache->config->layers; l++) {
        const clora_tensor *kv = &cache->kv[l];
        clora_tensor copy = tensor_view(kv, to * cache->page, rows, 0, tensor_cols(kv));
        const clora_tensor original = tensor_view(kv, from * cache->page, rows, 0, tensor_cols(kv));
        if (pages_of(cache, l) == p)
            TRY(clora_tensor_copy(&copy, &original));
    }
done:
    return status;
}

/* A page of the sequence's own for a column, with the first `rows` rows of what it had there. */
static clora_status take_page(const kv_cache *cache, kv_pages *p, int32_t *entry, int rows) {
    clora_status status = CLORA_OK;

    if (p->spares == 0)
        return clora_fail(CLORA_ERROR_MEMORY, "the cache of %d tokens has no room for one more",
                          p->pages * cache->page);
    const int page = p->spare[p->spares - 1];
    if (*entry != NO_PAGE)
        TRY(copy_page(cache, p, page, *entry, rows));
    p->spares--;
    p->users[page] = 1;
    give_back(p, entry);
    *entry = page;
done:
    return status;
}

static clora_status make_room(const kv_cache *cache, kv_pages *p, int sequence, int length, int T) {
    const column_range of = columns_of(cache, p, sequence, length, T);
    clora_status status = CLORA_OK;

    for (int i = of.begin; i < of.end; i++) {
        int32_t *entry = &row_of(p, sequence)[i];
        if (needs_page(p, *entry))
            TRY(take_page(cache, p, entry, least(cache->page, length - i * cache->page)));
    }
done:
    return status;
}

/* In layers with a window, what no position after `length` sees: where the sequence has as many pages as it may. */
static void let_go(kv_cache *cache, int sequence, int length, int T) {
    kv_pages *w = &cache->windows;
    const int kept = first_kept(cache, length);

    if (length + T - w->first[sequence] * cache->page <= w->rows)
        return;
    give_back_columns(w, sequence, w->first[sequence], kept);
    w->first[sequence] = kept;
}

clora_status kv_make_room(kv_cache *cache, int sequence, int length, int T) {
    clora_status status = CLORA_OK;

    TRY(make_room(cache, &cache->whole, sequence, length, T));
    if (cache->windows.pages == 0)
        return CLORA_OK;
    let_go(cache, sequence, length, T);
    TRY(make_room(cache, &cache->windows, sequence, length, T));
done:
    return status;
}

bool kv_reaches(const kv_cache *cache, int sequence, int length) {
    const kv_pages *w = &cache->windows;
    return w->pages == 0 || w->first[sequence] * cache->page <= first_seen(cache, length);
}

/* ---- pages in common ---- */

static void share(kv_pages *p, int to, int from, int columns) {
    p->first[to] = p->first[from];
    for (int i = 0; i < p->columns; i++) {
        int32_t *mine = &row_of(p, to)[i], theirs = i < columns ? row_of(p, from)[i] : NO_PAGE;
        if (theirs != NO_PAGE)
            p->users[theirs]++;
        give_back(p, mine);
        *mine = theirs;
    }
}

void kv_share(kv_cache *cache, int to, int from, int length) {
    const int columns = divide_up(length, cache->page);

    share(&cache->whole, to, from, columns);
    if (cache->windows.pages > 0)
        share(&cache->windows, to, from, columns);
}
