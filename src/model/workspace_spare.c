#include "model/workspace.h"

/* From one view to the end of another: all of the arena between them, if they are in one buffer. */
static clora_tensor stretch(const clora_tensor *first, const clora_tensor *last) {
    const size_t n = last->offset + clora_tensor_count(last) - first->offset;

    if (first->buffer != last->buffer || n > INT32_MAX)
        return (clora_tensor){0};
    return tensor_slice(first, 0, 1, (int)n);
}

/* Of logits what is beyond that which layers share. */
static clora_tensor spare_logits(const workspace *ws) {
    const size_t end = ws->logits.offset + clora_tensor_count(&ws->logits), from = ws->passing.used / sizeof(float);

    if (!ws->logits.buffer || ws->memory.chunk[ws->passing.chunk] != ws->logits.buffer || from >= end)
        return (clora_tensor){0};
    return tensor_slice(&ws->logits, from - ws->logits.offset, 1, (int)(end - from));
}

clora_tensor workspace_spare(workspace *ws, int layer, int i) {
    const int above = layer + 1;

    if (i == 0)
        return stretch(workspace_stream(ws, above), workspace_stream(ws, above));
    if (above >= ws->model->config.layers)
        return i == 1 ? spare_logits(ws) : (clora_tensor){0};
    switch (i) {
    case 1:
        if (!workspace_keeps_attention(ws))
            break;
        return stretch(&workspace_attention(ws, above)->qkv, &workspace_attention(ws, above)->lse);
    default:
        if (!workspace_keeps_layers(ws))
            break;
        return stretch(&workspace_layer(ws, above)->rstd_attention, &workspace_layer(ws, above)->gu);
    }
    return (clora_tensor){0};
}
