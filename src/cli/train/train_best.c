#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/ui/folder.h"
#include "cli/train/cmd_train.h"

/* OUT/best is whole at any time: its successor is written beside it, and the two exchange their names. */
#define UNFINISHED ".best-unfinished"

static char *path_of(const train_state *state, const char *name) {
    char *path = NULL;

    return asprintf(&path, "%s/%s", state->args->out, name) < 0 ? NULL : path;
}

void train_best_sweep(const train_state *state) {
    char *path = path_of(state, UNFINISHED);

    if (path && access(path, F_OK) == 0)
        folder_remove(path);
    free(path);
}

/* The new directory gets the name, whether there is an old one or not. */
static int swap(const char *unfinished, const char *best) {
#ifdef RENAME_EXCHANGE
    if (renameat2(AT_FDCWD, unfinished, AT_FDCWD, best, RENAME_EXCHANGE) == 0)
        return 0;
#endif
    if (access(best, F_OK) == 0) /* the file system cannot exchange */
        folder_remove(best);
    return rename(unfinished, best);
}

/* A rename is on disk when its directory is. */
static void sync_directory(const char *path) {
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* Why it failed, or NULL. */
static const char *replace(const train_state *state, const char *unfinished, const char *best) {
    if (mkdir(unfinished, 0777) != 0)
        return strerror(errno);
    if (train_save(state, unfinished) != CLORA_OK)
        return clora_last_error();
    if (swap(unfinished, best) != 0)
        return strerror(errno);
    sync_directory(state->args->out);
    return NULL;
}

static const char *save(const train_state *state) {
    char *unfinished = path_of(state, UNFINISHED), *best = path_of(state, TRAIN_BEST);
    const char *why = unfinished && best ? replace(state, unfinished, best) : strerror(ENOMEM);

    train_best_sweep(state); /* what was there before, or is of no use */
    free(unfinished);
    free(best);
    return why;
}

const char *train_best_after_validation(train_state *state) {
    const train_args *args = state->args;
    train_best *best = &state->best;
    const char *why = NULL;

    if ((!args->best && !args->patience) || state->val_step == 0)
        return NULL;
    best->since++;
    if (best->step == 0 || state->val_loss < best->loss) {
        *best = (train_best){.step = state->val_step, .loss = state->val_loss};
        why = args->best ? save(state) : NULL;
    }
    state->stopped = args->patience > 0 && best->since >= args->patience && state->last.step < state->last.steps;
    return why;
}
