#include "base/unfinished.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/note.h"

/* The name that the file will have is not part of it: one of the greatest length allowed must still work. */
#define PREFIX ".clora-unfinished-"

bool unfinished_is_name(const char *name) {
    return strncmp(name, PREFIX, strlen(PREFIX)) == 0;
}

static bool is_journal(const char *name) {
    const size_t n = strlen(name), m = strlen(UNFINISHED_JOURNAL);

    return n > m && strcmp(name + n - m, UNFINISHED_JOURNAL) == 0;
}

/* ---- locks ---- */

/* Hold the lock of a file that was just made. False: another process took it for a leftover before that. */
static bool lock_fresh(int fd) {
    struct stat info;

    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno != EWOULDBLOCK; /* a file system without locks: then nobody removes it either */
    return fstat(fd, &info) == 0 && info.st_nlink > 0;
}

/* The file `name`, opened and locked, if it is one that nobody writes any more; else -1. In a directory that others
 * write to as well, what they put there, or linked to, is none: a journal says what to delete. */
static int open_abandoned(int directory, const char *name) {
    struct stat info;
    /* for writing, without which network file systems give no lock */
    const int fd = openat(directory, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return -1;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == geteuid() && info.st_nlink == 1 &&
        flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return -1;
}

int unfinished_create(char **path, const char *directory, const char *ending) {
    static atomic_uint counter;
    int fd = -1;

    *path = NULL;
    do {
        if (fd >= 0)
            close(fd);
        free(*path);
        *path = alloc_format("%s/" PREFIX "%ld-%u%s", directory, (long)getpid(), atomic_fetch_add(&counter, 1), ending);
        if (!*path) {
            errno = ENOMEM;
            return -1;
        }
        fd = open(*path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (fd >= 0 ? !lock_fresh(fd) : errno == EEXIST);
    if (fd < 0) {
        const int error = errno;
        free(*path);
        *path = NULL;
        errno = error;
    }
    return fd;
}

/* ---- journals: texts that each end with a zero. The first is the file's own number, which no copy and no archive has;
 * the second the name of the last file. ---- */

static int append(int journal, const char *text) {
    const size_t size = strlen(text) + 1;
    ssize_t written;

    for (size_t done = 0; done < size; done += (size_t)written)
        if ((written = write(journal, text + done, size - done)) < 0)
            return -1;
    return 0;
}

static void own_number(char *out, size_t size, int journal) {
    struct stat info;

    snprintf(out, size, "%" PRIuMAX, fstat(journal, &info) == 0 ? (uintmax_t)info.st_ino : 0);
}

int unfinished_journal_begin(int journal, const char *last) {
    char number[32];

    own_number(number, sizeof(number), journal);
    return append(journal, number) == 0 && append(journal, last) == 0 ? 0 : -1;
}

int unfinished_journal_add(int journal, const char *name) {
    /* the list must survive a crash of the system that a file survives; where nothing can be synchronised,
     * neither does */
    return append(journal, name) == 0 && (fsync(journal) == 0 || errno == EINVAL || errno == ENOTSUP) ? 0 : -1;
}

/* The next text. Without memory, because that may be what ended the run. A last one without its zero was cut off: its
 * file was not made yet. */
static bool read_text(char text[NAME_MAX + 1], off_t *at, int journal) {
    const ssize_t got = pread(journal, text, NAME_MAX + 1, *at);
    const char *end = got > 0 ? memchr(text, '\0', (size_t)got) : NULL;

    if (!end)
        return false;
    *at += end - text + 1;
    return true;
}

static bool is_there(int directory, const char *name) {
    struct stat info;

    return fstatat(directory, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

static void undo(int journal, int directory, const char *path, bool complete_too, bool tell) {
    char number[32], name[NAME_MAX + 1];
    off_t at = 0;

    own_number(number, sizeof(number), journal);
    if (!read_text(name, &at, journal) || strcmp(name, number) != 0 || !read_text(name, &at, journal))
        return;
    if (!complete_too && is_there(directory, name)) /* the last file */
        return;
    while (read_text(name, &at, journal))
        if (*name && !strchr(name, '/') && unlinkat(directory, name, 0) == 0 && tell)
            note("removed %s/%s, a part of what a run left unfinished", path, name);
}

void unfinished_journal_undo(int journal, const char *directory) {
    const int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    undo(journal, fd, directory, true, false);
    if (fd >= 0)
        close(fd);
}

/* ---- leftovers ---- */

static void remove_abandoned(int directory, const char *path, const char *name) {
    const int fd = open_abandoned(directory, name);

    if (fd < 0)
        return;
    if (is_journal(name)) {
        undo(fd, directory, path, false, true);
        unlinkat(directory, name, 0);
    } else if (unlinkat(directory, name, 0) == 0) {
        note("removed %s/%s, which a run left unfinished", path, name);
    }
    close(fd);
}

void unfinished_sweep(const char *directory) {
    DIR *entries = opendir(directory);
    const struct dirent *entry;

    while (entries && (entry = readdir(entries)))
        if (unfinished_is_name(entry->d_name))
            remove_abandoned(dirfd(entries), directory, entry->d_name);
    if (entries)
        closedir(entries);
}
