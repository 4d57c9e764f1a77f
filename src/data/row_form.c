#include "data/row_form.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "chat/chat.h"
#include "data/columns.h"

/* Of a row with the keys of several pairs, the first that is whole counts. */
static const row_form pairs[] = {
    {"context", "target", NULL},
    {"prompt", "completion", NULL},
    {"instruction", "output", "input"},
    {"question", "answer", NULL},
};
static const row_form text_alone = {NULL, "text", NULL}, conversation = {NULL, NULL, NULL};

enum { PAIRS = sizeof(pairs) / sizeof(pairs[0]), QUESTION = 3 };

static bool has(const row *r, const char *key) {
    return json_object_get(r->object, key) != NULL;
}

bool row_form_is_messages(const row_form *form, const json_t *object) {
    return form == &conversation || (form->prompt && json_is_array(json_object_get(object, form->prompt)));
}

clora_status row_form_choose(dataset_builder *builder) {
    const char *keys = builder->options.keys;
    clora_status status = CLORA_OK;
    column_name name[2];
    size_t count;

    if (!keys)
        return CLORA_OK;
    builder->own_keys = alloc_array(strlen(keys) + 2, 1);
    if (!builder->own_keys)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the keys of rows");
    TRY(column_names_read(name, &count, builder->own_keys, keys, "keys"));
    builder->own = (row_form){count == 2 ? name[0].text.data : NULL, name[count - 1].text.data, NULL};
done:
    return status;
}

/* ---- What is wrong with a row ---- */

/* "prompt" and "completion" */
static char *name_form(const row_form *form, bool messages) {
    if (form == &conversation)
        return alloc_string("a conversation");
    return form->prompt
               ? alloc_format("%s\"%s\" and \"%s\"", messages ? "messages as " : "", form->prompt, form->completion)
               : alloc_format("\"%s\" alone", form->completion);
}

static clora_status fail_mixed(const dataset_builder *builder, const row_form *form, const row *r) {
    char *here = name_form(form, row_form_is_messages(form, r->object));
    char *before = name_form(builder->form, builder->form_is_messages);
    const clora_status status =
        here && before ? dataset_fail(builder, r->line, "has %s, line %zu has %s: all rows of a file have one form",
                                      here, builder->form_line, before)
                       : clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", builder->path);

    free(here);
    free(before);
    return status;
}

static clora_status fail_half(const row *r, const row_form *form) {
    const bool prompt = has(r, form->prompt);

    if (has(r, "chosen"))
        return dataset_fail(r->builder, r->line,
                            "a preference (\"chosen\"), no pair: train on it with --objective dpo, ipo, hinge or orpo");
    return dataset_fail(r->builder, r->line, "has \"%s\" but no \"%s\"", prompt ? form->prompt : form->completion,
                        prompt ? form->completion : form->prompt);
}

static clora_status fail_unknown(const row *r) {
    return dataset_fail(r->builder, r->line,
                        "needs \"context\" and \"target\" (or \"prompt\" and \"completion\", \"instruction\" and "
                        "\"output\", \"question\" and \"answer\", \"text\", or \"messages\"; others are named with "
                        "--keys)");
}

/* ---- Which form a row has ---- */

/* All keys of the form must be there. */
static clora_status need_keys(const row *r, const row_form *form) {
    const char *missing = form->prompt && !has(r, form->prompt) ? form->prompt
                          : !has(r, form->completion)           ? form->completion
                                                                : NULL;

    return missing ? dataset_fail(r->builder, r->line, "has no \"%s\", which the keys \"%s\" name", missing,
                                  r->builder->options.keys)
                   : CLORA_OK;
}

/* A question about a text is no question without it. */
static clora_status check_question(const row *r) {
    if (json_string_length(json_object_get(r->object, "context")) == 0)
        return CLORA_OK;
    return dataset_fail(r->builder, r->line,
                        "has a \"context\" beside \"question\" and \"answer\": put both into one \"prompt\", or leave "
                        "it out with --keys question,answer");
}

static clora_status find_known(const row_form **out, const row *r) {
    for (size_t i = 0; i < PAIRS; i++) {
        *out = &pairs[i];
        if (has(r, pairs[i].prompt) && has(r, pairs[i].completion))
            return i == QUESTION ? check_question(r) : CLORA_OK;
    }
    *out = &conversation;
    if (conversation_is_in(r->object))
        return CLORA_OK;
    for (size_t i = 0; i < PAIRS; i++)
        if (has(r, pairs[i].prompt) || has(r, pairs[i].completion))
            return fail_half(r, &pairs[i]);
    *out = &text_alone;
    return has(r, "text") ? CLORA_OK : fail_unknown(r);
}

clora_status row_form_find(const row_form **out, dataset_builder *builder, const row *r) {
    const bool own = builder->own.completion != NULL;
    clora_status status = CLORA_OK;

    if (own)
        *out = &builder->own;
    TRY(own ? need_keys(r, *out) : find_known(out, r));
    const bool messages = row_form_is_messages(*out, r->object);
    if (builder->form && (builder->form != *out || builder->form_is_messages != messages))
        return fail_mixed(builder, *out, r);
    if (!builder->form)
        builder->form_line = r->line;
    builder->form = *out;
    builder->form_is_messages = messages;
done:
    return status;
}

clora_status row_form_find_prompt(const row_form **out, const dataset_builder *builder, const row *r) {
    *out = &builder->own;
    if (builder->own.completion)
        return CLORA_OK;
    for (size_t i = 0; i < PAIRS; i++) {
        *out = &pairs[i];
        if (has(r, pairs[i].prompt) && has(r, pairs[i].completion))
            return CLORA_OK;
    }
    for (size_t i = 0; i < PAIRS; i++) {
        *out = &pairs[i];
        if (json_is_string(json_object_get(r->object, pairs[i].prompt)))
            return CLORA_OK;
    }
    *out = &text_alone;
    if (json_is_string(json_object_get(r->object, "text")))
        return CLORA_OK;
    return dataset_fail(r->builder, r->line,
                        "no \"context\" with a string (nor \"prompt\", \"instruction\", \"question\" or \"text\")");
}
