#include "methods/lora_origin.h"
#include "methods/lora_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "files/stamp.h"

/* ---- reading ---- */

static clora_status read_file(void *user, float *out, int module, peft_part part) {
    const peft_adapter *file = user;

    return peft_read_part(out, file, module, part);
}

/* Of the file that is open, if it has a head. */
static clora_status load_classifier(lora_adapter *lora, const peft_adapter *file) {
    const stored_tensor *score = file->score;
    clora_status status = CLORA_OK;
    char text[STORED_SHAPE_TEXT], **names = NULL;
    float *w = NULL;

    if (!score)
        return CLORA_OK;
    if (score->shape[1] != lora->adapter.base.hidden)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is %s; the base makes it (labels, %d)", file->file->path,
                       score->name, stored_shape_text(text, score->ndim, score->shape), lora->adapter.base.hidden));
    TRY(label_names_read(&names, file->config, (int)score->shape[0], file->file->path));
    TRY(lora_adapter_add_classifier(lora, names));
    w = alloc_array(stored_elements(score), sizeof(*w));
    if (!w)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", score->name));
    TRY(peft_read(w, file, score));
    TRY(classifier_write(lora->adapter.classifier, w));
done:
    free(w);
    return status;
}

/* The copies of the file that is open, in the order of its list. */
static clora_status load_saved(lora_adapter *lora, const peft_adapter *file) {
    clora_status status = CLORA_OK;
    float *values = NULL;

    TRY(lora_adapter_add_saved(lora, false));
    for (int i = 0, copy = 0; lora->adapter.saved && i < file->tensors; i++) {
        const stored_tensor *t = file->saved[i];
        if (!t)
            continue;
        free(values);
        values = alloc_array(stored_elements(t), sizeof(*values));
        if (!values)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", t->name));
        TRY(peft_read(values, file, t));
        TRY(saved_modules_write(lora->adapter.saved, copy++, values));
    }
done:
    free(values);
    return status;
}

/* That tables of the base which the file has beside factors are this base's. */
static clora_status check_own(const base_model *base, const peft_adapter *file, const base_tensor *tensors) {
    clora_status status = CLORA_OK;
    float *values = NULL;
    bool same;

    for (int i = 0; i < file->tensors; i++) {
        const stored_tensor *t = file->own[i];
        if (!t || base->context->outlined)
            continue;
        free(values);
        values = alloc_array(stored_elements(t), sizeof(*values));
        if (!values)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for %s", t->name));
        TRY(peft_read(values, file, t));
        TRY(saved_modules_compare(&same, base, tensors[i].name, values));
        if (!same)
            TRY(peft_refuse_own(file, t));
    }
done:
    free(values);
    return status;
}

static clora_status load(clora_adapter **out, const base_model *base, const char *directory) {
    clora_status status = CLORA_OK;
    lora_adapter *lora = NULL;
    const stamp before = stamp_adapter(directory);
    peft_adapter file = {.count = 0};
    base_tensor *tensors = NULL;
    int count;

    *out = NULL;
    TRY(lora_adapter_allocate(&lora, base));
    tensors = saved_modules_list(&count, base);
    if (!tensors)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for an adapter"));
    TRY(peft_open(&file, directory, &(peft_base){lora->target, lora->targets, tensors, count}));
    TRY(check_own(base, &file, tensors));
    memcpy(lora->choice, file.choice, (size_t)lora->targets * sizeof(*file.choice));
    lora->config = json_incref(file.config);
    TRY(lora_adapter_read_options(lora, CLORA_INIT_GAUSSIAN, 0));
    TRY(lora_adapter_build(lora, read_file, &file, false));
    TRY(load_classifier(lora, &file));
    TRY(load_saved(lora, &file));
    TRY(stamp_check(&before, directory));
    *out = &lora->adapter;
    lora = NULL;
done:
    peft_close(&file);
    free(tensors);
    if (lora)
        clora_adapter_free(&lora->adapter);
    return status;
}

/* ---- writing ---- */

/* What is written whole: the head of labels, if there is one, then the copies. Returns how many. */
static int list_wholes(base_tensor *out, const clora_adapter *adapter) {
    const saved_modules *saved = adapter->saved;
    int count = 0;

    if (adapter->classifier)
        out[count++] = (base_tensor){PEFT_SCORE, adapter->classifier->labels, adapter->base.hidden};
    for (int i = 0; saved && i < saved->count; i++)
        out[count++] = saved->module[i].tensor;
    return count;
}

static clora_status give(void *user, float *out, int module, peft_part part) {
    const clora_adapter *adapter = user;
    const classifier *labels = adapter->classifier;
    const int whole = -1 - module;

    if (module >= 0)
        return (adapter->origin ? lora_origin_download : lora_download)(lora_of(adapter), out, module, part);
    if (labels && whole == 0)
        return classifier_read(out, labels);
    return saved_modules_read(out, adapter->saved, whole - (labels != NULL));
}

static clora_status save(const clora_adapter *adapter, const char *directory,
                         const clora_adapter_save_options *options) {
    const lora_adapter *lora = lora_of(adapter);
    base_tensor *wholes = alloc_array((size_t)(adapter->saved ? adapter->saved->count : 0) + 1, sizeof(*wholes));
    clora_status status = CLORA_OK;
    target_choice *choice = NULL;
    json_t *config = NULL;

    if (!wholes)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to save an adapter"));
    if (adapter->origin)
        TRY(lora_origin_settings(&config, &choice, lora));
    const peft_contents contents = {.config = config ? config : lora->config,
                                    .module = lora->target,
                                    .choice = choice ? choice : lora->choice,
                                    .modules = lora->targets,
                                    .whole = wholes,
                                    .wholes = list_wholes(wholes, adapter),
                                    .source = give,
                                    .user = (void *)(uintptr_t)adapter};
    TRY(peft_write(directory, &contents, options));
done:
    json_decref(config);
    free(choice);
    free(wholes);
    return status;
}

const method method_lora = {
    .name = "lora",
    .peft_type = "LORA",
    .load = load,
    .save = save,
    .list_parameters = lora_adapter_list_parameters,
    .derive = lora_adapter_derive,
    .set_dropout = lora_adapter_set_dropout,
    .destroy = lora_adapter_destroy,
};
