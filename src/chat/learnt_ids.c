#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "chat/token_places.h"

/* Of a text's ranges to its ids: an id is learnt when it stands for any of a range. */

static void mark_places(unsigned char *learnt, const template_range *places, size_t count,
                        const template_result *text) {
    size_t range = 0;

    for (size_t i = 0; i < count; i++) {
        while (range < text->learnt_count && places[i].from >= text->learnt[range].to)
            range++;
        if (range == text->learnt_count)
            break;
        learnt[i] = places[i].to > text->learnt[range].from;
    }
}

/* How many ids the beginning of a text has of the whole; *crossed says that another id holds its end. */
static clora_status count_before(size_t *out, bool *crossed, const clora_tokenizer *tokenizer,
                                 const template_result *text, size_t size, const int32_t *ids, size_t count) {
    clora_status status = CLORA_OK;
    int32_t *own = NULL;
    size_t n = 0;

    *out = 0;
    TRY(clora_tokenizer_encode(tokenizer, text->text, size, 0, &own, &n));
    while (*out < n && *out < count && own[*out] == ids[*out])
        ++*out;
    *crossed = *out < n;
done:
    free(own);
    return status;
}

/* Where the tokenizer changes the text, ids are counted by encoding its beginnings. */
static clora_status mark_by_beginnings(unsigned char *learnt, const clora_tokenizer *tokenizer,
                                       const template_result *text, const int32_t *ids, size_t count) {
    clora_status status = CLORA_OK;
    bool crossed;

    for (size_t i = 0; i < text->learnt_count; i++) {
        size_t from = 0, to = 0;
        TRY(count_before(&from, &crossed, tokenizer, text, text->learnt[i].from, ids, count));
        TRY(count_before(&to, &crossed, tokenizer, text, text->learnt[i].to, ids, count));
        to += crossed && to < count;
        if (from < to)
            memset(learnt + from, 1, to - from);
    }
done:
    return status;
}

clora_status learnt_mark(unsigned char *learnt, const clora_tokenizer *tokenizer, const template_result *text,
                         const int32_t *ids, size_t count) {
    template_range *places = alloc_array(count + 1, sizeof(*places));
    clora_status status = CLORA_OK;
    bool known = false;

    if (!places)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a conversation");
    TRY(token_places(places, &known, tokenizer, text, ids, count));
    if (known)
        mark_places(learnt, places, count, text);
    else
        TRY(mark_by_beginnings(learnt, tokenizer, text, ids, count));
done:
    free(places);
    return status;
}
