#include "model/workspace_rooms.h"

#include "base/ints.h"
#include "model/family.h"
#include "ops/ops.h"

void rooms_list_gradients(attention_gradient out[ATTENTION_GRADIENTS], workspace *ws) {
    const model_config *c = &ws->model->config;
    const int queries = c->heads * c->head_dim;

    out[0] = (attention_gradient){&ws->dqkv, queries + 2 * c->kv_heads * c->head_dim, 0, 0};
    out[1] = (attention_gradient){&ws->dq_parts, op_attention_parts(ws->model->context) * queries, 0, 0};
    out[2] = (attention_gradient){&ws->datt, queries, 0, 0};
    out[3] = (attention_gradient){&ws->delta, c->heads, 0, 0};
}

bool rooms_find_places(attention_gradient list[ATTENTION_GRADIENTS], const workspace *ws) {
    const model_config *c = &ws->model->config;
    const size_t align = ws->model->context->address_align / sizeof(float), rows = (size_t)ws->max_rows;
    const size_t size[ROOMS] = {rows * (size_t)(c->family->plain_mlp ? c->ffn : 2 * c->ffn), rows * (size_t)c->ffn};
    size_t used[ROOMS] = {0};

    for (attention_gradient *g = list; g < list + ATTENTION_GRADIENTS; g++) {
        const int rooms = g->view == &ws->dqkv ? ROOM_ACT : ROOMS; /* its product writes where act may have been */
        const size_t n = divide_up_size(rows * (size_t)g->cols, align) * align;
        while (g->room < rooms && used[g->room] + n > size[g->room])
            g->room++;
        if (g->room == rooms)
            return false;
        g->at = used[g->room];
        used[g->room] += n;
    }
    return true;
}

void workspace_place_attention(workspace *ws, int l) {
    const clora_tensor *room[ROOMS] = {&workspace_layer(ws, l)->gu, &ws->act};
    attention_gradient list[ATTENTION_GRADIENTS];

    rooms_list_gradients(list, ws);
    if (!ws->lends_room || !rooms_find_places(list, ws))
        return;
    for (const attention_gradient *g = list; g < list + ATTENTION_GRADIENTS; g++)
        if (g->cols > 0)
            *g->view = tensor_slice(room[g->room], g->at, ws->M, g->cols);
}
