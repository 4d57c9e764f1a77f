#include "model/session_pages.h"

#include "base/ints.h"
#include "model/session_share.h"

/* The sequence whose text has ended first of those that have pages; -1: none has. */
static int longest_ended(const clora_session *s, int but) {
    int found = -1;

    for (int b = 0; b < s->cache.B; b++) {
        if (b == but || s->text[b].promised || !kv_has_pages(&s->cache, b))
            continue;
        if (found < 0 || s->text[b].ended < s->text[found].ended)
            found = b;
    }
    return found;
}

static void clear(clora_session *s, int sequence) {
    kv_begin(&s->cache, sequence, 0);
    session_forget(s, sequence);
    s->text[sequence].prompt = 0;
}

void session_find_pages(clora_session *s, int sequence, int T) {
    while (kv_needed(&s->cache, sequence, s->length[sequence], T) > kv_spare(&s->cache)) {
        const int b = longest_ended(s, sequence);
        if (b < 0)
            return;
        clear(s, b);
    }
}

void session_end(clora_session *s, int sequence) {
    s->text[sequence].promised = 0;
    s->text[sequence].ended = ++s->endings;
}

/* Will a text go through the model again, in pages of its own, when it is longer than the model was trained for? */
static bool goes_again(const clora_session *s, bool longer, int positions) {
    return longer != workspace_is_longer(s->ws, positions);
}

/* Pages that a text with a promise may still come to need. */
static int outstanding(const clora_session *s, int b) {
    const session_text *text = &s->text[b];
    const int from = goes_again(s, text->longer, text->promised) ? 0 : s->length[b];

    return kv_needed(&s->cache, b, from, text->promised - from);
}

/* Pages of a prompt that stay in common with a text that has a promise. */
static int taken(const clora_session *s, int sequence, const clora_adapter *adapter, const int32_t *ids, int T,
                 int positions) {
    const beginning from = session_find_beginning(s, sequence, adapter, ids, T, session_longest(s, 1));
    const session_text *text = &s->text[from.sequence];
    const int past = adapter_past(adapter);

    if (!text->promised || goes_again(s, text->longer, text->promised) ||
        goes_again(s, workspace_is_longer(s->ws, past + T), positions))
        return 0;
    return (past + from.tokens) / s->cache.page;
}

bool session_promise(clora_session *s, int sequence, const clora_adapter *adapter, const int32_t *ids, int T,
                     int positions) {
    session_text *text = &s->text[sequence];
    int needed = divide_up(positions, s->cache.page);

    text->promised = 0;
    needed -= taken(s, sequence, adapter, ids, T, positions);
    kv_unmark(&s->cache);
    for (int b = 0; b < s->cache.B; b++)
        if (s->text[b].promised)
            needed += kv_mark(&s->cache, b) + outstanding(s, b);
    if (needed > s->cache.whole.pages)
        return false;
    text->promised = positions;
    return true;
}
