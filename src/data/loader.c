#include "data/dataset.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "data/dataset_store.h"
#include "data/epoch.h"

struct clora_loader {
    const clora_dataset *dataset;
    clora_loader_options options;
    epoch_order draws; /* of the epoch */
    size_t *row;       /* row r holds order[row[r]] to order[row[r + 1] - 1] */
    size_t rows;
    uint32_t epoch;
    size_t next; /* batch of the epoch that comes next */
    clora_batch batch;
};

/* With what is put before it. */
static int length_of(const clora_loader *loader, size_t place) {
    const int32_t *ids;

    return loader->options.prompt + clora_dataset_sequence(loader->dataset, loader->draws.order[place], &ids, NULL);
}

/* Whole sequences in order, as many as fit into a row. */
static void fill_rows(clora_loader *loader) {
    int64_t room = 0;

    loader->rows = 0;
    for (size_t i = 0; i < loader->draws.count; i++) {
        const int length = length_of(loader, i);
        if (!loader->options.pack || length > room) {
            loader->row[loader->rows++] = i;
            room = (int64_t)loader->options.prompt + loader->options.max_length;
        }
        room -= length;
    }
    loader->row[loader->rows] = loader->draws.count;
}

static void start_epoch(clora_loader *loader, uint32_t epoch) {
    loader->epoch = epoch;
    loader->next = 0;
    epoch_order_start(&loader->draws, epoch);
    fill_rows(loader);
}

static clora_status check(clora_loader_options *options, const clora_dataset *dataset) {
    const int longest = clora_dataset_get_stats(dataset)->longest;

    if (options->batch_size < 1)
        return clora_fail(CLORA_ERROR_ARGUMENT, "batch size %d; the least is 1", options->batch_size);
    if (options->max_length < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a maximum length of %d", options->max_length);
    if (options->max_length == 0)
        options->max_length = longest;
    if (longest > options->max_length)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a sequence of %d ids is longer than the maximum length %d", longest,
                          options->max_length);
    return CLORA_OK;
}

static clora_status allocate(clora_loader *loader) {
    const int longest = clora_dataset_get_stats(loader->dataset)->longest;
    const size_t width =
        (size_t)(loader->options.pack ? loader->options.max_length : longest) + (size_t)loader->options.prompt;
    const size_t wanted = (size_t)loader->options.batch_size;
    clora_batch *batch = &loader->batch;
    size_t n = 0;

    if (!size_mul(wanted < loader->draws.count ? wanted : loader->draws.count, width, &n) || n > INT_MAX)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%d rows of %zu ids are too many for a batch",
                          loader->options.batch_size, width);
    loader->row = alloc_array(loader->draws.count + 1, sizeof(*loader->row));
    batch->ids = alloc_array(n, sizeof(int32_t));
    batch->targets = alloc_array(n, sizeof(int32_t));
    batch->positions = alloc_array(n, sizeof(int32_t));
    batch->first = alloc_array(n, sizeof(int32_t));
    batch->last = alloc_array(n, sizeof(int32_t));
    if (!loader->row || !batch->ids || !batch->targets || !batch->positions || !batch->first || !batch->last)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for batches of %zu ids", n);
    return CLORA_OK;
}

clora_status clora_loader_create(clora_loader **out, const clora_dataset *dataset,
                                 const clora_loader_options *options) {
    clora_status status = CLORA_OK;
    clora_loader *loader = calloc(1, sizeof(*loader));

    *out = NULL;
    if (!loader)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a loader");
    shared_hold(&dataset->shared);
    loader->dataset = dataset;
    loader->options = *options;
    TRY(check(&loader->options, dataset));
    TRY(epoch_order_init(&loader->draws, dataset, options->shuffle, options->seed));
    TRY(allocate(loader));
    start_epoch(loader, 0);
    *out = loader;
    loader = NULL;
done:
    clora_loader_free(loader);
    return status;
}

