#include "methods/peft_keys.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* How the parts are named: PATH.NAME.ENDING, or in memory PATH.NAME.ADAPTER.ENDING. Magnitudes have an ending there
 * alone. */
static const struct {
    const char *name, *ending, *on_disk;
} parts[PEFT_PARTS] = {
    [PEFT_A] = {".lora_A", ".weight", ".lora_A.weight"},
    [PEFT_B] = {".lora_B", ".weight", ".lora_B.weight"},
    [PEFT_BIAS] = {".lora_B", ".bias", ".lora_B.bias"},
    [PEFT_MAGNITUDE] = {".lora_magnitude_vector", ".weight", ".lora_magnitude_vector"},
};

const char *peft_part_name(peft_part part) {
    return parts[part].on_disk;
}

enum { COPY = '~' /* begins what is no factor; in order after all that are */ };

typedef struct peft_key {
    char *meaning; /* "layers.0.self_attn.q_proj.lora_A.weight", or after a COPY "norm.weight" */
    const char *adapter;
    size_t adapter_length; /* 0: the key names none, or PEFT's "default" */
    const stored_tensor *tensor;
} peft_key;

static bool is_one_of(const char *part, size_t length, const char *const *texts) {
    for (; *texts; texts++)
        if (strlen(*texts) == length && memcmp(part, *texts, length) == 0)
            return true;
    return false;
}

/* Below base_model.model. comes the model's own "model.": these go too, since no two modules differ in them alone. */
static const char *const OUTER[] = {"base_model", "model", NULL};
static const char *const NOTHING[] = {NULL};

/* Older versions of transformers have "language_model.model" where a model of texts and images has "language_model". */
static bool is_doubled(const char *begin, const char *out, const char *part, size_t n) {
    static const char inner[] = "language_model.";

    return (size_t)(out - begin) == strlen(inner) && memcmp(begin, inner, strlen(inner)) == 0 && n == strlen("model") &&
           memcmp(part, "model", n) == 0;
}

/* A module's path with a dot after it, without the parts that say how it was wrapped, nor those in `outer` that it
 * begins with; returns the end. */
static char *unwrap(char *out, const char *path, size_t length, const char *const *outer) {
    static const char *const wrappers[] = {"_orig_mod", "module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module",
                                           NULL};
    const char *part = path, *end = path + length, *begin = out;
    bool leading = true;

    while (part < end) {
        const char *dot = memchr(part, '.', (size_t)(end - part));
        const size_t n = (size_t)((dot ? dot : end) - part);
        const bool wrapper = is_one_of(part, n, wrappers);
        leading = leading && (wrapper || is_one_of(part, n, outer));
        if (!leading && !wrapper && !is_doubled(begin, out, part, n)) {
            memcpy(out, part, n);
            out += n;
            *out++ = '.';
        }
        part += n + 1;
    }
    return out;
}

/* The part that a name is of; *rest: what follows PATH.NAME, without the ending, to *end. */
static peft_part part_of(const char *name, const char **at, const char **rest, const char **end) {
    const char *stop = name + strlen(name);

    for (int i = PEFT_A; i < PEFT_PARTS; i++) {
        const size_t ending = strlen(parts[i].ending);
        const bool ends = (size_t)(stop - name) >= ending && strcmp(stop - ending, parts[i].ending) == 0;
        *at = strstr(name, parts[i].name);
        if (!*at || (!ends && i != PEFT_MAGNITUDE))
            continue;
        *rest = *at + strlen(parts[i].name);
        *end = ends ? stop - ending : stop;
        if (*rest <= *end)
            return (peft_part)i;
    }
    return PEFT_NONE;
}

