#include "data/answers.h"

#include <limits.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/rng.h"
#include "data/dataset_store.h"

struct answer_loader {
    const clora_dataset *dataset;
    answer_loader_options options;
    size_t per;    /* answers to a prompt, side by side in the dataset */
    size_t count;  /* prompts */
    size_t *order; /* the epoch's permutation of the prompts */
    uint32_t epoch;
    size_t next; /* batch of the epoch that comes next */
    int width;   /* of the longest row */
    answer_batch batch;
};

static int larger(int a, int b) {
    return a > b ? a : b;
}

/* The ids of a prompt and an answer to it. */
typedef struct sequence {
    const int32_t *prompt, *answer;
    int learnt; /* ids that are put before it, of a prompt that is learnt */
    int P, n;   /* ids of both prompts, and of all */
    size_t index;
    bool desirable;
} sequence;

/* The prompt of one sequence of the dataset and the answer of another, or its own, after `learnt` ids. */
static sequence sequence_of(const clora_dataset *d, size_t prompt, size_t answer, int learnt) {
    const int P = d->answer[prompt].prompt, own = d->answer[answer].prompt;
    sequence s = {.learnt = learnt, .P = learnt + P, .index = prompt, .desirable = d->answer[prompt].desirable};

    s.prompt = dataset_ids(d, prompt);
    s.answer = dataset_ids(d, answer) + own;
    s.n = P + (int)d->place[answer].count - own;
    if (d->max_length > 0 && s.n > d->max_length)
        s.n = d->max_length;
    s.n += learnt;
    return s;
}

static int32_t id_at(const answer_loader *l, const sequence *s, int t) {
    if (t < s->learnt)
        return l->options.prompt_id + t;
    return t < s->P ? s->prompt[t - s->learnt] : s->answer[t - s->P];
}

static void pad(clora_batch *rows, size_t row, int at) {
    for (int t = at; t < rows->T; t++) {
        const size_t e = row + (size_t)t;
        rows->ids[e] = rows->positions[e] = 0;
        rows->targets[e] = -1;
        rows->first[e] = rows->last[e] = t;
    }
}

/* Rows before the first that predicts the answer. */
static int rows_before(const sequence *s) {
    return s->P > 0 ? s->P - 1 : 0;
}

/* A sequence without its first `skip` ids, from position `at` on of the row that begins at element `row`. Returns its
 * end. */
static int place(answer_loader *l, batch_answer *out, int row, int at, int skip, const sequence *s) {
    clora_batch *rows = &l->batch.rows;
    const int before = rows_before(s), end = at + s->n - skip;
    const int first = s->learnt > 0 ? s->learnt - 1 : 0; /* that predicts an id of the dataset */
    const int learnt = l->options.learn_prompts && s->desirable ? first : before;

    for (int t = skip; t < s->n; t++) {
        const int e = row + at + t - skip;
        rows->ids[e] = id_at(l, s, t);
        rows->positions[e] = t;
        rows->targets[e] = t >= learnt && t + 1 < s->n ? id_at(l, s, t + 1) : -1;
        rows->first[e] = 0;
        rows->last[e] = end - 1;
        rows->learnt += rows->targets[e] >= 0;
    }
    rows->tokens += (size_t)(s->n - (at > 0 ? s->P : s->learnt));
    rows->sequences++;
    *out = (batch_answer){
        {row + first, before - first}, {row + at + before - skip, s->n - 1 - before}, s->index, s->desirable};
    return end;
}

static void start_epoch(answer_loader *l, uint32_t epoch) {
    l->epoch = epoch;
    l->next = 0;
    if (l->options.shuffle)
        rng_permutation(l->order, l->count, l->options.seed, epoch);
    else
        for (size_t i = 0; i < l->count; i++)
            l->order[i] = i;
}

/* Sequence i of the batch that comes next: with the answer of the one `shift` places before it. */
static sequence pick(const answer_loader *l, size_t i, size_t n, size_t shift) {
    const size_t *order = l->order + l->next * (size_t)l->options.batch_size, j = (i + n - shift) % n;

    return sequence_of(l->dataset, order[i / l->per] * l->per + i % l->per, order[j / l->per] * l->per + j % l->per,
                       l->batch.rows.prompt);
}

/*
 * Row b of the batch. Both answers of a pair are in one, so that the model goes through their prompt once: the prompt,
 * the first answer, and the second, which sees the prompt but not the first. Each begins with the prompt's last id, for
 * that predicts its first.
 */
static void fill_row(answer_loader *l, int b, size_t n, size_t shift) {
    clora_batch *rows = &l->batch.rows;
    const size_t i = (size_t)b * l->per;
    const int row = b * rows->T;
    sequence s = pick(l, i, n, shift);
    int end = place(l, &l->batch.answer[i], row, 0, 0, &s);

    if (l->per == 2) {
        const int shared = rows_before(&s);
        s = pick(l, i + 1, n, shift);
        end = place(l, &l->batch.answer[i + 1], row, end, shared, &s);
        for (int t = 0; t < shared; t++)
            rows->last[row + t] = end - 1;
    }
    pad(rows, (size_t)row, end);
}

static int row_length(const answer_loader *l, int b, size_t n, size_t shift) {
    const size_t i = (size_t)b * l->per;
    const sequence s = pick(l, i, n, shift);

    return l->per == 2 ? s.n + pick(l, i + 1, n, shift).n - rows_before(&s) : s.n;
}

