#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "data/dataset_store.h"
#include "data/pairs_row.h"
#include "data/sequence_writer.h"

/* Texts with labels: of a dataset's names, and of the rows of a file. */

const char *const *clora_dataset_labels(const clora_dataset *dataset, size_t *count) {
    const bool are_there = dataset && dataset->kind == CLORA_DATA_LABELS;

    if (count)
        *count = are_there ? dataset->names : 0;
    return are_there ? (const char *const *)dataset->name : NULL;
}

clora_status dataset_add_labelled(clora_dataset *dataset, const int32_t *ids, size_t n, int32_t label) {
    clora_status status = CLORA_OK;
    size_t learnt;

    TRY(dataset_push(dataset, ids, NULL, n - 1));
    TRY(dataset_push(dataset, ids + n - 1, &label, 1));
    TRY(dataset_close_sequence(dataset, &learnt));
done:
    return status;
}

clora_status dataset_find_label(int32_t *out, clora_dataset *dataset, const char *name, bool may) {
    clora_status status = CLORA_OK;
    size_t i = 0;

    while (i < dataset->names && strcmp(dataset->name[i], name) != 0)
        i++;
    *out = i < dataset->names || may ? (int32_t)i : -1;
    if (i < dataset->names || !may)
        return CLORA_OK;
    TRY(alloc_grow((void **)&dataset->name, &dataset->name_capacity, i + 2, sizeof(*dataset->name)));
    dataset->name[i + 1] = NULL;
    dataset->name[i] = alloc_string(name);
    if (!dataset->name[i])
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the names of labels"));
    dataset->names++;
done:
    return status;
}

/* A name and the number that it had. */
typedef struct numbered {
    char *name;
    int32_t number;
} numbered;

/* The last label of each sequence is its text's. */
static clora_status renumber(clora_dataset *dataset, const int32_t *number) {
    if (dataset->writer)
        return sequence_writer_renumber(dataset->writer, dataset, number);
    for (size_t i = 0; i < dataset->count; i++) {
        int32_t *label = &dataset->own[dataset_last_value(dataset, i)];
        *label = number[*label];
    }
    return CLORA_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const numbered *)a)->name, ((const numbered *)b)->name);
}

clora_status dataset_sort_labels(clora_dataset *dataset) {
    const size_t n = dataset->names;
    numbered *sorted = alloc_array(n, sizeof(*sorted));
    int32_t *number = alloc_array(n, sizeof(*number));
    clora_status status = CLORA_OK;

    if (!sorted || !number)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %zu labels", n));
    for (size_t i = 0; i < n; i++)
        sorted[i] = (numbered){dataset->name[i], (int32_t)i};
    qsort(sorted, n, sizeof(*sorted), by_name);
    for (size_t i = 0; i < n; i++) {
        dataset->name[i] = sorted[i].name;
        number[sorted[i].number] = (int32_t)i;
    }
    status = renumber(dataset, number);
done:
    free(sorted);
    free(number);
    return status;
}

/* ---- Rows ---- */

/* "a, b, c", for messages. */
static char *list_names(const clora_dataset *dataset) {
    char *text = alloc_string("");

    for (size_t i = 0; text && i < dataset->names; i++) {
        char *longer = alloc_format("%s%s%s", text, i ? ", " : "", dataset->name[i]);
        free(text);
        text = longer;
    }
    return text;
}

static clora_status fail_unknown(const row *r, const char *label) {
    char *names = list_names(r->builder->dataset);
    const clora_status status =
        names ? dataset_fail(r->builder, r->line, "the label \"%s\" is none of these: %s", label, names)
              : clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", r->builder->path);

    free(names);
    return status;
}

static clora_status get_label(int32_t *out, dataset_builder *builder, const row *r) {
    clora_status status = CLORA_OK;
    dataset_text label;

    TRY(row_get_text(&label, r, "label"));
    TRY(row_check_nul(r, "label", label));
    if (label.size == 0)
        return dataset_fail(builder, r->line, "\"label\" is empty");
    TRY(dataset_find_label(out, builder->dataset, label.data, !builder->options.labels));
    if (*out < 0)
        return fail_unknown(r, label.data);
done:
    return status;
}

/* With what the tokenizer puts around a text, as far as max_length goes. */
static clora_status add_text(dataset_builder *builder, const row *r, dataset_text text, int32_t label) {
    clora_dataset_stats *stats = &builder->dataset->stats;
    const size_t most = (size_t)builder->options.max_length;
    clora_status status = CLORA_OK;
    int32_t *ids = NULL;
    size_t count, dropped = 0;

    TRY(clora_tokenizer_encode(builder->tokenizer, text.data, text.size, 1, &ids, &count));
    TRY(clora_tokenizer_count_dropped(builder->tokenizer, text.data, text.size, &dropped));
    if (count == 0)
        TRY(dataset_fail(builder, r->line, "the text gives no tokens, of which the last would tell its label"));
    TRY(dataset_add_labelled(builder->dataset, ids, count < most ? count : most, label));
    stats->dropped += (int64_t)dropped;
    stats->truncated_targets += count > most;
done:
    free(ids);
    return status;
}

static clora_status add_row(void *user, const json_t *object, size_t line) {
    dataset_builder *builder = user;
    const row r = {builder, object, line};
    const char *key = json_object_get(object, "text") ? "text" : "context";
    clora_status status = CLORA_OK;
    dataset_text text;
    int32_t label;

    if (!json_object_get(object, key) || !json_object_get(object, "label"))
        return dataset_fail(builder, line, "needs \"text\" (or \"context\") and \"label\"");
    TRY(row_get_text(&text, &r, key));
    TRY(row_check_nul(&r, key, text));
    TRY(get_label(&label, builder, &r));
    TRY(add_text(builder, &r, text, label));
done:
    return status;
}

clora_status dataset_read_labelled(dataset_builder *builder, data_source *source) {
    const char *const *given = builder->options.labels;
    clora_status status = CLORA_OK;
    int32_t number;

    for (size_t i = 0; given && given[i]; i++)
        TRY(dataset_find_label(&number, builder->dataset, given[i], true));
    status = json_rows_read(source, add_row, builder);
done:
    return status;
}

clora_status dataset_finish_labels(dataset_builder *builder) {
    clora_dataset *dataset = builder->dataset;
    clora_status status = CLORA_OK;

    if (!builder->options.labels)
        TRY(dataset_sort_labels(dataset));
    if (dataset->names == 1)
        status = clora_fail(CLORA_ERROR_FORMAT, "%s: all texts have the label \"%s\": there is nothing to tell apart",
                            builder->path, dataset->name[0]);
done:
    return status;
}
