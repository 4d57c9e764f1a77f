#include "data/pairs_row.h"

/* A row has all of these keys. */
static const char *const paired[] = {"prompt", "chosen", "rejected", NULL};
static const char *const unpaired[] = {"prompt", "completion", "label", NULL};

static clora_status check_keys(const row *r, const char *const *keys) {
    for (int i = 0; keys[i]; i++)
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

static clora_status add_paired(dataset_builder *builder, const row *r) {
    clora_status status = CLORA_OK;
    dataset_text prompt, chosen, rejected;

    TRY(check_keys(r, paired));
    TRY(get_text(&prompt, r, "prompt"));
    TRY(get_answer(&chosen, r, "chosen"));
    TRY(get_answer(&rejected, r, "rejected"));
    TRY(dataset_add_preference(builder, prompt, chosen, rejected, r->line));
done:
    return status;
}

static clora_status add_unpaired(dataset_builder *builder, const row *r) {
    clora_status status = CLORA_OK;
    const json_t *label = json_object_get(r->object, "label");
    dataset_text prompt, completion;

    TRY(check_keys(r, unpaired));
    TRY(get_text(&prompt, r, "prompt"));
    TRY(get_answer(&completion, r, "completion"));
    if (!json_is_boolean(label))
        return dataset_fail(r->builder, r->line, "\"label\" must be true (desirable) or false");
    TRY(dataset_add_unpaired(builder, prompt, completion, json_is_true(label), r->line));
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
