/*
 * Preloaded into the command: it stops, or is killed, at an exact point of its writing.
 *
 *   STOP_CALL   mkdir, open, rename, fsync or unlink
 *   STOP_PATH   a part of the path of the calls that count
 *   STOP_AT     the number of the call, from 1, or 0 for each; before it, or after it with STOP_AFTER=1
 *   STOP_WITH   the number of the signal that the process sends itself
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *setting(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

/* Whether this call is the one; before it the process may stop. */
static bool begin(const char *call, const char *path) {
    static int count;
    const int at = atoi(setting("STOP_AT"));
    const bool is_it =
        strcmp(call, setting("STOP_CALL")) == 0 && strstr(path, setting("STOP_PATH")) && (++count == at || at == 0);

    if (is_it && !*setting("STOP_AFTER"))
        raise(atoi(setting("STOP_WITH")));
    return is_it;
}

static int end(bool is_it, int result) {
    if (is_it && *setting("STOP_AFTER"))
        raise(atoi(setting("STOP_WITH")));
    return result;
}

int rename(const char *from, const char *to) {
    const bool is_it = begin("rename", to);
    return end(is_it, renameat(AT_FDCWD, from, AT_FDCWD, to));
}

int mkdir(const char *path, mode_t mode) {
    const bool is_it = begin("mkdir", path);
    return end(is_it, mkdirat(AT_FDCWD, path, mode));
}

int open(const char *path, int flags, ...) {
    const bool is_it = begin("open", path);
    va_list list;

    va_start(list, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(list, mode_t) : 0;
    va_end(list);
    return end(is_it, openat(AT_FDCWD, path, flags, mode));
}

int unlink(const char *path) {
    const bool is_it = begin("unlink", path);
    return end(is_it, unlinkat(AT_FDCWD, path, 0));
}

int fsync(int fd) {
    char link[64], path[4096] = "";

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    (void)!readlink(link, path, sizeof(path) - 1);
    const bool is_it = begin("fsync", path);
    return end(is_it, (int)syscall(SYS_fsync, fd));
}
