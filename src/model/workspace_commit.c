#include <stdlib.h>

#include "base/alloc.h"
#include "model/rope_table.h"
#include "model/workspace.h"

static clora_status write_prefix(workspace *ws) {
    const size_t n = clora_tensor_count(&ws->past_prefix);
    int32_t *past = alloc_array(n, sizeof(*past));
    clora_status status = CLORA_OK;

    if (!past)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the workspace"));
    for (size_t i = 0; i < n; i++)
        past[i] = ws->prefix;
    TRY(clora_tensor_write(&ws->past_prefix, past));
done:
    free(past);
    return status;
}

static clora_status write_rope(clora_tensor *rope, const rope_settings *settings, int longer) {
    float *table = alloc_array(clora_tensor_count(rope), sizeof(*table));
    clora_status status = CLORA_OK;

    if (!table)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the rotation's table"));
    rope_table(table, settings, rope->shape[0] - longer, false);
    rope_table(table + (size_t)longer * (size_t)settings->width, settings, longer, true);
    TRY(clora_tensor_write(rope, table));
done:
    free(table);
    return status;
}

clora_status workspace_commit(workspace *ws) {
    clora_status status = CLORA_OK;

    TRY(arena_commit(&ws->memory));
    if (ws->prefix > 0)
        TRY(write_prefix(ws));
    for (int i = 0; i < ROPES; i++)
        if (ws->rope[i].buffer)
            TRY(write_rope(&ws->rope[i], &ws->model->config.rope[i], ws->longer));
done:
    return status;
}
