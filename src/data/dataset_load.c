#include "data/dataset.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/file.h"
#include "data/data_bytes.h"
#include "data/dataset_store.h"
#include "files/directory.h"

static bool is_json(const char *path) {
    return c_locale_ends_with(path, ".jsonl") || c_locale_ends_with(path, ".ndjson") ||
           c_locale_ends_with(path, ".json");
}

static bool is_table(const char *path) {
    return c_locale_ends_with(path, ".csv") || c_locale_ends_with(path, ".tsv");
}

static clora_status read_text(dataset_builder *builder, dataset_text text) {
    const char *path = builder->path;
    const size_t mark = data_mark_size(text.data, text.size);
    clora_status status = CLORA_OK;

    TRY(data_check_text(path, 1, text.data, text.size));
    text = (dataset_text){text.data + mark, text.size - mark};
    if (is_table(path))
        return dataset_read_csv(builder, text);
    if (c_locale_ends_with(path, ".txt"))
        return dataset_read_windows(builder, text);
    status = clora_fail(CLORA_ERROR_ARGUMENT,
                        "%s: what kind of data is it? Its name must end in .jsonl, .json, .csv, .tsv or .txt", path);
done:
    return status;
}

static clora_status read_file(dataset_builder *builder, dataset_text text) {
    clora_status status = CLORA_OK;

    TRY(data_check_kind(builder->path, text.data, text.size));
    if (builder->options.columns && !is_table(builder->path))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s: columns can be chosen in .csv and .tsv files only", builder->path));
    if (builder->options.kind != CLORA_DATA_PAIRS && !is_json(builder->path))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s: preferences and labels are read from .jsonl, .ndjson or .json",
                       builder->path));
    if (builder->options.kind == CLORA_DATA_LABELS)
        return dataset_read_labelled(builder, text);
    if (builder->options.kind != CLORA_DATA_PAIRS)
        return dataset_read_preferences(builder, text);
    status = is_json(builder->path) ? dataset_read_jsonl(builder, text) : read_text(builder, text);
done:
    return status;
}

static clora_status choose_ends(dataset_builder *builder) {
    const clora_dataset_options *options = &builder->options;

    builder->bos = clora_tokenizer_adds_bos(builder->tokenizer) ? clora_tokenizer_bos(builder->tokenizer) : -1;
    builder->eos = -1;
    if (!options->eos || options->kind == CLORA_DATA_LABELS)
        return CLORA_OK;
    builder->eos = options->eos_id >= 0 ? options->eos_id : clora_tokenizer_eos(builder->tokenizer);
    if (builder->eos < 0)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "%s: the tokenizer names no eos to end sequences with: train without "
                          "one (--eos never)",
                          builder->path);
    return CLORA_OK;
}

/* The whole file, yours to free. A copy: a look at a mapping kills where the file has become shorter. */
static clora_status read_bytes(char **out, size_t *size, const char *path) {
    clora_status status = CLORA_OK;
    file_map map = {NULL, 0};
    int fd = -1;

    TRY(file_map_open_keeping(&map, &fd, path));
    *size = map.size;
    *out = alloc_array(map.size + 1, 1);
    if (!*out)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the %zu bytes of %s", map.size, path));
    TRY(file_read_at(*out, fd, 0, map.size, path));
done:
    file_map_close(&map);
    if (fd >= 0)
        close(fd);
    return status;
}

static clora_status read_path(dataset_builder *builder) {
    clora_status status = CLORA_OK;
    char *bytes = NULL;
    size_t size;

    TRY(directory_not_data(builder->path));
    TRY(read_bytes(&bytes, &size, builder->path));
    TRY(read_file(builder, (dataset_text){bytes, size}));
done:
    free(bytes);
    return status;
}

clora_status dataset_count(dataset_tally *out, const char *path, const char *columns) {
    dataset_builder builder = {.path = path, .tally = out, .options = {.columns = columns}};
    clora_status status = CLORA_OK;

    *out = (dataset_tally){0};
    TRY(read_path(&builder));
    if (out->pairs == 0)
        status = clora_fail(CLORA_ERROR_FORMAT, "%s holds no sequences", path);
done:
    return status;
}

static clora_status check_filled(const dataset_builder *builder) {
    if (builder->dataset->count > 0)
        return CLORA_OK;
    if (builder->dataset->stats.long_prompts > 0)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: every prompt alone has %d ids or more: raise the maximum length",
                          builder->path, builder->options.max_length);
    if (builder->first_skipped > 0)
        return dataset_fail(
            builder, builder->first_skipped,
            "nothing to learn: the target gives no ids after the sequence's first; so it is with all of "
            "the file's pairs");
    return clora_fail(CLORA_ERROR_FORMAT, "%s holds no sequences", builder->path);
}

clora_status clora_dataset_load(clora_dataset **out, const char *path, const clora_tokenizer *tokenizer,
                                const clora_dataset_options *options) {
    static const clora_dataset_options defaults = CLORA_DATASET_OPTIONS_INIT;
    dataset_builder builder = {.path = path, .tokenizer = tokenizer, .options = options ? *options : defaults};
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(path);
    NEED(tokenizer);
    if (builder.options.max_length < 2)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a maximum length of %d; the least is 2", builder.options.max_length));
    if ((int)builder.options.kind < CLORA_DATA_PAIRS || builder.options.kind > CLORA_DATA_LABELS)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "there is no kind of data with number %d", (int)builder.options.kind));
    TRY(choose_ends(&builder));
    TRY(dataset_new(&builder.dataset));
    builder.dataset->kind = builder.options.kind;
    builder.dataset->max_length = builder.options.max_length;
    TRY(read_path(&builder));
    TRY(check_filled(&builder));
    *out = builder.dataset;
    builder.dataset = NULL;
done:
    clora_dataset_free(builder.dataset);
    return clora_keep_cause(status);
}
