#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/json_out.h"
#include "cli/train.h"

static bool same_file(const char *a, const char *b) {
    struct stat x, y;
    return a && b && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The log may lie in the output directory, which is made only when the run begins. */
static bool in_directory(const char *path, const char *directory) {
    size_t n = strlen(directory);

    while (n > 1 && directory[n - 1] == '/')
        n--;
    return strncmp(path, directory, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

int train_log_check(const cli_state *cli, const train_args *args) {
    struct stat info;

    if (!args->log || in_directory(args->log, args->out))
        return CLI_DONE;
    if (same_file(args->log, args->data.data) || same_file(args->log, args->val))
        return cli_misuse(cli, "--log %s would write over the data", args->log);
    const bool existed = stat(args->log, &info) == 0;
    FILE *stream = fopen(args->log, "a"); /* what stands there stays until the run begins */
    if (!stream)
        return cli_fail(cli, "cannot write the log %s: %s", args->log, strerror(errno));
    fclose(stream);
    if (!existed)
        unlink(args->log);
    return CLI_DONE;
}

int train_log_open(const cli_state *cli, train_log *log, const char *path) {
    *log = (train_log){.path = path};
    if (!path)
        return CLI_DONE;
    log->stream = fopen(path, "w");
    if (!log->stream)
        return cli_fail(cli, "cannot write the log %s: %s", path, strerror(errno));
    return CLI_DONE;
}

/* Every line reaches the file at once, for whoever follows it; the first failure is kept. */
static void put(train_log *log, json_t *line) {
    errno = 0;
    const bool written = json_put_line(line, log->stream) == 0 && fflush(log->stream) == 0;
    if (!written && !log->error)
        log->error = errno ? errno : EIO;
}

void train_log_step(train_log *log, const clora_train_step *step) {
    if (log->stream)
        put(log,
            json_pack("{s:i, s:o, s:o, s:o, s:i, s:o}", "step", step->step, "loss", json_number((double)step->loss),
                      "lr", json_float(step->lr), "grad_norm", json_number((double)step->grad_norm), "tokens",
                      step->tokens, "tokens_per_second", json_number(step->tokens / step->seconds)));
}

void train_log_validation(train_log *log, int step, double loss) {
    if (log->stream)
        put(log, json_pack("{s:i, s:o}", "step", step, "val_loss", json_number(loss)));
}

void train_log_close(train_log *log) {
    if (log->stream && fclose(log->stream) != 0 && !log->error)
        log->error = errno ? errno : EIO;
    log->stream = NULL;
}
