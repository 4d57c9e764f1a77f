#include "data/chat_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "data/dataset_store.h"

/* Characters of what is said; all of it, or by the assistant, is a target. */
static void tally_messages(int64_t *context, int64_t *target, const json_t *messages, bool all) {
    const json_t *message;
    size_t i;

    json_array_foreach (messages, i, message) {
        const json_t *role = json_object_get(message, "role"), *content = json_object_get(message, "content");
        role = role ? role : json_object_get(message, "from");
        content = content ? content : json_object_get(message, "value");
        const dataset_text text = {json_string_value(content), json_string_length(content)};
        const char *name = json_is_string(role) ? json_string_value(role) : "";
        *(all || strcmp(name, "assistant") == 0 || strcmp(name, "gpt") == 0 ? target : context) +=
            dataset_characters(text);
    }
}

/* Without a template nobody knows the text: what is said counts. */
static void tally_row(dataset_tally *tally, const json_t *row) {
    const char *key = json_object_get(row, "messages") ? "messages" : "conversations";
    int64_t context = 0, target = 0, prompt = 0;

    if (conversation_is_in(row)) {
        tally_messages(&context, &target, json_object_get(row, key), false);
    } else {
        tally_messages(&prompt, &prompt, json_object_get(row, "prompt"), false);
        tally_messages(&context, &target, json_object_get(row, "completion"), true);
        context = prompt;
    }
    tally->pairs++;
    tally->context_characters += context;
    tally->target_characters += target;
    if (context + target > tally->longest)
        tally->longest = context + target;
}

/* The ids that fit, from the first on. */
static clora_status add_ids(dataset_builder *builder, const clora_chat_text *text, size_t line) {
    const size_t most = (size_t)builder->options.max_length, n = text->count < most ? text->count : most;
    clora_dataset *dataset = builder->dataset;
    int32_t *labels = alloc_array(n + 1, sizeof(*labels));
    clora_status status = CLORA_OK;
    size_t learnt = 0;

    if (!labels)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a conversation");
    for (size_t i = 0; i < n; i++)
        labels[i] = text->target[i] || builder->options.learn_context ? text->ids[i] : -1;
    TRY(dataset_push(dataset, text->ids, labels, n));
    TRY(dataset_close_sequence(dataset, &learnt));
    dataset->stats.truncated_targets += n < text->count;
    if (learnt > 0)
        goto done;
    dataset->stats.skipped++;
    builder->first_skipped = builder->first_skipped ? builder->first_skipped : line;
done:
    free(labels);
    return status;
}

clora_status dataset_encode_chat(clora_chat_text *out, dataset_builder *builder, const json_t *row,
                                 const clora_chat_options *options, size_t line) {
    clora_status status = CLORA_OK;
    size_t dropped = 0;

    *out = (clora_chat_text){0};
    if (!builder->options.chat)
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s: line %zu: chat messages become text by a model's chat template, and there is none",
                          builder->path, line);
    status = chat_encode(out, builder->options.chat, builder->tokenizer, row, options);
    if (status != CLORA_OK)
        return clora_fail_within(status, "%s: line %zu", builder->path, line);
    TRY(clora_tokenizer_count_dropped(builder->tokenizer, out->text, out->size, &dropped));
    if (!options->generation_prompt) /* what a prompt drops counts with its answer */
        builder->dataset->stats.dropped += (int64_t)dropped;
done:
    return status;
}

clora_status dataset_add_chat(dataset_builder *builder, const json_t *object, size_t line) {
    const clora_chat_options options = CLORA_CHAT_OPTIONS_INIT;
    clora_status status = CLORA_OK;
    clora_chat_text text = {0};

    if (builder->tally) {
        tally_row(builder->tally, object);
        return CLORA_OK;
    }
    TRY(dataset_encode_chat(&text, builder, object, &options, line));
    TRY(add_ids(builder, &text, line));
done:
    chat_text_finish(&text);
    return status;
}
