#include <stdlib.h>

#include "data/chat_rows.h"
#include "data/dataset_store.h"
#include "data/preferences.h"
#include "tokenizer/text_buffer.h"

/* The ids of a prompt, or of a prompt and an answer as one text; without what is put around it. */
typedef struct text_ids {
    int32_t *ids;
    size_t count;
    int32_t bos, eos; /* to be put there; -1: nothing is */
} text_ids;

/* answer: of a size of 0 for the prompt alone */
static clora_status encode(dataset_builder *builder, dataset_text prompt, dataset_text answer, text_ids *out) {
    text_buffer whole = {0};
    size_t dropped = 0;
    clora_status status = CLORA_OK;

    *out = (text_ids){.bos = builder->bos, .eos = builder->eos};
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

/* Lists of messages, of which a template writes both ends. answer: NULL for the prompt alone, as it is asked */
static clora_status encode_messages(dataset_builder *builder, const json_t *row, const json_t *answer, size_t line,
                                    text_ids *out) {
    static const char *const others[] = {"messages", "conversations", "completion"};
    clora_chat_options options = CLORA_CHAT_OPTIONS_INIT;
    json_t *pair = json_copy((json_t *)(uintptr_t)row);
    clora_status status = CLORA_OK;
    clora_chat_text text = {0};

    options.learn = 0;
    options.generation_prompt = !answer;
    for (size_t i = 0; i < 3; i++)
        json_object_del(pair, others[i]);
    if (!pair || (answer && json_object_set(pair, "completion", (json_t *)(uintptr_t)answer) < 0))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a row of %s", builder->path));
    TRY(dataset_encode_chat(&text, builder, pair, &options, line));
    *out = (text_ids){text.ids, text.count, -1, -1};
    text.ids = NULL;
done:
    chat_text_finish(&text);
    json_decref(pair);
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
    const bool own_bos = whole->bos >= 0 && whole->count > 0 && whole->ids[0] == whole->bos;
    const bool own_eos = whole->eos >= 0 && whole->count > 0 && whole->ids[whole->count - 1] == whole->eos;
    const bool bos = whole->bos >= 0 && !own_bos, eos = whole->eos >= 0 && !own_eos;
    const size_t room = (size_t)builder->options.max_length - bos;
    const size_t kept = whole->count < room ? whole->count : room;
    clora_status status = CLORA_OK;
    size_t learnt;

    if (bos)
        TRY(dataset_push(dataset, &whole->bos, NULL, 1));
    TRY(dataset_push(dataset, whole->ids, NULL, prompt));
    TRY(dataset_push(dataset, whole->ids + prompt, whole->ids + prompt, kept - prompt));
    if (eos && kept < room)
        TRY(dataset_push(dataset, &whole->eos, &whole->eos, 1));
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
    const bool bos = whole->bos >= 0 && !(whole->count > 0 && whole->ids[0] == whole->bos);
    const bool room = prompt + bos < (size_t)builder->options.max_length;

    builder->dataset->stats.long_prompts += !room;
    return room;
}

/* The answers are what follows the ids that the prompt alone has in both. */
static clora_status add_pair(dataset_builder *builder, const text_ids *alone, const text_ids *better,
                             const text_ids *worse, size_t line) {
    const size_t a = common_prefix(alone, better), b = common_prefix(alone, worse), shared = a < b ? a : b;
    clora_status status = CLORA_OK;

    if (!has_room(builder, better, shared))
        return CLORA_OK;
    TRY(add_answer(builder, better, shared, true, line));
    TRY(add_answer(builder, worse, shared, false, line));
done:
    return status;
}

static clora_status add_single(dataset_builder *builder, const text_ids *alone, const text_ids *whole, bool desirable,
                               size_t line) {
    const size_t shared = common_prefix(alone, whole);

    return has_room(builder, whole, shared) ? add_answer(builder, whole, shared, desirable, line) : CLORA_OK;
}

clora_status dataset_add_preference(dataset_builder *builder, dataset_text prompt, dataset_text chosen,
                                    dataset_text rejected, size_t line) {
    text_ids alone = {0}, better = {0}, worse = {0};
    clora_status status = CLORA_OK;

    TRY(encode(builder, prompt, (dataset_text){"", 0}, &alone));
    TRY(encode(builder, prompt, chosen, &better));
    TRY(encode(builder, prompt, rejected, &worse));
    TRY(add_pair(builder, &alone, &better, &worse, line));
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
    TRY(add_single(builder, &alone, &whole, desirable, line));
done:
    free(alone.ids);
    free(whole.ids);
    return status;
}

clora_status dataset_add_preference_messages(dataset_builder *builder, const json_t *row, size_t line) {
    text_ids alone = {0}, better = {0}, worse = {0};
    clora_status status = CLORA_OK;

    TRY(encode_messages(builder, row, NULL, line, &alone));
    TRY(encode_messages(builder, row, json_object_get(row, "chosen"), line, &better));
    TRY(encode_messages(builder, row, json_object_get(row, "rejected"), line, &worse));
    TRY(add_pair(builder, &alone, &better, &worse, line));
done:
    free(alone.ids);
    free(better.ids);
    free(worse.ids);
    return status;
}

clora_status dataset_add_unpaired_messages(dataset_builder *builder, const json_t *row, bool desirable, size_t line) {
    text_ids alone = {0}, whole = {0};
    clora_status status = CLORA_OK;

    TRY(encode_messages(builder, row, NULL, line, &alone));
    TRY(encode_messages(builder, row, json_object_get(row, "completion"), line, &whole));
    TRY(add_single(builder, &alone, &whole, desirable, line));
done:
    free(alone.ids);
    free(whole.ids);
    return status;
}
