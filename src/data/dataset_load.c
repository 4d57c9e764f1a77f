#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/options.h"
#include "base/utf8.h"
#include "data/data_bytes.h"
#include "data/data_source.h"
#include "data/dataset_store.h"
#include "data/pair_template.h"
#include "data/row_form.h"
#include "data/sequence_file.h"
#include "data/sequence_writer.h"
#include "files/directory.h"

/* With gzip's ending or without it, which says nothing of what the file holds. */
static bool ends_with(const char *path, const char *ending) {
    char packed[16];

    snprintf(packed, sizeof(packed), "%s.gz", ending);
    return c_locale_ends_with(path, ending) || c_locale_ends_with(path, packed);
}

static bool is_json(const char *path) {
    return ends_with(path, ".jsonl") || ends_with(path, ".ndjson") || ends_with(path, ".json");
}

static bool is_table(const char *path) {
    return ends_with(path, ".csv") || ends_with(path, ".tsv");
}

static clora_status read_text(dataset_builder *builder, dataset_text text) {
    const size_t mark = data_mark_size(text.data, text.size);
    clora_status status = CLORA_OK;

    TRY(data_check_text(builder->path, 1, text.data, text.size));
    text = (dataset_text){text.data + mark, text.size - mark};
    status = is_table(builder->path) ? dataset_read_csv(builder, text) : dataset_read_windows(builder, text);
done:
    return status;
}

/* Tables and texts as a whole. */
static clora_status read_whole(dataset_builder *builder, data_source *source) {
    clora_status status = CLORA_OK;
    char *bytes = NULL;
    size_t size;

    if (!is_table(builder->path) && !ends_with(builder->path, ".txt"))
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "%s: what kind of data is it? Its name must end in .jsonl, .json, .csv, .tsv or .txt (or "
                          "one of these and .gz)",
                          builder->path);
    TRY(data_source_all(&bytes, &size, source));
    status = read_text(builder, (dataset_text){bytes ? bytes : "", size});
done:
    free(bytes);
    return status;
}

static clora_status read_json(dataset_builder *builder, data_source *source) {
    switch (builder->options.kind) {
    case CLORA_DATA_PAIRS: return dataset_read_jsonl(builder, source);
    case CLORA_DATA_LABELS: return dataset_read_labelled(builder, source);
    default: return dataset_read_preferences(builder, source);
    }
}

/* Options that this kind of file or of rows does not have. */
static clora_status check_options(const dataset_builder *builder) {
    const clora_dataset_options *o = &builder->options;
    const char *path = builder->path;
    const bool pairs = o->kind == CLORA_DATA_PAIRS, is_chat = o->pair_template == CLORA_PAIR_CHAT;

    if (o->columns && !is_table(path))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: columns can be chosen in .csv and .tsv files only", path);
    if (o->keys && (!is_json(path) || !pairs))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: keys can be chosen of pairs in .jsonl, .ndjson and .json only",
                          path);
    if (o->pair_template != CLORA_PAIR_PLAIN && (o->kind == CLORA_DATA_LABELS || (!pairs && !is_chat)))
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "%s: a template is for pairs, a chat template for lists of messages too; labels have none",
                          path);
    if (!pairs && !is_json(path))
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s: preferences and labels are read from .jsonl, .ndjson or .json",
                          path);
    return CLORA_OK;
}

static clora_status read_source(dataset_builder *builder, data_source *source) {
    clora_status status = CLORA_OK;
    dataset_text beginning;

    TRY(data_source_peek(&beginning, source));
    TRY(data_check_kind(builder->path, beginning.data, beginning.size));
    TRY(check_options(builder));
    TRY(row_form_choose(builder));
    status = is_json(builder->path) ? read_json(builder, source) : read_whole(builder, source);
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

/* Rows of the file before and after a change are not one dataset. */
static clora_status check_stamp(const dataset_builder *builder) {
    const file_stamp now = file_stamp_take(builder->path);

    if (!builder->stamp || file_stamp_same(builder->stamp, &now))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_IO, "%s changed while it was read; try again when it is complete", builder->path);
}

static clora_status read_path(dataset_builder *builder) {
    clora_status status = CLORA_OK;
    data_source *source = NULL;

    TRY(directory_not_data(builder->path));
    TRY(data_source_open(&source, builder->path));
    TRY(read_source(builder, source));
    TRY(check_stamp(builder));
done:
    free(builder->own_keys);
    builder->own_keys = NULL;
    data_source_close(source);
    return status;
}

