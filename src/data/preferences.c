#include <stdlib.h>

#include "data/dataset.h"
#include "data/dataset_store.h"
#include "tokenizer/text_buffer.h"

/* The ids of a prompt, or of a prompt and an answer as one text; without what is put around it. */
typedef struct text_ids {
    int32_t *ids;
    size_t count;
} text_ids;

/* answer: of a size of 0 for the prompt alone */
static clora_status encode(dataset_builder *builder, dataset_text prompt, dataset_text answer, text_ids *out) {
    text_buffer whole = {0};
    size_t dropped = 0;
    clora_status status = CLORA_OK;

    TRY(text_append(&whole, prompt.data, prompt.size));
    TRY(text_append(&whole, answer.data, answer.size));
    TRY(clora_tokenizer_encode(builder->tokenizer, whole.data ? whole.data : "", whole.size, 0, &out->ids,
                               &out->count));
    if (answer.size == 0)
        goto done; /* what it drops counts with the answer */
    TRY(clora_tokenizer_count_dropped(builder->tokenizer, whole.data, whole.size, &dropped));
    builder->dataset->stats.dropped += (int64_t)dropped;
done:
    text_finish(&whole);
    return status;
}

static size_t common_prefix(const text_ids *a, const text_ids *b) {
    size_t n = 0;

    while (n < a->count && n < b->count && a->ids[n] == b->ids[n])
        n++;
    return n;
}

/* [bos] prompt answer [eos], as far as max_length goes; the first `prompt` ids are not the answer's. */
static clora_status add_answer(dataset_builder *builder, const text_ids *whole, size_t prompt, bool desirable,
                               size_t line) {
    clora_dataset *dataset = builder->dataset;
    clora_dataset_stats *stats = &dataset->stats;
    const bool own_bos = builder->bos >= 0 && whole->count > 0 && whole->ids[0] == builder->bos;
    const bool own_eos = builder->eos >= 0 && whole->count > 0 && whole->ids[whole->count - 1] == builder->eos;
    const bool bos = builder->bos >= 0 && !own_bos, eos = builder->eos >= 0 && !own_eos;
    const size_t room = (size_t)builder->options.max_length - bos;
    const size_t kept = whole->count < room ? whole->count : room;
    clora_status status = CLORA_OK;
    size_t learnt;

    if (bos)
        TRY(dataset_push(dataset, &builder->bos, NULL, 1));
    TRY(dataset_push(dataset, whole->ids, NULL, prompt));
    TRY(dataset_push(dataset, whole->ids + prompt, whole->ids + prompt, kept - prompt));
    if (eos && kept < room)
        TRY(dataset_push(dataset, &builder->eos, &builder->eos, 1));
    TRY(dataset_mark_answer(dataset, (dataset_answer){(int)(prompt + bos), desirable}));
    TRY(dataset_close_sequence(dataset, &learnt));
    if (learnt == 0)
        TRY(dataset_fail(builder, line, "nothing to learn: the answer gives no ids after the sequence's first"));
    stats->truncated_targets += whole->count + eos > room;
    stats->own_bos += own_bos;
    stats->own_eos += own_eos;
done:
    return status;
}

/* Whether a prompt leaves room for an id of an answer; if not, that is counted. */
static bool has_room(dataset_builder *builder, const text_ids *whole, size_t prompt) {
    const bool bos = builder->bos >= 0 && !(whole->count > 0 && whole->ids[0] == builder->bos);
    const bool room = prompt + bos < (size_t)builder->options.max_length;

    builder->dataset->stats.long_prompts += !room;
    return room;
}

clora_status dataset_add_preference(dataset_builder *builder, dataset_text prompt, dataset_text chosen,
                                    dataset_text rejected, size_t line) {
    text_ids alone = {0}, better = {0}, worse = {0};
    clora_status status = CLORA_OK;

    TRY(encode(builder, prompt, (dataset_text){"", 0}, &alone));
    TRY(encode(builder, prompt, chosen, &better));
    TRY(encode(builder, prompt, rejected, &worse));
    const size_t a = common_prefix(&alone, &better), b = common_prefix(&alone, &worse), shared = a < b ? a : b;
    if (!has_room(builder, &better, shared))
        goto done;
    TRY(add_answer(builder, &better, shared, true, line));
    TRY(add_answer(builder, &worse, shared, false, line));
done:
    free(alone.ids);
    free(better.ids);
    free(worse.ids);
    return status;
}

clora_status dataset_add_unpaired(dataset_builder *builder, dataset_text prompt, dataset_text completion,
                                  bool desirable, size_t line) {
    text_ids alone = {0}, whole = {0};
    clora_status status = CLORA_OK;

    TRY(encode(builder, prompt, (dataset_text){"", 0}, &alone));
    TRY(encode(builder, prompt, completion, &whole));
    const size_t shared = common_prefix(&alone, &whole);
    if (has_room(builder, &whole, shared))
        TRY(add_answer(builder, &whole, shared, desirable, line));
done:
    free(alone.ids);
    free(whole.ids);
    return status;
}
