#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "train/trainer.h"

clora_status batch_check_ids(const clora_model *model, const clora_adapter *adapter, const clora_dataset *dataset) {
    const int past = adapter_past(adapter);
    const clora_dataset_stats *stats = clora_dataset_get_stats(dataset);

    if (stats->largest_id >= model->config.vocab)
        return clora_fail(
            CLORA_ERROR_ARGUMENT,
            "the dataset holds token id %d; the model's vocabulary has %d: take the model's own tokenizer",
            stats->largest_id, model->config.vocab);
    if (past > 0 && stats->longest > model->config.max_positions - past)
        return clora_fail(
            CLORA_ERROR_ARGUMENT,
            "a sequence of %d tokens after the adapter's %d positions; the model has %d: lower the length",
            stats->longest, past, model->config.max_positions);
    if (stats->longest > model->config.max_positions)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a sequence of %d tokens; the model has %d positions: lower the length",
                          stats->longest, model->config.max_positions);
    return CLORA_OK;
}

/* The numbers of the rows with targets. */
static clora_status upload_learnt(workspace *ws, const clora_batch *batch) {
    int32_t *rows = alloc_array((size_t)ws->M, sizeof(*rows));
    clora_status status = CLORA_OK;

    if (!rows)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a batch");
    ws->learnt_rows = 0;
    for (int m = 0; m < ws->M; m++)
        if (batch->targets[m] >= 0)
            rows[ws->learnt_rows++] = m;
    if (ws->learnt_rows > 0)
        TRY(tensor_write_part(&ws->learnt, 0, (size_t)ws->learnt_rows, rows));
done:
    free(rows);
    return status;
}

/* One past the last row of the batch whose queries begin to see keys where those of row e do: rows of one text, or of
 * two answers to one prompt. */
static size_t text_end(const clora_batch *batch, size_t e) {
    const size_t T = (size_t)batch->T, end = (e / T + 1) * T;
    const int32_t first = batch->first[e];

    while (e < end && batch->first[e] == first)
        e++;
    return e;
}

/* Where rotations depend on the length of a text, each text has those of its own. */
static clora_status upload_positions(workspace *ws, const clora_batch *batch) {
    const size_t n = (size_t)ws->M;
    clora_status status = CLORA_OK;
    int32_t *rows;

    if (!ws->longer)
        return tensor_write_part(&ws->positions, 0, n, batch->positions);
    rows = alloc_array(n, sizeof(*rows));
    if (!rows)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a batch");
    for (size_t e = 0, end; e < n; e = end) {
        int length = 0;
        end = text_end(batch, e);
        for (size_t i = e; i < end; i++)
            length = batch->positions[i] >= length ? batch->positions[i] + 1 : length;
        for (size_t i = e; i < end; i++)
            rows[i] = workspace_rope_row(ws, batch->positions[i], workspace_is_longer(ws, ws->prefix + length));
    }
    TRY(tensor_write_part(&ws->positions, 0, n, rows));
done:
    free(rows);
    return status;
}

clora_status batch_upload(workspace *ws, const clora_batch *batch) {
    const size_t n = (size_t)batch->B * (size_t)batch->T;
    clora_status status = CLORA_OK;

    if (n > (size_t)ws->max_rows)
        return clora_fail(CLORA_ERROR_SHAPE, "a batch of %d x %d tokens; the workspace holds %d", batch->B, batch->T,
                          ws->max_rows);
    workspace_set_shape(ws, batch->B, batch->T);
    ws->forked = batch->forked;
    ws->has_prompt = batch->prompt > 0;
    TRY(clora_tensor_zero(&ws->past));
    TRY(tensor_write_part(&ws->ids, 0, n, batch->ids));
    TRY(tensor_write_part(&ws->targets, 0, n, batch->targets));
    TRY(upload_positions(ws, batch));
    TRY(tensor_write_part(&ws->first, 0, n, batch->first));
    TRY(tensor_write_part(&ws->last, 0, n, batch->last));
    TRY(window_upload(ws, batch));
    TRY(upload_learnt(ws, batch));
done:
    return status;
}

static clora_status sum(double *out, const clora_tensor *t, float *staging) {
    const size_t n = clora_tensor_count(t);
    const clora_status status = clora_tensor_read(t, staging);

    if (status != CLORA_OK)
        return status;
    *out = 0.0;
    for (size_t i = 0; i < n; i++)
        *out += (double)staging[i];
    return CLORA_OK;
}

clora_status batch_results(const workspace *ws, float *staging, double *nll, double *hits) {
    clora_status status = CLORA_OK;

    TRY(sum(nll, &ws->nll, staging));
    if (hits)
        TRY(sum(hits, &ws->hit, staging));
done:
    return status;
}

clora_status batch_check_loss(float loss, int step) {
    if (isfinite(loss))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_FORMAT, "step %d: the loss is not finite; a smaller learning rate may help", step);
}
