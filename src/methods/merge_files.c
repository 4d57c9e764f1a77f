#include "methods/merge_files.h"

#include <dirent.h>
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/c_locale.h"
#include "base/file.h"
#include "base/file_error.h"

/* The true path of a directory that may not exist yet; NULL when its parent does not either. */
static char *true_path(const char *path) {
    char *real = realpath(path, NULL), *one = NULL, *two = NULL, *parent = NULL;

    if (real || errno != ENOENT)
        return real;
    one = alloc_string(path);
    two = alloc_string(path);
    if (one && two && (parent = realpath(dirname(one), NULL)))
        real = file_join(parent, basename(two));
    free(one);
    free(two);
    free(parent);
    return real;
}

static clora_status check_apart(const char *directory, const char *model) {
    clora_status status = CLORA_OK;
    char *base = realpath(model, NULL), *out = true_path(directory);

    if (!base) {
        status = file_error_read(model, errno);
    } else if (out) { /* else outdir_open() says what is wrong with it */
        const size_t n = strlen(base);
        if (strncmp(out, base, n) == 0 && (out[n] == '\0' || out[n] == '/'))
            status = clora_fail(CLORA_ERROR_ARGUMENT,
                                "the output directory %s lies in the model directory %s, which is never written to; "
                                "name another",
                                directory, model);
    }
    free(base);
    free(out);
    return status;
}

clora_status merge_output_open(outdir *out, const char *directory, const char *model, bool overwrite) {
    clora_status status = CLORA_OK;

    TRY(check_apart(directory, model));
    TRY(outdir_open(out, directory, "config.json"));
    if (!overwrite)
        TRY(outdir_check_empty(directory));
done:
    return status;
}

static bool is_wanted(const char *name) {
    static const char *const weights[] = {
        ".safetensors", ".bin",       ".pt",      ".pth",    ".ckpt", ".h5", ".msgpack",
        ".onnx",        ".onnx_data", ".tflite",  ".gguf",   ".ggml", ".ot", ".npz",
        ".index.json",  ".nemo",      ".mlmodel", ".engine", ".tar",  ".gz", ".zip",
    };

    static const char *const others[] = {"config.json", "adapter_config.json", "run.json", "log.jsonl"};

    if (name[0] == '.')
        return false;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(name, others[i]) == 0)
            return false;
    for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++)
        if (c_locale_ends_with(name, weights[i]))
            return false;
    return true;
}

static bool is_below(const char *path, const char *directory) {
    const size_t n = strlen(directory);

    return strncmp(path, directory, n) == 0 && path[n] == '/';
}

/* The blobs/ of a Hugging Face cache, of which the snapshots are links; NULL where `model`, a true path, is in none. */
static char *blobs_of(const char *model) {
    static const char snapshots[] = "/snapshots";
    const char *name = strrchr(model, '/');
    const size_t n = name ? (size_t)(name - model) : 0, m = strlen(snapshots);
    char *path = NULL, *real = NULL;

    if (n > m && memcmp(name - m, snapshots, m) == 0)
        path = alloc_format("%s/../../blobs", model);
    if (path)
        real = realpath(path, NULL);
    free(path);
    return real;
}

/* A merged model is given away: what a link leads to must be the model's own. *out: where, to be freed. */
static clora_status follow(char **out, const char *link, const char *model) {
    char *base = realpath(model, NULL), *blobs = base ? blobs_of(base) : NULL;
    clora_status status = CLORA_OK;

    *out = base ? realpath(link, NULL) : NULL;
    if (!*out) {
        status = file_error_read(link, errno);
    } else if (!is_below(*out, base) && !(blobs && is_below(*out, blobs))) {
        status =
            clora_fail(CLORA_ERROR_UNSUPPORTED,
                       "%s is a link to %s, outside of the model's directory, and is not copied into a merged model: "
                       "put a copy in its place or remove it",
                       link, *out);
        free(*out);
        *out = NULL;
    }
    free(base);
    free(blobs);
    return status;
}

/* *out: where the bytes of an entry lie, to be freed; NULL for a directory, a pipe and the like. */
static clora_status locate(char **out, const char *model, const char *name) {
    char *path = file_join(model, name);
    struct stat own, led;
    clora_status status = CLORA_OK;

    *out = NULL;
    if (!path)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to copy %s", name);
    if (lstat(path, &own) != 0 || stat(path, &led) != 0)
        status = file_error_read(path, errno);
    else if (S_ISREG(led.st_mode) && S_ISLNK(own.st_mode))
        status = follow(out, path, model);
    else if (S_ISREG(led.st_mode))
        *out = alloc_string(path);
    if (status == CLORA_OK && S_ISREG(led.st_mode) && !*out)
        status = clora_fail(CLORA_ERROR_MEMORY, "no memory to copy %s", name);
    free(path);
    return status;
}

/* output NULL: only whether it can be copied. */
static clora_status copy_one(outdir *output, const char *model, const char *name) {
    char *from = NULL, *to = NULL;
    clora_status status = CLORA_OK;

    TRY(locate(&from, model, name));
    if (from && output) {
        TRY(outdir_path(&to, output, name));
        TRY(file_copy(to, from));
    }
done:
    free(from);
    free(to);
    return status;
}

static clora_status copy_others(outdir *output, const char *model) {
    clora_status status = CLORA_OK;
    DIR *directory = opendir(model);
    const struct dirent *entry;
    int error = 0;

    if (!directory)
        return file_error_read(model, errno);
    while ((entry = file_next_entry(&error, directory)))
        if (is_wanted(entry->d_name))
            TRY(copy_one(output, model, entry->d_name));
    if (error)
        status = file_error_read(model, error);
done:
    closedir(directory);
    return status;
}

clora_status merge_check_others(const char *model) {
    return copy_others(NULL, model);
}

clora_status merge_copy_others(outdir *output, const char *model) {
    return copy_others(output, model);
}
