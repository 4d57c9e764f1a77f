#include "files/directory.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/file.h"
#include "base/file_error.h"

enum { NAME_SIZE = 256 };

static const char *const PICKLES[] = {".bin", ".pt", ".pth", ".ckpt", ".pkl", NULL};
static const char *const GGUF[] = {".gguf", ".ggml", NULL};
static const char *const OTHERS[] = {".h5", ".msgpack", ".npz", ".onnx", NULL};
static const char *const SAFETENSORS[] = {".safetensors", NULL};
static const char *const DATA[] = {".jsonl", ".ndjson", ".csv", ".tsv", ".txt", NULL};
static const char *const CACHED[] = {"models--", NULL};
static const char *const ANY[] = {"", NULL};

static bool ends_so(const char *name, const char *const *endings) {
    for (; *endings; endings++)
        if (strlen(name) > strlen(*endings) && c_locale_ends_with(name, *endings))
            return true;
    return false;
}

static bool begins_so(const char *name, const char *const *beginnings) {
    return strncmp(name, *beginnings, strlen(*beginnings)) == 0 && name[0] != '.';
}

/* The first entry by name for which `wanted` holds; false when there is none. */
static bool find_entry(char found[NAME_SIZE], const char *path, bool (*wanted)(const char *, const char *const *),
                       const char *const *texts) {
    DIR *directory = opendir(path);
    const struct dirent *entry;

    found[0] = '\0';
    while (directory && (entry = readdir(directory)))
        if (wanted(entry->d_name, texts) && (!found[0] || strcmp(entry->d_name, found) < 0))
            snprintf(found, NAME_SIZE, "%s", entry->d_name);
    if (directory)
        closedir(directory);
    return found[0] != '\0';
}

static bool holds(const char *path, const char *name) {
    char *inside = file_join(path, name);
    const bool there = inside && file_exists(inside);

    free(inside);
    return there;
}

/* ---- names and caches of the Hugging Face hub ---- */

/* "owner/name", and no directory of that owner is here. */
static bool is_hub_name(const char *path) {
    const char *slash = strchr(path, '/');
    char owner[NAME_SIZE];

    if (!slash || slash == path || strchr(slash + 1, '/') || slash[1] == '\0' || slash - path >= NAME_SIZE)
        return false;
    for (const char *c = path; *c; c++)
        if (!isalnum_l((unsigned char)*c, c_locale()) && !strchr("/-_.", *c))
            return false;
    snprintf(owner, sizeof(owner), "%.*s", (int)(slash - path), path);
    return owner[0] != '.' && !file_exists(owner);
}

/* The snapshot that the cache's main branch points to, else the first. */
static bool find_snapshot(char found[NAME_SIZE], const char *root) {
    char *reference = file_join(root, "refs/main"), *snapshots = file_join(root, "snapshots"), *text = NULL;
    bool there = false;

    found[0] = '\0';
    if (reference && snapshots && file_exists(reference) &&
        file_read_text(&text, NULL, reference, NAME_SIZE - 1) == CLORA_OK) {
        text[strspn(text, "0123456789abcdef")] = '\0';
        there = *text && holds(snapshots, text);
    }
    if (there)
        snprintf(found, NAME_SIZE, "%s", text);
    else if (snapshots)
        there = find_entry(found, snapshots, begins_so, ANY);
    free(text);
    free(snapshots);
    free(reference);
    return there;
}

/* CLORA_OK where path is neither a model's root in a cache, nor the cache. */
static clora_status refuse_cache(const char *path) {
    char name[NAME_SIZE], snapshot[NAME_SIZE];
    const bool root = holds(path, "snapshots"), cache = !root && find_entry(name, path, begins_so, CACHED);
    char *inside = cache ? file_join(path, name) : alloc_string(path);
    clora_status status = CLORA_OK;

    if (!inside)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory for a path");
    if ((root || cache) && find_snapshot(snapshot, inside))
        status =
            clora_fail(CLORA_ERROR_NOT_FOUND, "%s is %s Hugging Face cache: take %s%s/snapshots/%s", path,
                       root ? "a model's root in a" : "a", root ? "" : "a model in it, such as ", inside, snapshot);
    else if (root || cache)
        status = clora_fail(CLORA_ERROR_NOT_FOUND,
                            "%s is of a Hugging Face cache, and no snapshot is there: download it", path);
    free(inside);
    return status;
}

