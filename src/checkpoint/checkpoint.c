#include <clora/checkpoint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "files/safetensors.h"
#include "methods/method.h"
#include "checkpoint/run_terms.h"
#include "train/trainer.h"

/* The file's own keys among its metadata. */
#define FORMAT "clora_checkpoint"
#define FORMAT_NUMBER "1"
#define RUN "run"
#define PLACE "place"
#define NOTE "note"

enum { NAME_ROOM = 40 };

/* A tensor of the file: a buffer of parameters, one of the optimizer's, or what the reference policy scored. All lie in
 * it as on the device, whatever type an optimizer sees in its four bytes. */
typedef struct part {
    char name[NAME_ROOM];
    int buffer;           /* of parameters, which may have to be fetched and kept; or -1 */
    clora_tensor *tensor; /* NULL: the scores */
    size_t count;
} part;

typedef struct part_list {
    part *list;
    size_t count, largest; /* bytes of the largest */
} part_list;

static size_t element_size(const part *p) {
    return p->tensor ? sizeof(float) : sizeof(double);
}

static const reference_scores *scores_of(const clora_trainer *t) {
    return t->preference ? t->preference->known : NULL;
}

static part *add(part_list *parts, int buffer, clora_tensor *tensor, size_t count) {
    part *p = &parts->list[parts->count++];

    *p = (part){.buffer = buffer, .tensor = tensor, .count = count};
    if (parts->largest < count * element_size(p))
        parts->largest = count * element_size(p);
    return p;
}

static clora_status list_parts(part_list *out, const clora_trainer *t) {
    const int buffers = t->parameters.buffers;

    *out = (part_list){.list = alloc_array((size_t)buffers * (1 + OPTIMIZER_STATES) + 1, sizeof(*out->list))};
    if (!out->list)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a checkpoint");
    for (int b = 0; b < buffers; b++) {
        clora_tensor *value = t->parameters.value[b];
        snprintf(add(out, b, value, clora_tensor_count(value))->name, NAME_ROOM, "parameters.%d", b);
        for (int i = 0; i < OPTIMIZER_STATES; i++) {
            clora_tensor *state = t->optimizer->state[b * OPTIMIZER_STATES + i];
            if (state)
                snprintf(add(out, -1, state, clora_tensor_count(state))->name, NAME_ROOM, "optimizer.%d.%d", b, i);
        }
    }
    if (scores_of(t))
        snprintf(add(out, -1, NULL, clora_dataset_count(t->dataset))->name, NAME_ROOM, "reference");
    return CLORA_OK;
}

/* What a run is does not change while it lasts. */
static clora_status describe(clora_trainer *t) {
    return t->terms ? CLORA_OK : run_terms_describe(&t->terms, t);
}

/* ---- writing ---- */

static clora_status put_text(json_t **object, const char *key, const json_t *value) {
    char *text = json_text(value, JSON_COMPACT);

    json_put(object, key, text ? json_string(text) : NULL);
    free(text);
    return *object ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for a checkpoint");
}

static clora_status make_metadata(json_t **out, const clora_trainer *t, const char *note) {
    const batch_place at = trainer_place(t);
    json_t *place = json_pack("{s:i, s:i, s:I, s:I, s:I, s:i}", "step", t->step, "steps", t->steps, "batches",
                              (json_int_t)t->batches, "epoch", (json_int_t)at.epoch, "index", (json_int_t)at.index,
                              "skipped", t->skipped);
    json_t *metadata = json_pack("{s:s}", FORMAT, FORMAT_NUMBER);
    clora_status status = CLORA_OK;

    *out = NULL;
    TRY(put_text(&metadata, RUN, t->terms));
    TRY(put_text(&metadata, PLACE, place));
    json_put(&metadata, NOTE, json_string(note ? note : ""));
    if (!metadata)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for a checkpoint, or its note is not UTF-8"));
    *out = metadata;
    metadata = NULL;
done:
    json_decref(place);
    json_decref(metadata);
    return status;
}

