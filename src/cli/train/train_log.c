#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/inputs/data_files.h"
#include "cli/ui/interrupt.h"
#include "cli/ui/json_out.h"
#include "cli/train/cmd_train.h"
#include "cli/train/train_resume.h"

static bool same(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_file(const struct stat *log, const char *path) {
    struct stat info;

    return path && stat(path, &info) == 0 && same(log, &info);
}

/* The standard stream that the log is (/dev/stdout), or -1. Opened once more, a file would be written from
 * its start. */
static int own_stream(const struct stat *log) {
    struct stat info;

    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &info) == 0 && same(log, &info) && !S_ISCHR(info.st_mode))
            return fd;
    return -1;
}

/* A pipe's reader may be about to come, but one that never comes must not hang the run. */
static int open_pipe(const char *path) {
    enum { TRIES = 50 };
    const struct timespec pause = {.tv_nsec = 100000000};
    int fd = -1;

    for (int i = 0; i < TRIES && fd < 0 && (i == 0 || errno == ENXIO); i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    }
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}

static int open_log(train_log *log) {
    struct stat info;

    if (stat(log->path, &info) == 0 && own_stream(&info) >= 0)
        return fcntl(own_stream(&info), F_DUPFD_CLOEXEC, 0);
    if (stat(log->path, &info) == 0 && S_ISFIFO(info.st_mode))
        return open_pipe(log->path);
    /* made by one run alone, even of two that begin at once: the other must not take it away again */
    const int flags = O_WRONLY | O_CREAT | O_APPEND | O_NOCTTY | O_CLOEXEC;
    const int fd = open(log->path, flags | O_EXCL, 0666);
    log->created = fd >= 0;
    return fd >= 0 || errno != EEXIST ? fd : open(log->path, flags, 0666);
}

/* One run's alone, and no file that something else goes to. */
static int check(const cli_state *cli, train_log *log, int fd, const train_args *args) {
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors", TRAIN_RECORD};
    char *path;
    struct stat info;

    if (fstat(fd, &info) != 0)
        return cli_fail(cli, "cannot write the log %s: %s", log->path, strerror(errno));
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const bool built = asprintf(&path, "%s/%s", args->out, files[i]) >= 0, taken = built && is_file(&info, path);
        if (built)
            free(path);
        if (taken)
            return cli_misuse(cli, "--log %s: that is a file of the adapter", log->path);
    }
    if (!S_ISREG(info.st_mode) || own_stream(&info) >= 0)
        return CLI_DONE;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return cli_fail(cli, "the log %s is being written by another run: name a new one", log->path);
    log->is_file = true;
    return CLI_DONE;
}

static int fail_to_open(const cli_state *cli, const char *path) {
    struct stat info;

    if (errno == ENXIO && stat(path, &info) == 0 && S_ISFIFO(info.st_mode))
        return cli_fail(cli, "cannot write the log %s: nobody reads from this pipe", path);
    return cli_fail(cli, "cannot write the log %s: %s", path, strerror(errno));
}

/* The true path of a directory, which may still have to be made; NULL when the one above it is not there. */
static char *true_path(const char *path) {
    char *real = realpath(path, NULL), *one = strdup(path), *two = strdup(path), *above = NULL;

    if (!real && one && two && (above = realpath(dirname(one), NULL)) &&
        asprintf(&real, "%s/%s", above, basename(two)) < 0)
        real = NULL;
    free(above);
    free(one);
    free(two);
    return real;
}

/* The log may lie in the output directory, however the two are spelt: that is made, and found empty, when the run
 * begins. */
static bool in_directory(const char *path, const char *directory) {
    char *copy = strdup(path), *above = copy ? true_path(dirname(copy)) : NULL, *out = true_path(directory);
    const bool inside = above && out && strcmp(above, out) == 0;

    free(copy);
    free(above);
    free(out);
    return inside;
}

static bool is_data(const struct stat *info, const opt_list *names) {
    for (int i = 0; i < names->count; i++) {
        char *path = data_file_path(names->items[i]);
        const bool same = path && is_file(info, path);
        free(path);
        if (same)
            return true;
    }
    return false;
}

int train_log_open(const cli_state *cli, train_log *log, const train_args *args, bool have_output) {
    struct stat info;

    if (!args->log || log->stream || in_directory(args->log, args->out) != have_output)
        return CLI_DONE;
    *log = (train_log){.path = args->log, .rewards = args->train.preference != CLORA_PREFERENCE_NONE};
    if (stat(args->log, &info) == 0 && (is_data(&info, &args->data.data) || is_file(&info, args->val)))
        return cli_misuse(cli, "--log %s would write over the data", args->log);
    const int fd = open_log(log);
    if (fd < 0)
        return fail_to_open(cli, args->log);
    const int status = check(cli, log, fd, args);
    if (status != CLI_DONE || !(log->stream = fdopen(fd, "a"))) {
        train_log_discard(log);
        close(fd);
        return status != CLI_DONE ? status : cli_fail(cli, "no memory for the log %s", args->log);
    }
    if (log->created)
        interrupt_discard(log->path);
    return CLI_DONE;
}

/* Nothing, or lines as this file writes them. */
static bool is_log(train_log *log) {
    static const char beginning[] = "{\"step\":"; /* of every line */
    enum { SIZE = sizeof(beginning) - 1 };
    char begin[SIZE] = "", end = '\n';
    FILE *old = log->is_file ? fopen(log->path, "rbe") : NULL;

    if (!old) /* nothing was there, or nothing that may be read */
        return true;
    const size_t got = fread(begin, 1, SIZE, old);
    if (got > 0 && fseek(old, -1, SEEK_END) == 0 && fread(&end, 1, 1, old) == 1)
        log->cut_off = end != '\n';
    fclose(old);
    return got == 0 || (got == SIZE && memcmp(begin, beginning, SIZE) == 0);
}

