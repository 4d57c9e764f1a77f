#include "exchange/term_list.h"

#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

void term_list_finish(term_list *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->term[i].module);
        free(list->term[i].a);
        free(list->term[i].b);
    }
    free(list->term);
    json_decref(list->settings);
    *list = (term_list){.count = 0};
}

clora_status term_list_add(lowrank_term **out, term_list *list, const char *module, int N, int K, int R) {
    clora_status status = CLORA_OK;
    lowrank_term term = {.module = alloc_string(module), .N = N, .K = K, .R = R, .scale = 1.0f};

    *out = NULL;
    term.a = alloc_array((size_t)R, (size_t)K * sizeof(float));
    term.b = alloc_array((size_t)N, (size_t)R * sizeof(float));
    if (!term.module || !term.a || !term.b)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", module));
    TRY(alloc_grow((void **)&list->term, &list->capacity, list->count + 1, sizeof(term)));
    *out = &list->term[list->count++];
    **out = term;
    term = (lowrank_term){.module = NULL};
done:
    free(term.module);
    free(term.a);
    free(term.b);
    return status;
}

static int compare(const void *x, const void *y) {
    return strcmp(((const lowrank_term *)x)->module, ((const lowrank_term *)y)->module);
}

clora_status term_list_sort(term_list *list, const char *where) {
    if (list->count > 1)
        qsort(list->term, list->count, sizeof(*list->term), compare);
    for (size_t i = 1; i < list->count; i++)
        if (compare(&list->term[i - 1], &list->term[i]) == 0)
            return clora_fail(CLORA_ERROR_FORMAT, "%s: the factors of %s are there twice", where, list->term[i].module);
    return CLORA_OK;
}

const lowrank_term *term_list_find(const term_list *list, const char *module) {
    const lowrank_term key = {.module = (char *)(uintptr_t)module};

    return list->count ? bsearch(&key, list->term, list->count, sizeof(key), compare) : NULL;
}

int term_list_rank(const term_list *list) {
    int rank = 0;

    for (size_t i = 0; i < list->count; i++)
        rank = list->term[i].R > rank ? list->term[i].R : rank;
    return rank;
}

static clora_status widen(lowrank_term *term, int rank) {
    const size_t old = (size_t)term->R, wide = (size_t)rank;
    float *a = alloc_array(wide, (size_t)term->K * sizeof(*a)), *b = alloc_array((size_t)term->N, wide * sizeof(*b));

    if (!a || !b) {
        free(a);
        free(b);
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the factors of %s", term->module);
    }
    memcpy(a, term->a, old * (size_t)term->K * sizeof(*a));
    for (size_t n = 0; n < (size_t)term->N; n++)
        memcpy(b + n * wide, term->b + n * old, old * sizeof(*b));
    free(term->a);
    free(term->b);
    term->a = a;
    term->b = b;
    term->R = rank;
    return CLORA_OK;
}

clora_status term_list_widen(term_list *list, int rank) {
    enum { TIMES = 64, SMALL = 1 << 24 };
    double before = 0, after = 0;
    clora_status status = CLORA_OK;

    for (size_t i = 0; i < list->count; i++) {
        const double width = (double)list->term[i].N + list->term[i].K;
        before += width * list->term[i].R;
        after += width * rank;
    }
    if (after > TIMES * before && after > SMALL)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT,
                       "with rank %d at all modules the adapter would be %.0f times as large, of zeros: lower the rank "
                       "(clora combine --method svd --rank)",
                       rank, after / before));
    for (size_t i = 0; i < list->count; i++)
        if (list->term[i].R < rank)
            TRY(widen(&list->term[i], rank));
done:
    return status;
}

clora_status term_fold(lowrank_term *term) {
    const size_t n = (size_t)term->N * (size_t)term->R;

    for (size_t i = 0; i < n; i++) {
        term->b[i] *= term->scale;
        if (!isfinite(term->b[i]))
            return clora_fail(CLORA_ERROR_FORMAT, "factor B of %s times its scale %g is no float", term->module,
                              (double)term->scale);
    }
    term->scale = 1.0f;
    return CLORA_OK;
}

int term_layer(const char **rest, const char *module) {
    for (const char *dot = strchr(module, '.'); dot; dot = strchr(dot + 1, '.')) {
        char *end;
        if (!isdigit((unsigned char)dot[1]))
            continue;
        const long layer = strtol(dot + 1, &end, 10);
        if (*end != '.' || layer >= INT_MAX)
            continue;
        *rest = end + 1;
        return (int)layer;
    }
    *rest = module;
    return -1;
}
