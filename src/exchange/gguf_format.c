#include <fcntl.h>
#include <limits.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/dtype.h"
#include "base/file.h"
#include "exchange/adapter_format.h"
#include "exchange/factor_file.h"
#include "exchange/gguf_names.h"
#include "files/gguf.h"
#include "methods/target.h"

static const char A_ENDING[] = ".weight.lora_a", B_ENDING[] = ".weight.lora_b";

/* ---- rows of q and k ---- */

/*
 * Row h d + 2 i + p of the interleaved form is row h d + p d/2 + i of the halves, with d rows a head: move the rows of
 * b (N, R) to the one form or back.
 */
static clora_status move_rows(float *b, int N, int R, int heads, bool to_halves) {
    const size_t width = (size_t)R, d = (size_t)N / (size_t)heads;
    float *from = alloc_array((size_t)N, width * sizeof(*from));

    if (!from)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the rows of a factor");
    memcpy(from, b, (size_t)N * width * sizeof(*from));
    for (size_t row = 0; row < (size_t)N; row++) {
        const size_t head = row / d * d, i = row % d / 2, p = row % 2; /* of the interleaved form */
        const size_t half = head + p * (d / 2) + i;
        memcpy(b + (to_halves ? half : row) * width, from + (to_halves ? row : half) * width, width * sizeof(*b));
    }
    free(from);
    return CLORA_OK;
}

static clora_status rotate_term(lowrank_term *t, const base_shape *base, bool to_halves) {
    const int heads = gguf_rotated_heads(t->module, base->heads, base->kv_heads);

    if (heads == 0)
        return CLORA_OK;
    if (t->N % (2 * heads) != 0)
        return clora_fail(CLORA_ERROR_ARGUMENT, "%s has %d rows, which are not the %d heads of %s: is this its base?",
                          t->module, t->N, heads, base->directory);
    return move_rows(t->b, t->N, t->R, heads, to_halves);
}

/* ---- reading ---- */

static bool is_gguf(const char *path) {
    const int fd = file_is_directory(path) ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char magic[4] = "";
    const bool is = fd >= 0 && read(fd, magic, sizeof(magic)) == sizeof(magic) && memcmp(magic, "GGUF", 4) == 0;

    if (fd >= 0)
        close(fd);
    return is || (!file_is_directory(path) && c_locale_ends_with(path, ".gguf"));
}

static clora_status check_kind(double *alpha, const gguf_family **of, const gguf *file, const base_shape *base) {
    const char *general, *type, *architecture;
    clora_status status = CLORA_OK;

    TRY(gguf_get_text(&general, file, "general.type", "model"));
    TRY(gguf_get_text(&type, file, "adapter.type", ""));
    TRY(gguf_get_text(&architecture, file, "general.architecture", ""));
    TRY(gguf_get_number(alpha, file, "adapter.lora.alpha", 0));
    if (strcmp(general, "adapter") != 0 || strcmp(type, "lora") != 0)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s: not a LoRA adapter: \"general.type\" is \"%s\" and \"adapter.type\" is \"%s\"", file->path,
                       general, type));
    if (gguf_find_value(file, "adapter.alora.invocation_tokens"))
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: an activated LoRA, which begins at tokens of its own",
                       file->path));
    if (!isfinite((float)*alpha))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"adapter.lora.alpha\" is %g", file->path, *alpha));
    *of = gguf_family_of(architecture);
    if ((*of)->interleaved && !base->directory)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT,
                       "%s: files of architecture %s order the rows of q and k by heads: name the model (--model), "
                       "whose number of heads is needed",
                       file->path, architecture));
    const gguf_family *family = base->directory ? gguf_family_find(base->model_type) : NULL;
    if (base->directory && (!family || strcmp(family->architecture, architecture) != 0))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s is of architecture \"%s\", and %s of model_type \"%s\"", file->path,
                       architecture, base->directory, base->model_type));
done:
    return status;
}

static clora_status read_factor(float *out, const gguf *file, const stored_tensor *t) {
    const size_t n = stored_elements(t);
    void *bytes = alloc_array(t->size, 1);
    clora_status status = CLORA_OK;

    if (!bytes)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the tensor %s", t->name));
    TRY(gguf_read(bytes, file, t, 0, t->size));
    if (!dtype_all_finite(bytes, t->dtype, n))
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s holds a value that is not finite", file->path, t->name));
    dtype_to_f32(out, bytes, t->dtype, n);
done:
    free(bytes);
    return status;
}

