#include <stdlib.h>

#include "base/alloc.h"
#include "base/ints.h"
#include "model/layer_types.h"
#include "train/trainer.h"

/*
 * Which keys the queries of a row see in layers with a window. A sequence's tokens stand side by side, but for the
 * branches of a forked row: those after the first stand apart from their trunk, where the row begins.
 */
typedef struct row {
    const int32_t *positions, *first, *last;
    int T, window;
    int prefix; /* keys before each sequence's own */
} row;

/* The place of the trunk's token at a position. */
static int in_trunk(const row *r, int t, int position) {
    return r->first[t] + position - r->positions[r->first[t]];
}

static bool begins_branch(const row *r, int t) {
    return t == 0 || r->first[t] != r->first[t - 1] || r->positions[t] != r->positions[t - 1] + 1;
}

/* The first key that query t sees, whose branch begins at `branch`. */
static int first_key(const row *r, int t, int branch) {
    const int own = t - r->window + 1, apart = in_trunk(r, t, r->positions[t] - r->window + 1);

    return own >= branch ? own : most(r->first[t], r->first[t] == branch ? own : apart);
}

/* A branch's queries see the end of its trunk: the first one the most of it, from key `from` on. */
static void reach_back(int32_t *last, const row *r, int branch, int from) {
    const int end = in_trunk(r, branch, r->positions[branch]);

    for (int s = from; s < end; s++)
        last[s] = most(last[s], least(r->last[s], branch + r->positions[s] + r->window - 1 - r->positions[branch]));
}

static void limit_row(int32_t *first, int32_t *last, const row *r) {
    const int columns = r->prefix > 0 ? 2 : 1;
    int branch = 0;

    for (int t = 0; t < r->T; t++) {
        branch = begins_branch(r, t) ? t : branch;
        first[t * columns] = first_key(r, t, branch);
        if (columns > 1)
            first[t * columns + 1] = most(0, r->prefix + r->positions[t] - r->window + 1);
        last[t] = least(r->last[t], t + r->window - 1);
        if (branch == t && r->first[t] < t)
            reach_back(last, r, t, first[t * columns]);
    }
}

clora_status window_upload(workspace *ws, const clora_batch *batch) {
    const int T = batch->T, window = model_largest_window(&ws->model->config), columns = ws->prefix > 0 ? 2 : 1;
    const size_t n = (size_t)batch->B * (size_t)T;
    clora_status status = CLORA_OK;
    int32_t *first, *last;

    if (window == 0)
        return CLORA_OK;
    first = alloc_array(n * 3, sizeof(*first));
    if (!first)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a batch");
    last = first + 2 * n;
    for (size_t at = 0; at < n; at += (size_t)T) {
        const row r = {batch->positions + at, batch->first + at, batch->last + at, T, window, ws->prefix};
        limit_row(first + at * (size_t)columns, last + at, &r);
    }
    TRY(tensor_write_part(&ws->window_first, 0, n * (size_t)columns, first));
    TRY(tensor_write_part(&ws->window_last, 0, n, last));
done:
    free(first);
    return status;
}