/* ---- paths ---- */

/* hint, here and below: what the path should have been */
static clora_status refuse_absent(const char *path, const char *hint) {
    if (is_hub_name(path))
        return clora_fail(CLORA_ERROR_NOT_FOUND,
                          "%s: no such directory; if it is a name of the Hugging Face hub, download it first: "
                          "huggingface-cli download %s --local-dir %s",
                          path, path, strchr(path, '/') + 1);
    return clora_fail(CLORA_ERROR_NOT_FOUND, "%s: no such directory; %s", path, hint);
}

static clora_status refuse_file(const char *path, const char *hint) {
    if (ends_so(path, GGUF))
        return clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "%s is a GGUF file, which clora does not read; take the Hugging Face directory it was made from", path);
    if (ends_so(path, PICKLES))
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s is a Python pickle, which clora does not run; save it again as safetensors; %s", path,
                          hint);
    if (ends_so(path, DATA))
        return clora_fail(CLORA_ERROR_NOT_FOUND, "%s is a data file, which goes to --data; %s", path, hint);
    if (ends_so(path, SAFETENSORS) || c_locale_ends_with(path, "config.json") ||
        c_locale_ends_with(path, "tokenizer.json"))
        return clora_fail(CLORA_ERROR_NOT_FOUND, "%s is one file of several: name its directory; %s", path, hint);
    return clora_fail(CLORA_ERROR_NOT_FOUND, "%s is a file; %s", path, hint);
}

static clora_status need_directory(const char *path, const char *hint) {
    struct stat info;

    if (stat(path, &info) == 0)
        return S_ISDIR(info.st_mode) ? CLORA_OK : refuse_file(path, hint);
    if (errno != ENOENT || file_exists(path))
        return file_error_read(path, errno);
    return refuse_absent(path, hint);
}

/* A directory below that holds the file is most likely what was meant. CLORA_OK where there is none. */
static clora_status refuse_parent(const char *path, const char *name) {
    char found[NAME_SIZE] = "";
    DIR *directory = opendir(path);
    const struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        char *inside = entry->d_name[0] == '.' ? NULL : file_join(path, entry->d_name);
        if (inside && holds(inside, name) && (!found[0] || strcmp(entry->d_name, found) < 0))
            snprintf(found, sizeof(found), "%s", entry->d_name);
        free(inside);
    }
    if (directory)
        closedir(directory);
    if (!found[0])
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_NOT_FOUND, "%s holds no %s; a directory in it does: take %s/%s", path, name, path,
                      found);
}

/* The directory is there, and the file is not. */
static clora_status refuse_without(const char *path, const char *name, const char *hint) {
    clora_status status = CLORA_OK;

    TRY(refuse_cache(path));
    TRY(refuse_parent(path, name));
    status = clora_fail(CLORA_ERROR_NOT_FOUND, "%s holds no %s; %s", path, name, hint);
done:
    return status;
}

/* CLORA_OK where path is no adapter. */
static clora_status refuse_adapter(const char *path) {
    if (holds(path, "config.json") || !holds(path, "adapter_config.json"))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_NOT_FOUND,
                      "%s is an adapter, not a model: name its base as the model, and it with --adapter (train: "
                      "--init-adapter; merge: after the model)",
                      path);
}

