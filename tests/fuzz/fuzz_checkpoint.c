/*
 * place 8< run 8< note 8< file: a checkpoint of a small run in which these parts of its head are others (an empty one
 * is as it was; an object gives members of it other values), or another file in its place. A run that takes it must be
 * able to go on. Without a device only heads are read.
 */

#include <string.h>

#include <clora/clora.h>

#include "base/json.h"
#include "files/safetensors.h"
#include "fuzz/fuzz.h"

enum { STEPS = 3, COUNT = 5, LENGTH = 4 };

static struct {
    clora_context *context; /* NULL: no device */
    clora_model *model;
    clora_dataset *data;
    clora_adapter *adapter;
    clora_trainer *trainer; /* before its first update */
    clora_launch_plan *plan;
    safetensors *genuine; /* after one */
} run;

static void make_trainer(void) {
    clora_adapter_options adapter = CLORA_ADAPTER_OPTIONS_INIT;
    clora_train_options options = CLORA_TRAIN_OPTIONS_INIT;

    clora_trainer_free(run.trainer);
    clora_adapter_free(run.adapter);
    adapter.rank = 1;
    adapter.dropout = 0.5f;
    options.steps = STEPS;
    options.batch_size = 2;
    FUZZ_CHECK(clora_adapter_create(&run.adapter, run.model, &adapter) == CLORA_OK);
    FUZZ_CHECK(clora_trainer_create(&run.trainer, run.model, run.adapter, run.data, &options) == CLORA_OK);
}

static void make_data(void) {
    int32_t ids[COUNT * LENGTH];
    int lengths[COUNT];

    for (int i = 0; i < COUNT * LENGTH; i++)
        ids[i] = 3 + i * 7 % 90;
    for (int i = 0; i < COUNT; i++)
        lengths[i] = LENGTH;
    FUZZ_CHECK(clora_dataset_from_ids(&run.data, ids, NULL, lengths, COUNT) == CLORA_OK);
}

/* Once, before the memory of inputs is counted. */
__attribute__((constructor)) static void begin(void) {
    const char *fixtures = getenv("CLORA_TEST_FIXTURES");
    char model[4096];
    clora_train_step step = CLORA_TRAIN_STEP_INIT;

    snprintf(model, sizeof(model), "%s/tiny-llama", fixtures ? fixtures : "tests/fixtures");
    if (clora_context_create(&run.context, NULL) != CLORA_OK)
        return;
    FUZZ_CHECK(clora_model_load(&run.model, run.context, model, NULL) == CLORA_OK);
    make_data();
    make_trainer();
    FUZZ_CHECK(clora_trainer_step(&step, run.trainer) == CLORA_OK);
    FUZZ_CHECK(clora_trainer_save(run.trainer, fuzz_path("genuine"), "a note") == CLORA_OK);
    FUZZ_CHECK(clora_launch_plan_create(&run.plan, run.context) == CLORA_OK);
    FUZZ_CHECK(safetensors_open(&run.genuine, fuzz_path("genuine")) == CLORA_OK);
    make_trainer();
}

/* The genuine text of a key with the members of `part` in place of its own, where that is an object; else the part. */
static json_t *changed(const char *key, fuzz_part part) {
    json_t *own = json_loads(safetensors_metadata(run.genuine, key), 0, NULL);
    json_t *other = json_loadb((const char *)part.data, part.size, 0, NULL), *result = NULL;

    if (json_is_object(own) && json_is_object(other)) {
        json_object_update(own, other);
        char *text = json_dumps(own, JSON_COMPACT);
        result = json_string(text);
        free(text);
    } else {
        result = json_stringn((const char *)part.data, part.size);
    }
    json_decref(other);
    json_decref(own);
    return result;
}

static void write_changed(const fuzz_part parts[3]) {
    static const char *const keys[] = {"place", "run", "note"};
    const size_t count = run.genuine->count;
    safetensors_entry *entries = calloc(count, sizeof(*entries));
    json_t *metadata = json_deep_copy(run.genuine->metadata);
    safetensors_writer writer;

    FUZZ_CHECK(entries && metadata);
    for (int i = 0; i < 3; i++) {
        json_t *value = parts[i].size > 0 ? changed(keys[i], parts[i]) : NULL;
        if (value)
            json_object_set_new(metadata, keys[i], value);
    }
    for (size_t i = 0; i < count; i++) {
        const stored_tensor *t = &run.genuine->tensors[i];
        entries[i] = (safetensors_entry){.name = t->name, .dtype_text = t->dtype_text, .ndim = t->ndim};
        memcpy(entries[i].shape, t->shape, sizeof(t->shape));
    }
    FUZZ_CHECK(safetensors_writer_begin(&writer, fuzz_path("file"), entries, count, metadata) == CLORA_OK);
    while (writer.next < writer.count) {
        const stored_tensor *t = &run.genuine->tensors[writer.order[writer.next]];
        FUZZ_CHECK(safetensors_writer_tensor(&writer, t->data, t->size) == CLORA_OK);
    }
    FUZZ_CHECK(safetensors_writer_finish(&writer) == CLORA_OK);
    json_decref(metadata);
    free(entries);
}

/* Numbers that are not finite end it, as they end any run. */
static void go_on(void) {
    clora_train_step step = CLORA_TRAIN_STEP_INIT;
    clora_status status = CLORA_OK;

    for (int i = 0; status == CLORA_OK; i++) {
        FUZZ_CHECK(i <= STEPS);
        status = clora_trainer_step(&step, run.trainer);
        FUZZ_CHECK(status != CLORA_OK || (step.step > 0 && step.step <= STEPS && step.epoch >= 0.0));
    }
    make_trainer();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    clora_inspected_checkpoint *head;
    fuzz_part parts[4];

    fuzz_split(parts, 4, data, size);
    if (parts[3].data)
        fuzz_write_safetensors("file", parts[3]);
    else if (run.context)
        write_changed(parts);
    else
        return 0;
    if (clora_inspect_checkpoint(&head, fuzz_path("file")) == CLORA_OK) {
        FUZZ_CHECK(head->step >= 0 && head->step <= head->steps && head->note);
        if (run.plan)
            (void)clora_launch_plan_compare(run.plan, head->note);
    }
    clora_inspected_checkpoint_free(head);
    if (run.context && clora_trainer_restore(run.trainer, fuzz_path("file")) == CLORA_OK)
        go_on();
    return 0;
}