/* key->meaning stays NULL for a tensor that is no part. */
static clora_status read_key(peft_key *key, const stored_tensor *tensor) {
    const char *name = tensor->name, *at, *rest, *end;
    const peft_part part = part_of(name, &at, &rest, &end);

    *key = (peft_key){.tensor = tensor};
    if (part == PEFT_NONE || (rest < end && *rest != '.'))
        return CLORA_OK;
    if (rest < end) {
        key->adapter = rest + 1;
        key->adapter_length = (size_t)(end - key->adapter);
        if (memchr(key->adapter, '.', key->adapter_length))
            return CLORA_OK;
        if (key->adapter_length == strlen("default") && strncmp(key->adapter, "default", key->adapter_length) == 0)
            key->adapter_length = 0;
    }
    key->meaning = alloc_array(strlen(name) + sizeof(".lora_magnitude_vector"), 1);
    if (!key->meaning)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the names of an adapter's tensors");
    strcpy(unwrap(key->meaning, name, (size_t)(at - name), OUTER), parts[part].on_disk + 1);
    return CLORA_OK;
}

/* "PATH.lora_embedding_A" or "PATH.lora_embedding_A.ADAPTER"; key->meaning stays NULL for another tensor. */
static clora_status read_embedding(peft_key *key, const stored_tensor *tensor) {
    static const char factor[] = ".lora_embedding_A";
    const char *name = tensor->name, *at = strstr(name, ".lora_embedding_");
    const size_t n = strlen(factor);

    *key = (peft_key){.tensor = tensor};
    if (!at || (at[n - 1] != 'A' && at[n - 1] != 'B') || (at[n] != '\0' && at[n] != '.'))
        return CLORA_OK;
    if (at[n] == '.') {
        key->adapter = at + n + 1;
        key->adapter_length = strlen(key->adapter);
        if (strchr(key->adapter, '.'))
            return CLORA_OK;
        if (strcmp(key->adapter, "default") == 0)
            key->adapter_length = 0;
    }
    key->meaning = alloc_array(strlen(name) + 1, 1);
    if (!key->meaning)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the names of an adapter's tensors");
    char *end = unwrap(key->meaning, name, (size_t)(at - name), OUTER);
    memcpy(end, at + 1, n - 1);
    return CLORA_OK;
}

/* What is no factor: "PATH.weight" or "MODULE.modules_to_save.ADAPTER.weight". */
static clora_status read_copy(peft_key *key, const stored_tensor *tensor) {
    static const char saved[] = ".modules_to_save.";
    const char *name = tensor->name, *dot = strrchr(name, '.'), *in_memory = strstr(name, saved);
    const char *leaf = dot ? dot + 1 : name, *path_end = leaf;

    *key = (peft_key){.tensor = tensor};
    if (in_memory && in_memory + strlen(saved) < dot) {
        key->adapter = in_memory + strlen(saved);
        key->adapter_length = (size_t)(dot - key->adapter);
        if (strncmp(key->adapter, "default.", 8) == 0)
            key->adapter_length = 0;
        path_end = in_memory;
    }
    key->meaning = alloc_array(strlen(name) + 3, 1);
    if (!key->meaning)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the names of an adapter's tensors");
    key->meaning[0] = COPY;
    strcpy(unwrap(key->meaning + 1, name, (size_t)(path_end - name), OUTER), leaf);
    return CLORA_OK;
}

static int compare(const void *x, const void *y) {
    return strcmp(((const peft_key *)x)->meaning, ((const peft_key *)y)->meaning);
}

/* A copy's name on disk tells nothing of the adapter. */
static bool same_adapter(const peft_key *x, const peft_key *y) {
    if (y->meaning[0] == COPY && !y->adapter)
        return true;
    return x->adapter_length == y->adapter_length &&
           (x->adapter_length == 0 || memcmp(x->adapter, y->adapter, x->adapter_length) == 0);
}

/* Both named in the message: which of the two is meant nobody can say. */
static clora_status check_one_meaning(const peft_keys *keys, const char *path) {
    for (size_t i = 1; i < keys->count; i++)
        if (compare(&keys->key[i - 1], &keys->key[i]) == 0)
            return clora_fail(CLORA_ERROR_FORMAT, "%s: the tensors %s and %s are the same factor: keep one of them",
                              path, keys->key[i - 1].tensor->name, keys->key[i].tensor->name);
    for (size_t i = 1; i < keys->count; i++)
        if (!same_adapter(&keys->key[0], &keys->key[i]))
            return clora_fail(CLORA_ERROR_FORMAT,
                              "%s: the tensors %s and %s are of two adapters: save each in a directory of its own",
                              path, keys->key[0].tensor->name, keys->key[i].tensor->name);
    return CLORA_OK;
}