clora_status directory_need_model(const char *path) {
    static const char hint[] = "a model is a Hugging Face directory with config.json";
    clora_status status = CLORA_OK;
    char name[NAME_SIZE];

    TRY(need_directory(path, hint));
    if (holds(path, "config.json"))
        return CLORA_OK;
    TRY(refuse_adapter(path));
    if (find_entry(name, path, ends_so, GGUF))
        return clora_fail(CLORA_ERROR_UNSUPPORTED,
                          "%s holds %s, which clora does not read; take the Hugging Face directory it was made from",
                          path, name);
    status = refuse_without(path, "config.json", "a model has one, an adapter has adapter_config.json");
done:
    return status;
}

clora_status directory_need_tokenizer(const char *path) {
    clora_status status = CLORA_OK;

    TRY(need_directory(path, "a model is a Hugging Face directory with config.json"));
    if (holds(path, "tokenizer.json") || holds(path, "tokenizer.model"))
        return CLORA_OK;
    TRY(refuse_adapter(path));
    TRY(refuse_cache(path));
    TRY(refuse_parent(path, "tokenizer.json"));
done:
    return status;
}

clora_status directory_need_adapter(const char *path) {
    static const char hint[] = "an adapter is a PEFT directory with adapter_config.json";
    const clora_status status = need_directory(path, hint);

    if (status != CLORA_OK || holds(path, "adapter_config.json"))
        return status;
    if (holds(path, "config.json"))
        return clora_fail(CLORA_ERROR_NOT_FOUND, "%s is a model, not an adapter: it comes first; %s", path, hint);
    return refuse_without(path, "adapter_config.json", hint);
}

clora_status directory_not_data(const char *path) {
    const bool directory = file_is_directory(path);
    const char *what = !directory                           ? "a file of weights"
                       : holds(path, "config.json")         ? "the directory of a model"
                       : holds(path, "adapter_config.json") ? "the directory of an adapter"
                                                            : "a directory";

    if (!directory && !ends_so(path, SAFETENSORS) && !ends_so(path, GGUF))
        return CLORA_OK;
    return clora_fail(CLORA_ERROR_IO, "%s is %s, not data: name a file, .jsonl, .json, .csv, .tsv or .txt", path, what);
}

/* ---- weights ---- */

clora_status directory_without_weights(const char *path) {
    char name[NAME_SIZE];

    if (find_entry(name, path, ends_so, PICKLES))
        return clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "%s holds %s, a Python pickle, which clora does not run, and no model.safetensors; load the model "
            "in transformers and save it with save_pretrained(..., safe_serialization=True)",
            path, name);
    if (find_entry(name, path, ends_so, GGUF) || find_entry(name, path, ends_so, OTHERS))
        return clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "%s holds %s, which clora does not read, and no model.safetensors: download that, or save the "
            "model as safetensors",
            path, name);
    if (find_entry(name, path, ends_so, SAFETENSORS))
        return clora_fail(
            CLORA_ERROR_NOT_FOUND,
            "%s holds %s, but neither model.safetensors nor model.safetensors.index.json, which says what is "
            "in which file: download it too",
            path, name);
    return clora_fail(
        CLORA_ERROR_NOT_FOUND,
        "%s holds neither model.safetensors nor model.safetensors.index.json; weights in another format must "
        "be saved as safetensors first",
        path);
}

clora_status directory_without_factors(const char *path) {
    char name[NAME_SIZE];

    if (find_entry(name, path, ends_so, PICKLES))
        return clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "%s/%s is a Python pickle, which clora does not run; load the adapter in PEFT and save it again "
            "with safe_serialization=True",
            path, name);
    if (find_entry(name, path, ends_so, GGUF) || find_entry(name, path, ends_so, SAFETENSORS))
        return clora_fail(
            CLORA_ERROR_UNSUPPORTED,
            "%s holds %s, but no adapter_model.safetensors, the file of a PEFT adapter: save it again with PEFT", path,
            name);
    return clora_fail(CLORA_ERROR_NOT_FOUND,
                      "cannot read %s/adapter_model.safetensors, the adapter's weights: it is missing; download it too",
                      path);
}