/* The host's view of a part: of a tensor what is read into `space`. */
static clora_status read_part(const void **out, const clora_trainer *t, const part *p, void *space) {
    clora_status status = CLORA_OK;

    *out = p->tensor ? space : scores_of(t)->score;
    if (p->buffer >= 0)
        TRY(parameters_fetch(&t->parameters, p->buffer));
    if (p->tensor)
        TRY(clora_tensor_read(p->tensor, space));
done:
    return status;
}

static clora_status write_parts(const clora_trainer *t, const part_list *parts, const char *path,
                                const json_t *metadata) {
    safetensors_entry *entries = alloc_array(parts->count, sizeof(*entries));
    void *space = malloc(parts->largest);
    safetensors_writer writer = {.count = 0};
    clora_status status = CLORA_OK;

    if (!entries || !space)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path));
    for (size_t i = 0; i < parts->count; i++)
        entries[i] = (safetensors_entry){.name = parts->list[i].name,
                                         .dtype = CLORA_DTYPE_F32,
                                         .dtype_text = parts->list[i].tensor ? NULL : "F64",
                                         .ndim = 1,
                                         .shape = {(int64_t)parts->list[i].count}};
    TRY(safetensors_writer_begin(&writer, path, entries, parts->count, metadata));
    for (size_t i = 0; i < parts->count; i++) {
        const part *p = &parts->list[writer.order[i]];
        const void *data;
        TRY(read_part(&data, t, p, space));
        TRY(safetensors_writer_tensor(&writer, data, p->count * element_size(p)));
    }
    TRY(safetensors_writer_finish(&writer));
done:
    safetensors_writer_abandon(&writer);
    free(space);
    free(entries);
    return status;
}

clora_status clora_trainer_save(clora_trainer *trainer, const char *path, const char *note) {
    clora_status status = CLORA_OK;
    part_list parts = {.list = NULL};
    json_t *metadata = NULL;

    NEED(trainer);
    NEED(path);
    TRY(describe(trainer));
    TRY(list_parts(&parts, trainer));
    TRY(make_metadata(&metadata, trainer, note));
    TRY(write_parts(trainer, &parts, path, metadata));
done:
    json_decref(metadata);
    free(parts.list);
    return status;
}

/* ---- reading ---- */

static clora_status fail_file(const safetensors *file, const char *what) {
    return clora_fail(CLORA_ERROR_FORMAT, "%s: %s", file->path, what);
}

static clora_status open_checkpoint(safetensors **out, const char *path) {
    clora_status status = CLORA_OK;
    safetensors *file = NULL;

    *out = NULL;
    TRY(safetensors_open(&file, path));
    const char *number = safetensors_metadata(file, FORMAT);
    if (!number)
        TRY(fail_file(file, "this is no checkpoint of a run"));
    if (strcmp(number, FORMAT_NUMBER) != 0)
        TRY(fail_file(file, "this checkpoint was written by another version of clora"));
    *out = file;
    file = NULL;
done:
    safetensors_close(file);
    return status;
}

/* A key of the metadata that holds an object. */
static clora_status read_object(json_t **out, const safetensors *file, const char *key) {
    const char *text = safetensors_metadata(file, key);

    *out = NULL;
    return text ? json_load_bytes(out, text, strlen(text), file->path)
                : clora_fail(CLORA_ERROR_FORMAT, "%s: the checkpoint's \"%s\" is missing", file->path, key);
}

/* Where the run was. */
typedef struct run_place {
    int64_t step, steps, batches, epoch, index, skipped;
} run_place;

static clora_status read_place(run_place *out, const safetensors *file) {
    clora_status status = CLORA_OK;
    json_t *place = NULL;

    TRY(read_object(&place, file, PLACE));
    TRY(json_get_int(&out->step, place, "step", -1, file->path));
    TRY(json_get_int(&out->steps, place, "steps", -1, file->path));
    TRY(json_get_int(&out->batches, place, "batches", -1, file->path));
    TRY(json_get_int(&out->epoch, place, "epoch", -1, file->path));
    TRY(json_get_int(&out->index, place, "index", -1, file->path));
    TRY(json_get_int(&out->skipped, place, "skipped", 0, file->path));
    if (out->step < 0 || out->step > out->steps || out->steps > INT32_MAX || out->batches < out->step ||
        out->batches > INT64_MAX / 2 || out->epoch < 0 || out->epoch > UINT32_MAX || out->index < 0 ||
        out->skipped < 0 || out->skipped > out->step)
        TRY(fail_file(file, "the checkpoint's place in its run makes no sense"));
done:
    json_decref(place);
    return status;
}