int train_log_check(const cli_state *cli, train_log *log) {
    if (!is_log(log))
        return cli_fail(cli, "the log %s holds something other than a log and is not overwritten: name another file",
                        log->path);
    return CLI_DONE;
}

/* Whether the checkpoint came after this line. A step comes first, then its validation and its samples. */
static bool is_of_before(const char *line, const train_state *state) {
    static const char validation[] = "\"val_loss\"", sample[] = "\"prompt\"";
    const int last = state->last.step;
    int step, at = 0;

    if (sscanf(line, "{\"step\":%d,%n", &step, &at) != 1 || step < last)
        return true;
    if (step == last && strncmp(line + at, validation, sizeof(validation) - 1) == 0)
        return state->val_step == last;
    if (step == last && strncmp(line + at, sample, sizeof(sample) - 1) == 0)
        return state->sample_step == last;
    return step == last;
}

/* Where the lines begin that end the file and are made again, or a line without an end; -1: it cannot be read. */
static long end_of_steps(FILE *old, const train_state *state) {
    char *line = NULL;
    size_t room = 0;
    long end = 0, at = 0;
    ssize_t n;

    while ((n = getline(&line, &room, old)) > 0) {
        at += n;
        if (line[n - 1] == '\n' && is_of_before(line, state))
            end = at;
    }
    free(line);
    return feof(old) ? end : -1;
}

int train_log_cut(train_state *state) {
    train_log *log = &state->log;

    if (!log->is_file)
        return CLI_DONE;
    FILE *old = fopen(log->path, "rbe");
    const long end = old ? end_of_steps(old, state) : -1;
    if (old)
        fclose(old);
    log->cut_off = false;
    if (end < 0 || ftruncate(fileno(log->stream), end) != 0)
        return cli_fail(state->cli, "cannot write the log %s: %s", log->path, strerror(errno));
    return CLI_DONE;
}

/* The directory's one file; what is hidden there is the library's, unfinished. */
static bool is_alone(const char *directory, const char *name) {
    DIR *entries = opendir(directory);
    const struct dirent *entry;
    int found = 0, others = 0;

    errno = 0;
    while (entries && (entry = readdir(entries)))
        if (strcmp(entry->d_name, name) == 0)
            found++;
        else if (entry->d_name[0] != '.')
            others++;
    const bool was_read = entries && errno == 0;
    if (entries)
        closedir(entries);
    return was_read && found == 1 && others == 0;
}

static void sweep(const cli_state *cli, const char *path) {
    struct stat info;
    const int fd = open(path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    train_log log = {.path = path, .is_file = fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode)};

    if (log.is_file && is_log(&log) && flock(fd, LOCK_EX | LOCK_NB) == 0 && unlink(path) == 0)
        cli_note(cli, "removed %s, which is all that is left of a run that was killed", path);
    if (fd >= 0)
        close(fd);
}

/* The library's unfinished files go first. */
void train_log_sweep(const cli_state *cli, const char *out) {
    clora_output *claim = NULL;
    char *path = NULL;

    if (clora_output_continue(&claim, out) == CLORA_OK)
        train_checkpoint_sweep(out);
    if (claim && is_alone(out, TRAIN_LOG) && asprintf(&path, "%s/" TRAIN_LOG, out) >= 0) {
        sweep(cli, path);
        free(path);
    }
    clora_output_close(claim, 1);
}

void train_log_discard(train_log *log) {
    if (log->created)
        unlink(log->path); /* while the lock keeps others from it */
    log->created = false;
    train_log_close(log);
}

/* Every line reaches the file at once, for whoever follows it; the first failure is kept. */
static void put(train_log *log, json_t *line) {
    errno = 0;
    if (log->cut_off)
        fputc('\n', log->stream);
    log->cut_off = false;
    const bool written = json_put_line(line, log->stream) == 0 && fflush(log->stream) == 0;
    if (!written && !log->error)
        log->error = errno ? errno : EIO;
}

/* Under TRL's names. */
json_t *train_log_rewards(const clora_rewards *r) {
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "rewards/chosen", json_number((double)r->chosen), "rewards/rejected",
                     json_number((double)r->rejected), "rewards/margins", json_number((double)r->margin),
                     "rewards/accuracies", json_number((double)r->accuracy), "kl", json_number((double)r->kl));
}

void train_log_step(train_log *log, const clora_train_step *step) {
    if (!log->stream)
        return;
    json_t *line =
        json_pack("{s:i, s:o, s:o, s:o, s:i, s:o}", "step", step->step, "loss", json_number((double)step->loss), "lr",
                  json_float(step->lr), "grad_norm", json_number((double)step->grad_norm), "tokens", step->tokens,
                  "tokens_per_second", json_number(step->tokens / step->seconds));
    if (log->rewards)
        json_object_update_new(line, train_log_rewards(step->rewards));
    put(log, line);
}

void train_log_validation(train_log *log, int step, double loss) {
    if (log->stream)
        put(log, json_pack("{s:i, s:o}", "step", step, "val_loss", json_number(loss)));
}

void train_log_sample(train_log *log, int step, json_t *sample) {
    json_t *line = log->stream ? json_pack("{s:i}", "step", step) : NULL;

    if (line && json_object_update(line, sample) == 0)
        put(log, json_incref(line));
    json_decref(line);
}

void train_log_close(train_log *log) {
    struct stat info;

    if (log->created && log->stream && fstat(fileno(log->stream), &info) == 0 && info.st_size == 0)
        unlink(log->path); /* no step was done */
    if (log->stream && fclose(log->stream) != 0 && !log->error)
        log->error = errno ? errno : EIO;
    log->stream = NULL;
}
