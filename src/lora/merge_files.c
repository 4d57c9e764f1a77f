#include "lora/merge_files.h"

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

clora_status merge_output_open(outdir *out, const char *directory, const char *model) {
    clora_status status = CLORA_OK;

    TRY(check_apart(directory, model));
    TRY(outdir_open(out, directory, "config.json"));
    TRY(outdir_check_empty(directory));
done:
    return status;
}

static bool ends_with(const char *name, const char *ending) {
    const size_t n = strlen(name), m = strlen(ending);

    return n >= m && strcasecmp_l(name + n - m, ending, c_locale()) == 0;
}

static bool is_wanted(const char *name) {
    static const char *const weights[] = {
        ".safetensors", ".bin",       ".pt",      ".pth",    ".ckpt", ".h5", ".msgpack",
        ".onnx",        ".onnx_data", ".tflite",  ".gguf",   ".ggml", ".ot", ".npz",
        ".index.json",  ".nemo",      ".mlmodel", ".engine", ".tar",  ".gz", ".zip",
    };

    if (name[0] == '.' || strcmp(name, "config.json") == 0 || strcmp(name, "adapter_config.json") == 0)
        return false;
    for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++)
        if (ends_with(name, weights[i]))
            return false;
    return true;
}

static clora_status copy_one(outdir *output, const char *model, const char *name) {
    char *from = file_join(model, name), *to = NULL;
    clora_status status = CLORA_OK;
    struct stat info;

    if (!from)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to copy %s", name));
    if (stat(from, &info) == 0 && S_ISREG(info.st_mode)) {
        TRY(outdir_path(&to, output, name));
        TRY(file_copy(to, from));
    }
done:
    free(from);
    free(to);
    return status;
}

clora_status merge_copy_others(outdir *output, const char *model) {
    clora_status status = CLORA_OK;
    DIR *directory = opendir(model);
    const struct dirent *entry;

    if (!directory)
        return file_error_read(model, errno);
    while ((entry = readdir(directory)))
        if (is_wanted(entry->d_name))
            TRY(copy_one(output, model, entry->d_name));
done:
    closedir(directory);
    return status;
}