clora_status peft_keys_init(peft_keys *out, const safetensors *file) {
    clora_status status = CLORA_OK;

    *out = (peft_keys){.key = alloc_array(file->count + 1, sizeof(*out->key))};
    if (!out->key)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the names of an adapter's tensors");
    for (size_t i = 0; i < file->count; i++) {
        peft_key *key = &out->key[out->count++];
        TRY(read_key(key, &file->tensors[i]));
        if (!key->meaning)
            TRY(read_embedding(key, &file->tensors[i]));
        if (!key->meaning)
            TRY(read_copy(key, &file->tensors[i]));
    }
    qsort(out->key, out->count, sizeof(*out->key), compare);
    TRY(check_one_meaning(out, file->path));
done:
    return status;
}

void peft_keys_finish(peft_keys *keys) {
    for (size_t i = 0; i < keys->count; i++)
        free(keys->key[i].meaning);
    free(keys->key);
    *keys = (peft_keys){.count = 0};
}

/* What means the first n characters of a path without wrappers, and then the leaf; first: COPY or 0. */
static clora_status find(const stored_tensor **out, const peft_keys *keys, char first, const char *path, size_t n,
                         const char *leaf) {
    char *meaning = alloc_array(n + strlen(leaf) + 3, 1);

    *out = NULL;
    if (!meaning)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for the names of an adapter's tensors");
    meaning[0] = first;
    strcpy(unwrap(meaning + (first != 0), path, n, OUTER), leaf);
    const peft_key wanted = {.meaning = meaning};
    const peft_key *found = keys->count ? bsearch(&wanted, keys->key, keys->count, sizeof(wanted), compare) : NULL;
    *out = found ? found->tensor : NULL;
    free(meaning);
    return CLORA_OK;
}

clora_status peft_keys_find(const stored_tensor **out, const peft_keys *keys, const char *module, peft_part part) {
    return find(out, keys, 0, module, strlen(module), parts[part].on_disk + 1);
}

clora_status peft_keys_find_embedding(const stored_tensor **out, const peft_keys *keys, const char *module, bool is_b) {
    return find(out, keys, 0, module, strlen(module), is_b ? "lora_embedding_B" : "lora_embedding_A");
}

clora_status peft_keys_find_copy(const stored_tensor **out, const peft_keys *keys, const char *name) {
    const char *dot = strrchr(name, '.'), *leaf = dot ? dot + 1 : name;

    return find(out, keys, COPY, name, (size_t)(leaf - name), leaf);
}

static bool is_factor_a(const peft_key *key) {
    return key->meaning[0] != COPY && strstr(key->meaning, parts[PEFT_A].on_disk + 1);
}

clora_status peft_keys_module(char **out, const stored_tensor *tensor) {
    static const char prefix[] = "base_model.model.";
    peft_key key;
    const clora_status status = read_key(&key, tensor);

    *out = NULL;
    if (status != CLORA_OK || !key.meaning || !is_factor_a(&key)) {
        free(key.meaning);
        return status;
    }
    char *path = key.meaning; /* longer than what it takes now */
    char *end = unwrap(path, tensor->name, (size_t)(strstr(tensor->name, ".lora_A") - tensor->name), NOTHING);
    *(end > path ? end - 1 : end) = '\0';
    const char *module = strncmp(path, prefix, strlen(prefix)) == 0 ? path + strlen(prefix) : path;
    *out = alloc_string(module);
    free(path);
    return *out ? CLORA_OK : clora_fail(CLORA_ERROR_MEMORY, "no memory for the names of an adapter's tensors");
}

int peft_keys_modules(const peft_keys *keys) {
    int modules = 0;

    for (size_t i = 0; i < keys->count; i++)
        modules += is_factor_a(&keys->key[i]);
    return modules;
}
