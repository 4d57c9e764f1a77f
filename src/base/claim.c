#include "base/claim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file_error.h"

struct claim {
    char *path;
    dev_t device;
    ino_t number;
    int fd;
    bool made;           /* the directory, by this claim */
    bool standing, busy; /* held on; in use by a call */
    claim *next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static claim *claims; /* of this process, whose own locks would shut it out as well */

static claim *find(const struct stat *info) {
    claim *c = claims;

    while (c && (c->device != info->st_dev || c->number != info->st_ino))
        c = c->next;
    return c;
}

static clora_status refuse(const char *path) {
    return clora_fail(
        CLORA_ERROR_ARGUMENT,
        "the output directory %s is being written by another run: wait until that ends, or name a new one", path);
}

/* Open the directory, which is made when it is not there. */
static clora_status open_directory(int *fd, struct stat *info, bool *made, const char *path) {
    *made = mkdir(path, 0777) == 0;
    if (!*made && errno != EEXIST)
        return file_error_write(path, errno);
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0 || fstat(*fd, info) != 0)
        return file_error_write(path, errno);
    return CLORA_OK;
}

static bool still_there(const char *path, const struct stat *opened) {
    struct stat now;

    return stat(path, &now) == 0 && now.st_dev == opened->st_dev && now.st_ino == opened->st_ino;
}

/* False when another process holds it, for longer than to see whether it is free. */
static bool lock(int fd) {
    enum { TRIES = 10 };
    const struct timespec pause = {.tv_nsec = 10000000};

    for (int i = 0; i < TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
            return true; /* a file system without locks goes on without */
        nanosleep(&pause, NULL);
    }
    return false;
}

/* Open and lock it. A directory that was removed and made again meanwhile is another one. */
static clora_status lock_directory(int *fd, struct stat *info, bool *made, const char *path) {
    bool made_now;

    for (;;) {
        const clora_status status = open_directory(fd, info, &made_now, path);
        *made |= made_now;
        if (status != CLORA_OK)
            return status;
        if (find(info) || !lock(*fd))
            return refuse(path);
        if (still_there(path, info))
            return CLORA_OK;
        close(*fd);
        *fd = -1;
    }
}

static clora_status add(claim **out, const char *path, bool standing) {
    claim *c = calloc(1, sizeof(*c));
    clora_status status = CLORA_OK;
    struct stat info;

    if (!c)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path);
    c->fd = -1;
    c->path = alloc_string(path);
    if (!c->path)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to write %s", path));
    TRY(lock_directory(&c->fd, &info, &c->made, path));
    c->device = info.st_dev;
    c->number = info.st_ino;
    c->standing = standing;
    c->busy = !standing;
    c->next = claims;
    claims = *out = c;
    c = NULL;
done:
    if (c && c->fd >= 0)
        close(c->fd);
    if (c)
        free(c->path);
    free(c);
    return status;
}

clora_status claim_take(claim **out, const char *directory, bool standing) {
    clora_status status = CLORA_OK;
    struct stat info;

    *out = NULL;
    pthread_mutex_lock(&mutex);
    claim *own = stat(directory, &info) == 0 ? find(&info) : NULL;
    if (!own)
        status = add(out, directory, standing);
    else if (standing || own->busy)
        status = refuse(directory);
    else
        (*out = own)->busy = true;
    pthread_mutex_unlock(&mutex);
    return status;
}

const char *claim_path(const claim *c) {
    return c->path;
}

bool claim_is_new(const claim *c) {
    return c->made;
}

static void end(claim *c, bool keep) {
    claim **link = &claims;

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    if (c->made && !keep)
        rmdir(c->path); /* before the lock goes: whoever waits for it makes its own */
    close(c->fd);
    free(c->path);
    free(c);
}

void claim_release(claim *c, bool standing, bool keep) {
    if (!c)
        return;
    pthread_mutex_lock(&mutex);
    if (!standing)
        c->busy = false;
    if (c->standing == standing)
        end(c, keep);
    pthread_mutex_unlock(&mutex);
}
