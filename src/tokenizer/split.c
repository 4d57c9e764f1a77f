#include "tokenizer/split.h"

#include <string.h>

clora_status split_behavior_read(split_behavior *out, const json_t *name, const char *where) {
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};

    for (size_t i = 0; json_is_string(name) && i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(json_string_value(name), names[i]) == 0) {
            *out = (split_behavior)i;
            return CLORA_OK;
        }
    return clora_fail(CLORA_ERROR_FORMAT,
                      "%s: \"behavior\" must be Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous",
                      where);
}

static clora_status emit(const splitter *s, size_t start, size_t end) {
    const piece part = piece_part(s->whole, start, end);

    return start == end ? CLORA_OK : s->sink(s->user, &part);
}

/* Give the pending stretch away and wait with this one instead. */
static clora_status replace_pending(splitter *s, size_t start, size_t end) {
    clora_status status = splitter_finish(s);

    s->start = start;
    s->end = end;
    s->pending = true;
    return status;
}

clora_status splitter_feed(splitter *s, size_t start, size_t end, bool is_delimiter) {
    const bool after_delimiter = s->last_is_delimiter;

    s->last_is_delimiter = is_delimiter;
    switch (s->behavior) {
    case SPLIT_REMOVED: return is_delimiter ? CLORA_OK : emit(s, start, end);
    case SPLIT_ISOLATED: return emit(s, start, end);
    case SPLIT_MERGED_WITH_PREVIOUS:
        if (!s->pending || !is_delimiter || after_delimiter)
            return replace_pending(s, start, end);
        s->end = end;
        return CLORA_OK;
    case SPLIT_CONTIGUOUS:
        if (!s->pending || is_delimiter != after_delimiter)
            return replace_pending(s, start, end);
        s->end = end;
        return CLORA_OK;
    case SPLIT_MERGED_WITH_NEXT: break; /* only a delimiter is ever pending */
    }
    if (is_delimiter)
        return replace_pending(s, start, end);
    if (!s->pending)
        return emit(s, start, end);
    s->pending = false;
    return emit(s, s->start, end);
}

clora_status splitter_finish(splitter *s) {
    if (!s->pending)
        return CLORA_OK;
    s->pending = false;
    return emit(s, s->start, s->end);
}