void clora_loader_free(clora_loader *loader) {
    if (!loader)
        return;
    epoch_order_finish(&loader->draws);
    free(loader->row);
    free(loader->batch.ids);
    free(loader->batch.targets);
    free(loader->batch.positions);
    free(loader->batch.first);
    free(loader->batch.last);
    shared_let_go(&loader->dataset->shared);
    free(loader);
}

size_t clora_loader_sequences_per_epoch(const clora_loader *loader) {
    return loader->draws.count;
}

size_t clora_loader_batches_per_epoch(const clora_loader *loader) {
    const size_t size = (size_t)loader->options.batch_size;

    return loader->rows / size + (loader->rows % size != 0);
}

batch_place clora_loader_place(const clora_loader *loader) {
    return (batch_place){loader->epoch, loader->next};
}

clora_status clora_loader_seek(clora_loader *loader, batch_place place) {
    if (place.epoch != loader->epoch)
        start_epoch(loader, place.epoch);
    if (place.index > clora_loader_batches_per_epoch(loader))
        return clora_fail(CLORA_ERROR_ARGUMENT, "epoch %u has %zu batches; there is no batch %zu", place.epoch,
                          clora_loader_batches_per_epoch(loader), place.index);
    loader->next = place.index;
    return CLORA_OK;
}

/* Sequence `index`, after the prompt's ids, into the row that begins at element `row` of the batch, from position `at`
 * on. Returns its end. */
static int place_sequence(clora_batch *batch, const clora_loader *loader, size_t index, size_t row, int at) {
    const int P = loader->options.prompt;
    const int32_t *ids, *labels;
    const int n = clora_dataset_sequence(loader->dataset, index, &ids, &labels), end = at + P + n;
    const int ahead = loader->dataset->kind != CLORA_DATA_LABELS; /* a label is told where the text ends */

    for (int i = -P; i < n; i++) {
        const size_t e = row + (size_t)(at + P + i);
        const int32_t target = i + ahead >= 0 && i + ahead < n ? labels[i + ahead] : -1;
        batch->ids[e] = i < 0 ? loader->options.prompt_id + P + i : ids[i];
        batch->targets[e] = target;
        batch->positions[e] = P + i;
        batch->first[e] = at;
        batch->last[e] = end - 1;
        batch->learnt += target >= 0;
    }
    batch->tokens += (size_t)n;
    batch->sequences++;
    return end;
}

static void pad_row(clora_batch *batch, size_t row, int at) {
    for (int t = at; t < batch->T; t++) {
        const size_t e = row + (size_t)t;
        batch->ids[e] = 0;
        batch->targets[e] = -1;
        batch->positions[e] = 0;
        batch->first[e] = batch->last[e] = t;
    }
}

static int row_length(const clora_loader *loader, size_t r) {
    int length = 0;

    for (size_t i = loader->row[r]; i < loader->row[r + 1]; i++)
        length += length_of(loader, i);
    return length;
}

clora_status clora_loader_next(clora_loader *loader, const clora_batch **out) {
    const size_t size = (size_t)loader->options.batch_size;
    clora_batch *batch = &loader->batch;

    if (loader->next == clora_loader_batches_per_epoch(loader))
        start_epoch(loader, loader->epoch + 1);
    const size_t begin = loader->next * size, left = loader->rows - begin;
    batch->B = (int)(left < size ? left : size);
    batch->T = 0;
    batch->prompt = loader->options.prompt;
    batch->tokens = batch->learnt = batch->sequences = 0;
    for (int b = 0; b < batch->B; b++) {
        const int length = row_length(loader, begin + (size_t)b);
        batch->T = length > batch->T ? length : batch->T;
    }
    for (int b = 0; b < batch->B; b++) {
        const size_t r = begin + (size_t)b, row = (size_t)b * (size_t)batch->T;
        int at = 0;
        for (size_t i = loader->row[r]; i < loader->row[r + 1]; i++)
            at = place_sequence(batch, loader, loader->draws.order[i], row, at);
        pad_row(batch, row, at);
    }
    loader->next++;
    *out = batch;
    return CLORA_OK;
}
