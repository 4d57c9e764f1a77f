#include "tokenizer/bpe.h"

#include <limits.h>
#include <string.h>

#include "base/alloc.h"

/* Up to so many symbols the lowest rank is found by looking at all of them; beyond, with a heap. */
#define FEW_SYMBOLS 40

static int32_t rank_at(const bpe *b, const int32_t *ids, size_t i) {
    const merge *found = merges_find(&b->merges, ids[i], ids[i + 1]);

    return found ? found->rank : INT32_MAX;
}

/* The symbol at `gone` became a part of the one before, and those after it move up. */
static void follow_border(bpe_workspace *workspace, size_t gone) {
    if (workspace->border == gone)
        workspace->notes->crossed = true;
    if (workspace->border >= gone)
        workspace->border--;
}

/* The leftmost merge of the lowest rank, again and again. */
static void merge_few(const bpe *b, bpe_workspace *workspace) {
    int32_t ranks[FEW_SYMBOLS], *ids = workspace->ids;
    size_t n = workspace->count;

    for (size_t i = 0; i + 1 < n; i++)
        ranks[i] = rank_at(b, ids, i);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == INT32_MAX)
            break;
        ids[best] = merges_find(&b->merges, ids[best], ids[best + 1])->id;
        n--;
        follow_border(workspace, best + 1);
        for (size_t i = best + 1; i < n; i++) {
            ids[i] = ids[i + 1];
            ranks[i - 1] = ranks[i];
        }
        if (best > 0)
            ranks[best - 1] = rank_at(b, ids, best - 1);
        if (best + 1 < n)
            ranks[best] = rank_at(b, ids, best);
    }
    workspace->count = n;
}

/* Heap entries are rank << 32 | position, so that the smallest is the leftmost of the lowest rank. */
static void sift_down(uint64_t *heap, size_t size, size_t i) {
    const uint64_t entry = heap[i];

    for (size_t child; (child = 2 * i + 1) < size; i = child) {
        if (child + 1 < size && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= entry)
            break;
        heap[i] = heap[child];
    }
    heap[i] = entry;
}

static clora_status heap_push(bpe_workspace *workspace, uint64_t entry) {
    size_t i = workspace->heap_size;

    if (i == workspace->heap_capacity) {
        clora_status status = alloc_grow((void **)&workspace->heap, &workspace->heap_capacity, i + 1, sizeof(uint64_t));
        if (status != CLORA_OK)
            return status;
    }
    for (; i > 0 && workspace->heap[(i - 1) / 2] > entry; i = (i - 1) / 2)
        workspace->heap[i] = workspace->heap[(i - 1) / 2];
    workspace->heap[i] = entry;
    workspace->heap_size++;
    return CLORA_OK;
}

static uint64_t heap_pop(bpe_workspace *workspace) {
    const uint64_t top = workspace->heap[0];

    workspace->heap[0] = workspace->heap[--workspace->heap_size];
    if (workspace->heap_size > 0)
        sift_down(workspace->heap, workspace->heap_size, 0);
    return top;
}

static clora_status push_pair(const bpe *b, bpe_workspace *workspace, int32_t left, int32_t right) {
    if (left < 0 || right < 0)
        return CLORA_OK;
    const merge *found = merges_find(&b->merges, workspace->ids[left], workspace->ids[right]);
    return found ? heap_push(workspace, (uint64_t)(uint32_t)found->rank << 32 | (uint32_t)left) : CLORA_OK;
}

static clora_status links_prepare(const bpe *b, bpe_workspace *workspace) {
    clora_status status = CLORA_OK;
    const size_t n = workspace->count;
    size_t capacity = workspace->links_capacity;

    if (n > INT32_MAX / 4)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "a stretch of %zu characters without a border is too long", n));
    TRY(alloc_grow((void **)&workspace->previous, &capacity, n, sizeof(int32_t)));
    TRY(alloc_grow((void **)&workspace->next, &workspace->links_capacity, n, sizeof(int32_t)));
    TRY(alloc_grow((void **)&workspace->heap, &workspace->heap_capacity, n, sizeof(uint64_t)));
    workspace->heap_size = 0;
    for (size_t i = 0; i < n; i++) {
        workspace->previous[i] = (int32_t)i - 1;
        workspace->next[i] = i + 1 < n ? (int32_t)i + 1 : -1;
        const int32_t rank = i + 1 < n ? rank_at(b, workspace->ids, i) : INT32_MAX;
        if (rank < INT32_MAX)
            workspace->heap[workspace->heap_size++] = (uint64_t)(uint32_t)rank << 32 | (uint32_t)i;
    }
    for (size_t i = workspace->heap_size / 2; i-- > 0;)
        sift_down(workspace->heap, workspace->heap_size, i);
done:
    return status;
}

/* Entries are not taken out of the heap when a neighbour changes: they are recognised as stale when they come up. */
static clora_status merge_many(const bpe *b, bpe_workspace *workspace) {
    clora_status status = CLORA_OK;
    int32_t *ids = workspace->ids, *previous, *next;
    size_t kept = 0;

    TRY(links_prepare(b, workspace));
    previous = workspace->previous;
    next = workspace->next;
    while (workspace->heap_size > 0) {
        const uint64_t top = heap_pop(workspace);
        const int32_t left = (int32_t)(top & UINT32_MAX), right = ids[left] < 0 ? -1 : next[left];
        const merge *found = right < 0 ? NULL : merges_find(&b->merges, ids[left], ids[right]);
        if (!found || found->rank != (int32_t)(top >> 32))
            continue;
        ids[left] = found->id;
        ids[right] = -1; /* gone */
        next[left] = next[right];
        if (next[left] >= 0)
            previous[next[left]] = left;
        TRY(push_pair(b, workspace, previous[left], left));
        TRY(push_pair(b, workspace, left, next[left]));
    }
    for (size_t i = 0; i < workspace->count; i++)
        if (ids[i] >= 0)
            ids[kept++] = ids[i];
        else
            follow_border(workspace, kept);
    workspace->count = kept;
done:
    return status;
}

clora_status bpe_merge(const bpe *b, bpe_workspace *workspace) {
    if (workspace->count > FEW_SYMBOLS)
        return merge_many(b, workspace);
    merge_few(b, workspace);
    return CLORA_OK;
}
