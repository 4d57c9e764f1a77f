#include "model/session_share.h"

#include <string.h>

#include "base/ints.h"
#include "model/layer_types.h"
#include "ops/attention.h"
#include "ops/matmul.h"

static attention_shape shape_of(const clora_session *s, int T, int S) {
    const model_config *c = &s->model->config;

    return (attention_shape){.B = 1, .T = T, .S = S, .H = c->heads, .G = c->kv_heads, .D = c->head_dim};
}

/* The fewest rows that go by the kernels for many. */
static int many_rows(const clora_session *s) {
    const int rows[] = {s->cache.capacity, s->cache.windows.rows};
    int T = GEMV_MOST_ROWS + 1;

    for (int i = 0; i < 2; i++)
        while (attention_by_rows(s->model->context, shape_of(s, T, rows[i])))
            T++;
    return T;
}

/* Of the first `common` tokens of a prompt those that need no computing. In layers with a window it matters besides
 * which rows attention has side by side. */
static int useful(const clora_session *s, int common, int T, int longest) {
    const int many = many_rows(s), n = least(common, T - 1), first = n / longest * longest;
    const int end = least(first + longest, T), taken = most(first, least(n, end - many));
    const attention_shape shape = shape_of(s, T, s->cache.windows.rows);
    const int window = model_largest_window(&s->model->config);
    const int together = window > 0 ? attention_lanes(s->model->context, shape) : 1;
    const int tokens = first + (taken - first) / together * together;

    return tokens < many ? 0 : tokens;
}

static text_origin origin_of(const clora_session *s, const clora_adapter *adapter) {
    return (text_origin){.adapter = adapter ? adapter->factors : 0,
                         .scale = adapter ? adapter->scale : 1.0f,
                         .merges = s->model->merged.changes,
                         .updates = s->model->context->updates};
}

static bool is_same(text_origin a, text_origin b) {
    return a.adapter == b.adapter && a.scale == b.scale && a.merges == b.merges && a.updates == b.updates;
}

static int common_of(const session_text *text, const int32_t *ids, int T) {
    const int most = least(text->prompt - text->before, T);
    int n = 0;

    while (n < most && text->ids[text->before + n] == ids[n])
        n++;
    return n;
}

beginning session_find_beginning(const clora_session *s, int sequence, const clora_adapter *adapter, const int32_t *ids,
                                 int T, int longest) {
    const text_origin origin = origin_of(s, adapter);
    const int past = adapter_past(adapter);
    const bool longer = workspace_is_longer(s->ws, past + T);
    beginning best = {sequence, 0};

    for (int b = 0; b < s->cache.B; b++) {
        const session_text *text = &s->text[b];
        if (text->prompt <= past || text->before != past || text->longer != longer || !is_same(text->origin, origin))
            continue;
        const int tokens = useful(s, common_of(text, ids, T), T, longest);
        const bool better = tokens > best.tokens || (tokens == best.tokens && b == sequence); /* its own need no copy */
        if (better && kv_reaches(&s->cache, b, past + tokens))
            best = (beginning){b, tokens};
    }
    return best;
}

void session_take_beginning(clora_session *s, int sequence, beginning from) {
    const session_text *original = &s->text[from.sequence];
    session_text *text = &s->text[sequence];
    const int length = original->before + from.tokens;

    if (text != original) {
        kv_share(&s->cache, sequence, from.sequence, length);
        memcpy(text->ids, original->ids, (size_t)length * sizeof(*text->ids));
    }
    text->prompt = s->length[sequence] = length;
    s->reused += (size_t)from.tokens;
}

void session_keep_beginning(clora_session *s, int sequence, const clora_adapter *adapter, int T, int longest) {
    const int last = (T - 1) % longest + 1; /* tokens of the last piece */
    session_text *text = &s->text[sequence];

    text->prompt = text->before + (last < many_rows(s) ? T - last : T);
    text->origin = origin_of(s, adapter);
}
