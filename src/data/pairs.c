#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "data/dataset.h"
#include "data/dataset_store.h"
#include "tokenizer/tokenizer.h"

clora_status dataset_fail(const dataset_builder *builder, size_t line, const char *format, ...) {
    char text[1024];
    va_list args;

    va_start(args, format);
    c_locale_format(text, sizeof(text), format, args);
    va_end(args);
    return clora_fail(CLORA_ERROR_FORMAT, "%s: %s %zu: %s", builder->path, builder->unit ? builder->unit : "line", line,
                      text);
}

clora_status dataset_refuse_text(const dataset_builder *builder, size_t line) {
    return dataset_fail(builder, line, "a text without a prompt: there is nothing to put into the template");
}

static clora_status encode(dataset_builder *builder, dataset_text text, int32_t **ids, size_t *count) {
    clora_status status = CLORA_OK;
    size_t dropped = 0;

    TRY(clora_tokenizer_encode(builder->tokenizer, text.data, text.size, 0, ids, count));
    TRY(clora_tokenizer_count_dropped(builder->tokenizer, text.data, text.size, &dropped));
    builder->dataset->stats.dropped += (int64_t)dropped;
done:
    return status;
}

/* What of a pair goes into the sequence. */
typedef struct cut {
    size_t context_from; /* first id of the context that stays */
    size_t target_to;    /* ids of the target that stay */
    bool eos;
} cut;

static cut fit(const dataset_builder *builder, size_t context, size_t target) {
    const size_t room = (size_t)builder->options.max_length - (builder->bos >= 0);
    const size_t tail = target + (builder->eos >= 0);

    if (tail > room)
        return (cut){context, target < room ? target : room, false};
    return (cut){context > room - tail ? context - (room - tail) : 0, target, builder->eos >= 0};
}

/* Ids of a text; borrowed. */
typedef struct id_span {
    const int32_t *ids;
    size_t count;
} id_span;

/* Texts that were made for another program may hold the bos and the eos that are added here: one of each is meant. */
static void drop_own_ends(dataset_builder *builder, id_span *context, id_span *target) {
    clora_dataset_stats *stats = &builder->dataset->stats;
    id_span *first = context->count > 0 ? context : target;

    if (builder->bos >= 0 && first->count > 0 && first->ids[0] == builder->bos) {
        first->ids++;
        first->count--;
        stats->own_bos++;
    }
    if (builder->eos >= 0 && target->count > 0 && target->ids[target->count - 1] == builder->eos) {
        target->count--;
        stats->own_eos++;
    }
}

static clora_status add_sequence(dataset_builder *builder, id_span context, id_span target, size_t *learnt) {
    clora_dataset *dataset = builder->dataset;
    const cut c = fit(builder, context.count, target.count);
    const int32_t *kept = context.ids + c.context_from;
    clora_status status = CLORA_OK;

    if (builder->bos >= 0)
        TRY(dataset_push(dataset, &builder->bos, NULL, 1));
    TRY(dataset_push(dataset, kept, builder->options.learn_context ? kept : NULL, context.count - c.context_from));
    TRY(dataset_push(dataset, target.ids, target.ids, c.target_to));
    if (c.eos)
        TRY(dataset_push(dataset, &builder->eos, &builder->eos, 1));
    TRY(dataset_close_sequence(dataset, learnt));
    dataset->stats.truncated_contexts += c.context_from > 0;
    dataset->stats.truncated_targets += c.target_to < target.count || c.eos != (builder->eos >= 0);
done:
    return status;
}

int64_t dataset_characters(dataset_text text) {
    int64_t count = 0;

    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80; /* the bytes that do not continue a character */
    return count;
}

static void tally_pair(dataset_tally *tally, dataset_text context, dataset_text target) {
    const int64_t before = dataset_characters(context), after = dataset_characters(target);

    tally->pairs++;
    tally->context_characters += before;
    tally->target_characters += after;
    if (before + after > tally->longest)
        tally->longest = before + after;
}

static clora_status encode_pair(dataset_builder *builder, dataset_text context, dataset_text target, pair_ids *pair) {
    text_buffer whole = {0};
    clora_status status = CLORA_OK;

    TRY(text_append(&whole, context.data, context.size));
    TRY(text_append(&whole, target.data, target.size));
    TRY(tokenizer_encode_pair(builder->tokenizer, whole.data, context.size, whole.size, pair));
    builder->dataset->stats.dropped += (int64_t)pair->dropped;
done:
    text_finish(&whole);
    return status;
}

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Does nothing part the two texts? */
static bool are_glued(dataset_text context, dataset_text target) {
    return context.size > 0 && target.size > 0 && !is_blank(context.data[context.size - 1]) &&
           !is_blank(target.data[0]);
}

clora_status dataset_add_pair(dataset_builder *builder, dataset_text context, dataset_text target, size_t line) {
    clora_status status = CLORA_OK;
    pair_ids pair = {0};
    size_t learnt = 0;
    id_span before, after;

    if (builder->tally) {
        tally_pair(builder->tally, context, target);
        return CLORA_OK;
    }
    clora_dataset_stats *stats = &builder->dataset->stats;
    stats->glued += are_glued(context, target);
    TRY(encode_pair(builder, context, target, &pair));
    before = (id_span){pair.ids, pair.context};
    after = (id_span){pair.ids + pair.context, pair.count - pair.context};
    drop_own_ends(builder, &before, &after);
    TRY(add_sequence(builder, before, after, &learnt));
    if (learnt == 0) {
        stats->skipped++;
        builder->first_skipped = builder->first_skipped ? builder->first_skipped : line;
    } else if (after.count == 0 && !builder->options.learn_context) {
        stats->empty_targets++;
    }
done:
    free(pair.ids);
    return status;
}

static clora_status add_window(dataset_builder *builder, const int32_t *ids, size_t n) {
    clora_dataset *dataset = builder->dataset;
    clora_status status = CLORA_OK;
    size_t learnt;

    TRY(dataset_push(dataset, ids, ids, n));
    TRY(dataset_close_sequence(dataset, &learnt));
    dataset->stats.left_out += learnt == 0;
done:
    return status;
}

clora_status dataset_read_windows(dataset_builder *builder, dataset_text text) {
    const size_t length = (size_t)builder->options.max_length, bos = builder->bos >= 0, eos = builder->eos >= 0;
    clora_status status = CLORA_OK;
    int32_t *ids = NULL, *all = NULL;
    id_span none = {NULL, 0}, whole;
    size_t count = 0;

    if (text.size == 0)
        return CLORA_OK;
    if (builder->options.pair_template != CLORA_PAIR_PLAIN)
        return dataset_refuse_text(builder, 1);
    if (builder->tally) {
        tally_pair(builder->tally, (dataset_text){"", 0}, text);
        return CLORA_OK;
    }
    TRY(encode(builder, text, &ids, &count));
    whole = (id_span){ids, count};
    drop_own_ends(builder, &none, &whole);
    const size_t total = bos + whole.count + eos;
    all = alloc_array(total, sizeof(*all));
    if (!all)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu ids", total));
    memcpy(all + bos, whole.ids, whole.count * sizeof(*ids));
    if (bos)
        all[0] = builder->bos;
    if (eos)
        all[total - 1] = builder->eos;
    for (size_t i = 0; i < total; i += length)
        TRY(add_window(builder, all + i, total - i < length ? total - i : length));
done:
    free(ids);
    free(all);
    return status;
}