void answer_loader_peek(answer_loader *l, const answer_view *view, const answer_batch **out) {
    const size_t size = (size_t)l->options.batch_size;
    answer_batch *batch = &l->batch;
    clora_batch *rows = &batch->rows;
    const size_t shift = view->mismatched;

    if (l->next == answer_loader_batches_per_epoch(l))
        start_epoch(l, l->epoch + 1);
    const size_t left = l->count - l->next * size, prompts = left < size ? left : size;
    batch->count = prompts * l->per;
    rows->B = (int)prompts;
    rows->T = 0;
    rows->prompt = view->prompt;
    rows->tokens = rows->learnt = rows->sequences = 0;
    for (int b = 0; b < rows->B; b++)
        rows->T = larger(rows->T, row_length(l, b, batch->count, shift));
    for (int b = 0; b < rows->B; b++)
        fill_row(l, b, batch->count, shift);
    *out = batch;
}

void answer_loader_advance(answer_loader *loader) {
    loader->next++;
}

batch_place answer_loader_place(const answer_loader *loader) {
    return (batch_place){loader->epoch, loader->next};
}

clora_status answer_loader_seek(answer_loader *loader, batch_place place) {
    if (place.index > answer_loader_batches_per_epoch(loader))
        return clora_fail(CLORA_ERROR_ARGUMENT, "an epoch has %zu batches; there is no batch %zu",
                          answer_loader_batches_per_epoch(loader), place.index);
    if (place.epoch != loader->epoch)
        start_epoch(loader, place.epoch);
    loader->next = place.index;
    return CLORA_OK;
}

size_t answer_loader_batches_per_epoch(const answer_loader *l) {
    const size_t size = (size_t)l->options.batch_size;

    return l->count / size + (l->count % size != 0);
}

void answer_loader_shape(const answer_loader *l, int *B, int *T) {
    const size_t size = (size_t)l->options.batch_size;

    *B = (int)(l->count < size ? l->count : size);
    *T = l->width;
}

/* Ids of the longest row of pairs. */
static int longest_pair(const clora_dataset *d) {
    int longest = 0;

    for (size_t i = 0; i + 1 < d->count; i += 2) {
        const sequence s = sequence_of(d, i, i, 0);
        longest = larger(longest, s.n + sequence_of(d, i + 1, i + 1, 0).n - rows_before(&s));
    }
    return longest;
}

/* Ids of the longest sequence where any answer may follow any prompt. */
static int longest_mismatch(const clora_dataset *d) {
    int prompt = 0, answer = 0;

    for (size_t i = 0; i < d->count; i++) {
        prompt = larger(prompt, d->answer[i].prompt);
        answer = larger(answer, (int)d->place[i].count - d->answer[i].prompt);
    }
    return d->max_length > 0 && prompt + answer > d->max_length ? d->max_length : prompt + answer;
}

int answers_longest_row(const clora_dataset *dataset) {
    return dataset->kind == CLORA_DATA_PREFERENCE ? longest_pair(dataset) : longest_mismatch(dataset);
}

static clora_status allocate(answer_loader *l) {
    clora_batch *rows = &l->batch.rows;
    int B, T;
    size_t n = 0;

    answer_loader_shape(l, &B, &T);
    if (!size_mul((size_t)B, (size_t)T + (size_t)l->options.prompt, &n) || n > INT_MAX)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d rows of %d ids are too many for a batch", B, T);
    l->order = alloc_array(l->count, sizeof(*l->order));
    l->batch.answer = alloc_array((size_t)B * l->per, sizeof(*l->batch.answer));
    rows->ids = alloc_array(n, sizeof(int32_t));
    rows->targets = alloc_array(n, sizeof(int32_t));
    rows->positions = alloc_array(n, sizeof(int32_t));
    rows->first = alloc_array(n, sizeof(int32_t));
    rows->last = alloc_array(n, sizeof(int32_t));
    if (!l->order || !l->batch.answer || !rows->ids || !rows->targets || !rows->positions || !rows->first ||
        !rows->last)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for batches of %zu ids", n);
    return CLORA_OK;
}

clora_status answer_loader_create(answer_loader **out, const clora_dataset *dataset,
                                  const answer_loader_options *options) {
    clora_status status = CLORA_OK;
    answer_loader *l = calloc(1, sizeof(*l));

    *out = NULL;
    if (!l)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a loader");
    shared_hold(&dataset->shared);
    l->dataset = dataset;
    l->options = *options;
    l->per = dataset->kind == CLORA_DATA_PREFERENCE ? 2 : 1;
    l->count = dataset->count / l->per;
    l->width = l->per == 2         ? longest_pair(dataset)
               : options->mismatch ? longest_mismatch(dataset)
                                   : dataset->stats.longest;
    l->batch.rows.forked = l->per == 2;
    if (options->batch_size < 1 || options->batch_size > INT_MAX / 2)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "batch size %d; the least is 1", options->batch_size));
    TRY(allocate(l));
    start_epoch(l, 0);
    *out = l;
    l = NULL;
done:
    answer_loader_free(l);
    return status;
}

void answer_loader_free(answer_loader *l) {
    if (!l)
        return;
    free(l->order);
    free(l->batch.answer);
    free(l->batch.rows.ids);
    free(l->batch.rows.targets);
    free(l->batch.rows.positions);
    free(l->batch.rows.first);
    free(l->batch.rows.last);
    shared_let_go(&l->dataset->shared);
    free(l);
}
