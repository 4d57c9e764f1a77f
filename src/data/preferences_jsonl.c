#include "base/json.h"
#include "data/pairs_row.h"
#include "data/preferences.h"

/* A row has all of these keys; the first of a pair's may be a part of the others. */
static const char *const paired[] = {"prompt", "chosen", "rejected", NULL};
static const char *const unpaired[] = {"prompt", "completion", "label", NULL};

static clora_status check_keys(const row *r, const char *const *keys) {
    for (int i = keys == paired; keys[i]; i++)
        if (!json_object_get(r->object, keys[i]))
            return dataset_fail(r->builder, r->line, "has no \"%s\"; a row needs \"%s\", \"%s\" and \"%s\"", keys[i],
                                keys[0], keys[1], keys[2]);
    return CLORA_OK;
}

static clora_status get_text(dataset_text *out, const row *r, const char *key) {
    clora_status status = CLORA_OK;

    TRY(row_get_text(out, r, key));
    TRY(row_check_nul(r, key, *out));
done:
    return status;
}

static clora_status get_answer(dataset_text *out, const row *r, const char *key) {
    clora_status status = CLORA_OK;

    TRY(get_text(out, r, key));
    if (out->size == 0)
        return dataset_fail(r->builder, r->line, "\"%s\" is empty", key);
done:
    return status;
}

/* ---- A prompt that chosen and rejected begin with ---- */

/* Bytes that two texts share, in whole characters; a blank before the first other one belongs to what follows, and no
 * answer is empty. */
static size_t shared_bytes(dataset_text a, dataset_text b) {
    const size_t least = a.size < b.size ? a.size : b.size;
    size_t n = 0;

    while (n < least && a.data[n] == b.data[n])
        n++;
    const bool differ = n < least;
    n -= !differ;
    while (n > 0 && ((unsigned char)a.data[n] & 0xc0) == 0x80)
        n--;
    return n - (differ && n > 0 && a.data[n - 1] == ' ');
}

static size_t shared_messages(const json_t *a, const json_t *b) {
    const size_t least = json_array_size(a) < json_array_size(b) ? json_array_size(a) : json_array_size(b);
    size_t n = 0;

    while (n < least && json_equal(json_array_get(a, n), json_array_get(b, n)))
        n++;
    return n - (n == least && n > 0);
}

/* Some messages of a list. */
static json_t *messages_of(const json_t *list, size_t from, size_t to) {
    json_t *out = json_array();

    for (size_t i = from; i < to; i++)
        json_push(&out, json_incref(json_array_get(list, i)));
    return out;
}

/* The row with the messages that both begin with as "prompt". */
static clora_status part_messages(json_t **out, const row *r) {
    const json_t *chosen = json_object_get(r->object, "chosen"), *rejected = json_object_get(r->object, "rejected");
    const size_t n = shared_messages(chosen, rejected);

    *out = NULL;
    if (n == 0)
        return dataset_fail(r->builder, r->line,
                            "has no list \"prompt\", and \"chosen\" and \"rejected\" begin with different messages");
    *out = json_copy((json_t *)(uintptr_t)r->object);
    json_put(out, "prompt", messages_of(chosen, 0, n));
    json_put(out, "chosen", messages_of(chosen, n, json_array_size(chosen)));
    json_put(out, "rejected", messages_of(rejected, n, json_array_size(rejected)));
    return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for a row of %s", r->builder->path);
}

/* ---- Rows ---- */

static bool is_list(const row *r, const char *key) {
    return json_is_array(json_object_get(r->object, key));
}

/* A template makes text of messages; what is text already has all. */
static clora_status check_template(const row *r) {
    if (r->builder->options.pair_template == CLORA_PAIR_PLAIN)
        return CLORA_OK;
    return dataset_fail(r->builder, r->line, "holds texts: of preferences a template is for lists of messages");
}

/* An answer is a list that is not empty; NULL ends them. */
static clora_status check_messages(const row *r, const char *const *keys) {
    for (; *keys; keys++)
        if (json_array_size(json_object_get(r->object, *keys)) == 0)
            return dataset_fail(r->builder, r->line, "\"%s\" is an empty list", *keys);
    return CLORA_OK;
}

static clora_status add_paired_messages(dataset_builder *builder, const row *r) {
    clora_status status = CLORA_OK;
    json_t *parted = NULL;

    TRY(check_messages(r, paired + 1));
    if (is_list(r, "prompt"))
        return dataset_add_preference_messages(builder, r->object, r->line);
    TRY(part_messages(&parted, r));
    TRY(dataset_add_preference_messages(builder, parted, r->line));
done:
    json_decref(parted);
    return status;
}

static clora_status add_paired_texts(dataset_builder *builder, const row *r) {
    clora_status status = CLORA_OK;
    dataset_text prompt, chosen, rejected;

    TRY(check_template(r));
    TRY(get_answer(&chosen, r, "chosen"));
    TRY(get_answer(&rejected, r, "rejected"));
    if (json_object_get(r->object, "prompt")) {
        TRY(get_text(&prompt, r, "prompt"));
    } else {
        const size_t n = shared_bytes(chosen, rejected);
        prompt = (dataset_text){chosen.data, n};
        chosen = (dataset_text){chosen.data + n, chosen.size - n};
        rejected = (dataset_text){rejected.data + n, rejected.size - n};
    }
    TRY(dataset_add_preference(builder, prompt, chosen, rejected, r->line));
done:
    return status;
}

static clora_status add_paired(dataset_builder *builder, const row *r) {
    clora_status status = CLORA_OK;

    TRY(check_keys(r, paired));
    TRY(is_list(r, "chosen") && is_list(r, "rejected") ? add_paired_messages(builder, r)
                                                       : add_paired_texts(builder, r));
done:
    return status;
}

static clora_status add_unpaired_texts(dataset_builder *builder, const row *r, bool desirable) {
    clora_status status = CLORA_OK;
    dataset_text prompt, completion;

    TRY(check_template(r));
    TRY(get_text(&prompt, r, "prompt"));
    TRY(get_answer(&completion, r, "completion"));
    TRY(dataset_add_unpaired(builder, prompt, completion, desirable, r->line));
done:
    return status;
}

static clora_status add_unpaired(dataset_builder *builder, const row *r) {
    clora_status status = CLORA_OK;
    const json_t *label = json_object_get(r->object, "label");

    TRY(check_keys(r, unpaired));
    if (!json_is_boolean(label))
        return dataset_fail(r->builder, r->line, "\"label\" must be true (desirable) or false");
    TRY(is_list(r, "prompt") && is_list(r, "completion")
            ? dataset_add_unpaired_messages(builder, r->object, json_is_true(label), r->line)
            : add_unpaired_texts(builder, r, json_is_true(label)));
done:
    return status;
}

static clora_status add_object(void *user, const json_t *object, size_t line) {
    dataset_builder *builder = user;
    const row r = {builder, object, line};

    return builder->options.kind == CLORA_DATA_PREFERENCE ? add_paired(builder, &r) : add_unpaired(builder, &r);
}

clora_status dataset_read_preferences(dataset_builder *builder, data_source *source) {
    return json_rows_read(source, add_object, builder);
}
