#include "exchange/peft_terms.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/file.h"
#include "base/outdir.h"
#include "exchange/factor_file.h"
#include "files/directory.h"
#include "methods/peft.h"
#include "methods/peft_config.h"
#include "methods/peft_keys.h"

typedef struct module_list {
    target_module *module;
    int count;
} module_list;

static void module_list_finish(module_list *list) {
    for (int i = 0; i < list->count; i++)
        free((void *)(uintptr_t)list->module[i].name);
    free(list->module);
}

static bool is_matrix(const stored_tensor *t) {
    return t->ndim == 2 && t->shape[0] > 0 && t->shape[0] <= INT_MAX && t->shape[1] > 0 && t->shape[1] <= INT_MAX;
}

/* The module that factor A `a` is of: its name and shape. */
static clora_status add_module(module_list *list, const safetensors *file, const peft_keys *keys,
                               const stored_tensor *a, char *name) {
    const stored_tensor *b;
    clora_status status = CLORA_OK;

    list->module[list->count++] =
        (target_module){.name = name, .kind = strcmp(name, "lm_head") == 0 ? TARGET_HEAD : TARGET_LINEAR};
    TRY(peft_keys_find(&b, keys, name, PEFT_B));
    if (!b)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: there is no lora_B to the tensor %s", file->path, a->name));
    if (!is_matrix(a) || !is_matrix(b))
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s is not a matrix: only linear layers are supported",
                       file->path, is_matrix(a) ? b->name : a->name));
    list->module[list->count - 1].N = (int)b->shape[0];
    list->module[list->count - 1].K = (int)a->shape[1];
done:
    return status;
}

static bool is_factor(const char *name) {
    return (strstr(name, ".lora_A.") || strstr(name, ".lora_B.")) && c_locale_ends_with(name, ".weight");
}

/* Nothing but pairs of factors: whatever else an adapter may have would be lost. */
static clora_status list_modules(module_list *list, const char *directory) {
    clora_status status = CLORA_OK;
    peft_keys keys = {.count = 0};
    safetensors *file = NULL;
    char *name;

    TRY(peft_open_tensors(&file, directory));
    TRY(peft_keys_init(&keys, file));
    list->module = alloc_array(file->count + 1, sizeof(*list->module));
    if (!list->module || file->count > INT_MAX)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the layers of %s", directory));
    for (size_t i = 0; i < file->count; i++) {
        if (!is_factor(file->tensors[i].name))
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                           "%s: tensor %s is no factor of a linear layer's low-rank term: only plain LoRA can be "
                           "combined and converted",
                           file->path, file->tensors[i].name));
        TRY(peft_keys_module(&name, &file->tensors[i]));
        if (name)
            TRY(add_module(list, file, &keys, &file->tensors[i], name));
    }
done:
    peft_keys_finish(&keys);
    safetensors_close(file);
    return status;
}

static clora_status read_term(term_list *out, const peft_adapter *adapter, const target_module *module, int i) {
    clora_status status = CLORA_OK;
    lowrank_term *term;

    TRY(term_list_add(&term, out, module->name, module->N, module->K, adapter->choice[i].R));
    term->scale = adapter->choice[i].scale;
    TRY(peft_read(term->a, adapter, adapter->part[PEFT_A][i]));
    TRY(peft_read(term->b, adapter, adapter->part[PEFT_B][i]));
done:
    return status;
}

/* First of all: what kind of adapter it is says more than what its files lack. */
static clora_status check_settings(const char *directory) {
    static const char *const more[] = {"lora_bias", "modules_to_save", "use_dora"};
    char *path = file_join(directory, "adapter_config.json");
    json_t *config = NULL;
    clora_status status = CLORA_OK;

    if (!path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to read %s", directory));
    TRY(peft_config_load(&config, path, NULL, 0));
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        const json_t *value = json_object_get(config, more[i]);
        if (value && !json_is_off(value))
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: \"%s\" is set: only plain LoRA can be combined and converted",
                           path, more[i]));
    }
done:
    json_decref(config);
    free(path);
    return status;
}

clora_status peft_terms_read(term_list *out, const char *directory) {
    clora_status status = CLORA_OK;
    peft_adapter adapter = {.count = 0};
    module_list list = {.count = 0};

    *out = (term_list){.count = 0};
    TRY(directory_need_adapter(directory));
    TRY(check_settings(directory));
    TRY(list_modules(&list, directory));
    TRY(peft_open(&adapter, directory, &(peft_base){list.module, list.count, NULL, 0}));
    for (int i = 0; i < list.count; i++)
        TRY(read_term(out, &adapter, &list.module[i], i));
    TRY(term_list_sort(out, directory));
    out->settings = json_incref(adapter.config);
    out->told = true;
done:
    peft_close(&adapter);
    module_list_finish(&list);
    if (status != CLORA_OK)
        term_list_finish(out);
    return status;
}

clora_status peft_terms_write(const term_list *list, const char *directory, clora_dtype dtype) {
    clora_status status = CLORA_OK;
    char *tensors = NULL, *settings = NULL;
    outdir out = {.claim = NULL};

    TRY(outdir_open(&out, directory, "adapter_config.json"));
    TRY(peft_check_place(directory, false));
    TRY(outdir_path(&tensors, &out, "adapter_model.safetensors"));
    TRY(factor_file_write(tensors, list, &peft_factors, dtype));
    TRY(outdir_path(&settings, &out, "adapter_config.json"));
    TRY(peft_config_save(list->settings, settings, NULL));
done:
    outdir_close(&out, status == CLORA_OK);
    free(tensors);
    free(settings);
    return status;
}