static clora_status check_factor(const gguf *file, const stored_tensor *t) {
    char text[STORED_SHAPE_TEXT];

    if (!t->supported)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s has type %s; F32, F16 and BF16 are supported",
                          file->path, t->name, t->dtype_text);
    if (t->ndim != 2 || t->shape[0] < 1 || t->shape[0] > INT_MAX || t->shape[1] < 1 || t->shape[1] > INT_MAX)
        return clora_fail(CLORA_ERROR_FORMAT, "%s: tensor %s is %s, no factor of a linear layer", file->path, t->name,
                          stored_shape_text(text, t->ndim, t->shape));
    return CLORA_OK;
}

/* a (R, K) and b (N, R) lie as PEFT's do. Without an alpha the scale is 1, as llama.cpp has it. */
static clora_status read_term(term_list *out, const gguf *file, const stored_tensor *a, const char *module,
                              double alpha) {
    char *name = alloc_format("%.*s%s", (int)(strlen(a->name) - strlen(A_ENDING)), a->name, B_ENDING);
    const stored_tensor *b = name ? gguf_find(file, name) : NULL;
    clora_status status = CLORA_OK;
    lowrank_term *term;

    if (!b)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: there is no lora_b to the tensor %s", file->path, a->name));
    TRY(check_factor(file, a));
    TRY(check_factor(file, b));
    if (a->shape[0] != b->shape[1] || a->shape[0] > TARGET_MAX_RANK)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: tensors %s and %s have ranks %lld and %lld", file->path, a->name,
                       b->name, (long long)a->shape[0], (long long)b->shape[1]));
    TRY(term_list_add(&term, out, module, (int)b->shape[0], (int)a->shape[1], (int)a->shape[0]));
    if ((float)alpha != 0)
        term->scale = (float)alpha / (float)term->R;
    TRY(read_factor(term->a, file, a));
    TRY(read_factor(term->b, file, b));
done:
    free(name);
    return status;
}

/* The module that a tensor is factor A of; NULL for a factor B. Anything else is refused. */
static clora_status module_of(char **out, const gguf *file, const stored_tensor *t, const gguf_family *family) {
    const bool is_a = c_locale_ends_with(t->name, A_ENDING), is_b = c_locale_ends_with(t->name, B_ENDING);
    char *name = is_a ? alloc_string_n(t->name, strlen(t->name) - strlen(A_ENDING)) : NULL;
    clora_status status = CLORA_OK;

    *out = NULL;
    if (is_a && !name)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the name of %s", t->name);
    if (name)
        TRY(gguf_module_of(out, name, family));
    if (!*out && !is_b)
        TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: tensor %s is no factor of a linear layer that clora knows",
                       file->path, t->name));
done:
    free(name);
    return status;
}

static clora_status read_terms(term_list *out, const gguf *file, const base_shape *base) {
    clora_status status = CLORA_OK;
    const gguf_family *family;
    char *module = NULL;
    double alpha;

    TRY(check_kind(&alpha, &family, file, base));
    for (size_t i = 0; i < file->count; i++) {
        free(module);
        TRY(module_of(&module, file, &file->tensors[i], family));
        if (!module)
            continue;
        TRY(read_term(out, file, &file->tensors[i], module, alpha));
        if (family->interleaved)
            TRY(rotate_term(&out->term[out->count - 1], base, true));
    }
    if (2 * out->count != file->count || out->count == 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: factors lora_a and lora_b are not in pairs", file->path));
    TRY(term_list_sort(out, file->path));
done:
    free(module);
    return status;
}

static clora_status read_gguf(term_list *out, const char *path, const base_shape *base) {
    clora_status status = CLORA_OK;
    gguf *file = NULL;

    *out = (term_list){.count = 0};
    TRY(gguf_open(&file, path));
    TRY(read_terms(out, file, base));
done:
    gguf_close(file);
    if (status != CLORA_OK)
        term_list_finish(out);
    return status;
}

/* ---- writing ---- */

/* The one alpha from which a reader gets every scale as alpha / rank; 0 when there is none. */
static float common_alpha(const term_list *list) {
    const float alpha = list->term[0].scale * (float)list->term[0].R;

    for (size_t i = 0; i < list->count; i++) {
        const lowrank_term *t = &list->term[i];
        if (!(fabsf(alpha / (float)t->R - t->scale) <= FLT_EPSILON * fabsf(t->scale)))
            return 0;
    }
    return alpha;
}

static clora_status check_base(const gguf_family **out, const base_shape *base) {
    if (!base->directory)
        return clora_fail(CLORA_ERROR_ARGUMENT,
                          "a GGUF adapter names the architecture of its model: name the model (--model)");
    *out = gguf_family_find(base->model_type);
    if (!*out)
        return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s: of model_type \"%s\" clora knows no names of GGUF files",
                          base->directory, base->model_type);
    return CLORA_OK;
}

