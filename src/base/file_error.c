#include "base/file_error.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *remedy(int error) {
    switch (error) {
    case ENOSPC:
    case EDQUOT: return "; free some space there, or write elsewhere";
    case EFBIG: return "; raise the limit on file sizes (ulimit -f), or write elsewhere";
    case EROFS:
    case EACCES:
    case EPERM: return "; choose a place that you may write to";
    case ENOENT: return "; create the directory above it first";
    case ENOTDIR: return "; a part of the path is a file where a directory is wanted";
    case EISDIR: return "; name a file, not a directory";
    default: return "";
    }
}

clora_status file_error_write(const char *path, int error) {
    return clora_fail(CLORA_ERROR_IO, "cannot write %s: %s%s", path, strerror(error), remedy(error));
}

clora_status file_error_shorter(const char *path) {
    return clora_fail(CLORA_ERROR_IO,
                      "cannot read %s: it has become shorter while it was read; is it still being downloaded?", path);
}

clora_status file_error_read(const char *path, int error) {
    const clora_status code = error == ENOENT || error == ENOTDIR ? CLORA_ERROR_NOT_FOUND
                              : error == ENOMEM                   ? CLORA_ERROR_MEMORY
                                                                  : CLORA_ERROR_IO;
    char target[1024];
    const ssize_t length = error == ENOENT ? readlink(path, target, sizeof(target) - 1) : -1;

    if (length < 0)
        return clora_fail(code, "cannot read %s: %s", path, strerror(error));
    target[length] = '\0';
    return clora_fail(code, "cannot read %s: it is a link to %s, which is not there; download it again", path, target);
}