static clora_status compare_runs(clora_trainer *t, const safetensors *file) {
    clora_status status = CLORA_OK;
    json_t *theirs = NULL;

    TRY(describe(t));
    TRY(read_object(&theirs, file, RUN));
    TRY(run_terms_compare(theirs, t->terms, file->path));
done:
    json_decref(theirs);
    return status;
}

/* All before the first is taken: a file that lacks something changes nothing. */
static clora_status check_parts(const safetensors *file, const part_list *parts) {
    if (file->count != parts->count)
        return fail_file(file, "the checkpoint has other tensors than this run");
    for (size_t i = 0; i < parts->count; i++) {
        const part *p = &parts->list[i];
        const stored_tensor *s = safetensors_find(file, p->name);
        if (!s || s->size != p->count * element_size(p))
            return clora_fail(CLORA_ERROR_FORMAT, "%s: the tensor %s is missing or has another size", file->path,
                              p->name);
    }
    return CLORA_OK;
}

static clora_status restore_part(clora_trainer *t, const safetensors *file, const part *p, void *space) {
    clora_status status = CLORA_OK;
    void *data = p->tensor ? space : scores_of(t)->score;

    TRY(safetensors_read(data, file, safetensors_find(file, p->name), 0, p->count * element_size(p)));
    if (p->tensor) {
        TRY(clora_tensor_write(p->tensor, data));
        p->tensor->context->updates++;
    }
    if (p->buffer >= 0)
        TRY(parameters_keep(&t->parameters, p->buffer));
done:
    return status;
}

static clora_status restore(clora_trainer *t, const safetensors *file, const part_list *parts, const run_place *at) {
    void *space = malloc(parts->largest);
    clora_status status = CLORA_OK;

    if (!space)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", file->path));
    TRY(trainer_seek(t, (batch_place){(uint32_t)at->epoch, (size_t)at->index}));
    for (size_t i = 0; i < parts->count; i++)
        TRY(restore_part(t, file, &parts->list[i], space));
    TRY(parameters_make_product(&t->parameters));
    TRY(method_derive(t->adapter));
    t->step = (int)at->step;
    t->batches = at->batches;
    t->skipped = (int)at->skipped;
done:
    free(space);
    return status;
}

clora_status clora_trainer_restore(clora_trainer *trainer, const char *path) {
    clora_status status = CLORA_OK;
    part_list parts = {.list = NULL};
    safetensors *file = NULL;
    run_place at;

    NEED(trainer);
    NEED(path);
    if (trainer->batches > 0)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a run goes on from a checkpoint before its first step only"));
    TRY(open_checkpoint(&file, path));
    TRY(read_place(&at, file));
    TRY(compare_runs(trainer, file));
    TRY(list_parts(&parts, trainer));
    TRY(check_parts(file, &parts));
    TRY(restore(trainer, file, &parts, &at));
done:
    free(parts.list);
    safetensors_close(file);
    return status;
}

clora_status clora_inspect_checkpoint(clora_inspected_checkpoint **out, const char *path) {
    clora_inspected_checkpoint *found = NULL;
    clora_status status = CLORA_OK;
    safetensors *file = NULL;
    run_place at;

    NEED(out);
    *out = NULL;
    NEED(path);
    TRY(open_checkpoint(&file, path));
    TRY(read_place(&at, file));
    const char *note = safetensors_metadata(file, NOTE);
    found = calloc(1, sizeof(*found));
    if (!found || !(found->note = alloc_string(note ? note : "")))
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", path));
    found->step = (int)at.step;
    found->steps = (int)at.steps;
    *out = found;
    found = NULL;
done:
    clora_inspected_checkpoint_free(found);
    safetensors_close(file);
    return status;
}

void clora_inspected_checkpoint_free(clora_inspected_checkpoint *checkpoint) {
    if (!checkpoint)
        return;
    free(checkpoint->note);
    free(checkpoint);
}