clora_status dataset_count(dataset_tally *out, const char *path, const clora_dataset_options *options) {
    dataset_builder builder = {.path = path, .tally = out, .options = CLORA_DATASET_OPTIONS_INIT};
    clora_status status = CLORA_OK;

    *out = (dataset_tally){0};
    TRY(OPTIONS_TAKE(builder.options, options));
    TRY(read_path(&builder));
    if (out->pairs == 0)
        status = clora_fail(CLORA_ERROR_FORMAT, "%s holds no sequences", path);
done:
    return status;
}

/* Of the file that begins with sequence `first`. */
static clora_status check_filled(const dataset_builder *builder, size_t first) {
    if (builder->dataset->count > first)
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

static clora_status read_file(dataset_builder *builder, const clora_data_file *file) {
    clora_status status = CLORA_OK;
    const size_t first = builder->dataset->count;

    builder->path = file->path;
    builder->form = NULL;
    builder->first_skipped = 0;
    TRY(read_path(builder));
    TRY(check_filled(builder, first));
    builder->dataset->part[builder->dataset->parts++] =
        (dataset_part){first, builder->dataset->count - first, file->weight};
done:
    return status;
}

static clora_status check_weights(const clora_data_file *files, size_t count, clora_data_kind kind) {
    const bool answers = kind == CLORA_DATA_PREFERENCE || kind == CLORA_DATA_UNPAIRED_PREFERENCE;

    for (size_t i = 0; i < count; i++) {
        if (!files[i].path)
            return clora_fail(CLORA_ERROR_ARGUMENT, "file %zu has no path", i + 1);
        if (!(files[i].weight > 0 && files[i].weight <= 1000))
            return clora_fail(CLORA_ERROR_ARGUMENT, "%s: a weight of %g; it is above 0 and at most 1000", files[i].path,
                              files[i].weight);
        if (answers && files[i].weight != 1)
            return clora_fail(CLORA_ERROR_ARGUMENT, "%s: preferences have no weights", files[i].path);
    }
    return CLORA_OK;
}

static clora_status check_options_range(const clora_dataset_options *o) {
    if (o->max_length < 2)
        return clora_fail(CLORA_ERROR_ARGUMENT, "a maximum length of %d; the least is 2", o->max_length);
    if ((int)o->kind < CLORA_DATA_PAIRS || o->kind > CLORA_DATA_LABELS)
        return clora_fail(CLORA_ERROR_ARGUMENT, "there is no kind of data with number %d", (int)o->kind);
    return CLORA_OK;
}

static clora_status read_files(dataset_builder *builder, const clora_data_file *files, const file_stamp *stamps,
                               size_t count) {
    clora_status status = CLORA_OK;

    builder->dataset->part = alloc_array(count, sizeof(*builder->dataset->part));
    if (!builder->dataset->part)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu data files", count));
    for (size_t i = 0; i < count; i++) {
        builder->stamp = &stamps[i];
        TRY(read_file(builder, &files[i]));
    }
    if (builder->options.kind == CLORA_DATA_LABELS)
        status = dataset_finish_labels(builder);
done:
    return status;
}

static clora_status new_dataset(dataset_builder *builder) {
    clora_status status = CLORA_OK;

    clora_dataset_free(builder->dataset);
    TRY(dataset_new(&builder->dataset));
    builder->dataset->kind = builder->options.kind;
    builder->dataset->max_length = builder->options.max_length;
done:
    return status;
}

/* From the file of sequences, which is made first where it is not there. */
static clora_status stream_files(dataset_builder *builder, const clora_data_file *files, const file_stamp *stamps,
                                 size_t count) {
    clora_status status = CLORA_OK;
    sequence_key key = {NULL, {0}};
    bool found = false;

    TRY(sequence_key_make(&key, builder, files, stamps, count));
    TRY(sequence_file_open(&found, builder->dataset, &key));
    if (found)
        goto done;
    TRY(sequence_writer_create(&builder->dataset->writer, &key));
    TRY(read_files(builder, files, stamps, count));
    TRY(sequence_writer_commit(builder->dataset));
    TRY(new_dataset(builder));
    TRY(sequence_file_open(&found, builder->dataset, &key));
    if (!found)
        TRY(clora_fail(CLORA_ERROR_IO, "%s is not as it was written; is its disk in order?", key.path));
done:
    free(key.path);
    return status;
}

/* Parts are for what one file, taken once, does not need. */
static void weigh_parts(clora_dataset *dataset, const clora_data_file *files, size_t count) {
    for (size_t i = 0; i < count; i++)
        dataset->part[i].weight = files[i].weight;
    if (count > 1 || files[0].weight != 1)
        return;
    free(dataset->part);
    dataset->part = NULL;
    dataset->parts = 0;
}

static clora_status load_files(dataset_builder *builder, const clora_data_file *files, size_t count) {
    file_stamp *stamps = alloc_array(count, sizeof(*stamps));
    clora_status status = CLORA_OK;

    if (!stamps)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu data files", count));
    for (size_t i = 0; i < count; i++)
        stamps[i] = file_stamp_take(files[i].path);
    TRY(choose_ends(builder));
    TRY(new_dataset(builder));
    TRY(builder->options.stream ? stream_files(builder, files, stamps, count)
                                : read_files(builder, files, stamps, count));
    weigh_parts(builder->dataset, files, count);
done:
    free(stamps);
    return status;
}

clora_status clora_dataset_load_files(clora_dataset **out, const clora_data_file *files, size_t count,
                                      const clora_tokenizer *tokenizer, const clora_dataset_options *options) {
    dataset_builder builder = {.tokenizer = tokenizer, .options = CLORA_DATASET_OPTIONS_INIT};
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(files);
    NEED(tokenizer);
    TRY(OPTIONS_TAKE(builder.options, options));
    if (count == 0)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a dataset needs at least one file"));
    TRY(check_options_range(&builder.options));
    TRY(check_weights(files, count, builder.options.kind));
    builder.path = files[0].path;
    TRY(load_files(&builder, files, count));
    dataset_complete(builder.dataset);
    *out = builder.dataset;
    builder.dataset = NULL;
done:
    clora_dataset_free(builder.dataset);
    return clora_keep_cause(status);
}

clora_status clora_dataset_load(clora_dataset **out, const char *path, const clora_tokenizer *tokenizer,
                                const clora_dataset_options *options) {
    const clora_data_file file = {path, 1};

    NEED(out);
    *out = NULL;
    NEED(path);
    NEED(tokenizer);
    return clora_dataset_load_files(out, &file, 1, tokenizer, options);
}

/* ---- Pairs in memory ---- */

static clora_status check_pair_options(const clora_dataset_options *o) {
    if (o->kind != CLORA_DATA_PAIRS || o->columns || o->keys || o->stream)
        return clora_fail(CLORA_ERROR_ARGUMENT, "pairs in memory have no other kind, columns, keys or stream");
    return check_options_range(o);
}

static clora_status add_text_pair(dataset_builder *builder, const clora_pair *given, size_t number) {
    const char *context = given->context ? given->context : "", *target = given->target;
    clora_status status = CLORA_OK;
    size_t bad;

    if (!target)
        return dataset_fail(builder, number, "there is no target");
    const pair_text pair = {
        .prompt = {context, strlen(context)}, .more = {"", 0}, .completion = {target, strlen(target)}};
    if (!utf8_valid(context, pair.prompt.size, &bad))
        return dataset_fail(builder, number, "the context is not UTF-8 at byte %zu", bad);
    if (!utf8_valid(target, pair.completion.size, &bad))
        return dataset_fail(builder, number, "the target is not UTF-8 at byte %zu", bad);
    TRY(given->context ? pair_add(builder, &pair, number) : pair_add_text(builder, pair.completion, number));
done:
    return status;
}

clora_status clora_dataset_from_pairs(clora_dataset **out, const clora_pair *pairs, size_t count,
                                      const clora_tokenizer *tokenizer, const clora_dataset_options *options) {
    dataset_builder builder = {
        .path = "memory", .unit = "pair", .tokenizer = tokenizer, .options = CLORA_DATASET_OPTIONS_INIT};
    clora_status status = CLORA_OK;

    NEED(out);
    *out = NULL;
    NEED(pairs);
    NEED(tokenizer);
    TRY(OPTIONS_TAKE(builder.options, options));
    TRY(check_pair_options(&builder.options));
    if (count == 0)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a dataset needs at least one pair"));
    TRY(choose_ends(&builder));
    TRY(new_dataset(&builder));
    for (size_t i = 0; i < count; i++)
        TRY(add_text_pair(&builder, &pairs[i], i + 1));
    TRY(check_filled(&builder, 0));
    *out = builder.dataset;
    builder.dataset = NULL;
done:
    clora_dataset_free(builder.dataset);
    return clora_keep_cause(status);
}