static clora_status prepare(float *alpha, bool *folded, term_list *list, const base_shape *base,
                            const gguf_family *family) {
    clora_status status = CLORA_OK;

    *alpha = common_alpha(list);
    *folded = *alpha == 0;
    for (size_t i = 0; i < list->count; i++) {
        lowrank_term *t = &list->term[i];
        if (base->tied && strcmp(t->module, "lm_head") == 0)
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED,
                           "the adapter changes lm_head, which %s ties to its embedding: GGUF has no tensor for it",
                           base->directory));
        if (*folded)
            TRY(term_fold(t));
        if (family->interleaved)
            TRY(rotate_term(t, base, false));
    }
done:
    return status;
}

/* Entries 2i and 2i + 1 are A and B of the i-th term. */
static clora_status describe(gguf_entry *entries, const term_list *list, const gguf_family *family, clora_dtype dtype) {
    clora_status status = CLORA_OK;
    char *name = NULL;

    for (size_t i = 0; i < list->count; i++) {
        const lowrank_term *t = &list->term[i];
        free(name);
        TRY(gguf_name_of(&name, t->module, family));
        if (!name)
            TRY(clora_fail(CLORA_ERROR_UNSUPPORTED, "GGUF has no name that clora knows for %s", t->module));
        entries[2 * i] = (gguf_entry){alloc_format("%s%s", name, A_ENDING), dtype, 2, {t->R, t->K}};
        entries[2 * i + 1] = (gguf_entry){alloc_format("%s%s", name, B_ENDING), dtype, 2, {t->N, t->R}};
        if (!entries[2 * i].name || !entries[2 * i + 1].name)
            TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the list of an adapter's tensors"));
    }
done:
    free(name);
    return status;
}

static clora_status write_factor(gguf_writer *writer, const float *values, size_t n, clora_dtype dtype,
                                 const char *name) {
    clora_status status = CLORA_OK;
    void *bytes = NULL;

    TRY(factor_narrow(&bytes, values, n, dtype, name));
    TRY(gguf_writer_tensor(writer, bytes, n * dtype_size(dtype)));
done:
    free(bytes);
    return status;
}

static clora_status write_file(const char *path, const term_list *list, const gguf_family *family, float alpha,
                               clora_dtype dtype) {
    const gguf_setting settings[] = {{"general.architecture", family->architecture, 0},
                                     {"general.type", "adapter", 0},
                                     {"adapter.type", "lora", 0},
                                     {"adapter.lora.alpha", NULL, alpha}};
    gguf_entry *entries = alloc_array(2 * list->count + 1, sizeof(*entries));
    gguf_writer writer = {.count = 0};
    clora_status status = CLORA_OK;

    if (!entries)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path));
    TRY(describe(entries, list, family, dtype));
    TRY(gguf_writer_begin(&writer, path, settings, sizeof(settings) / sizeof(settings[0]), entries, 2 * list->count));
    for (size_t i = 0; i < list->count; i++) {
        const lowrank_term *t = &list->term[i];
        TRY(write_factor(&writer, t->a, (size_t)t->R * (size_t)t->K, dtype, entries[2 * i].name));
        TRY(write_factor(&writer, t->b, (size_t)t->N * (size_t)t->R, dtype, entries[2 * i + 1].name));
    }
    TRY(gguf_writer_finish(&writer));
done:
    gguf_writer_abandon(&writer);
    for (size_t i = 0; entries && i < 2 * list->count; i++)
        free((void *)(uintptr_t)entries[i].name);
    free(entries);
    return status;
}

static clora_status write_gguf(bool *folded, term_list *list, const char *path, const base_shape *base,
                               clora_dtype dtype) {
    clora_status status = CLORA_OK;
    const gguf_family *family;
    float alpha;

    TRY(check_base(&family, base));
    if (file_exists(path))
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "%s is there already: name another file or remove it", path));
    TRY(prepare(&alpha, folded, list, base, family));
    TRY(write_file(path, list, family, alpha, dtype));
done:
    return status;
}

const adapter_format gguf_format = {is_gguf, read_gguf, write_gguf};
