#include "meter/gauge.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "meter/message.h"
#include "tuning/entry.h"

extern char **environ;

typedef struct remote {
    const char *const *command;
    double limit;
    pid_t process; /* 0: none */
    int to;
    message_reader from;
    const kernel_row *row; /* what the worker is prepared for, or will be before the next request */
    kernel_key key;
    double cold;
    bool prepared;
} remote;

/* ---- the process ---- */

static void let_go(remote *r) {
    if (!r->process)
        return;
    close(r->to);
    close(r->from.fd);
    message_reader_finish(&r->from);
    r->process = 0;
    r->prepared = false;
}

/* End the worker; it holds nothing that could be lost. */
static void stop(remote *r) {
    if (!r->process)
        return;
    kill(r->process, SIGKILL);
    while (waitpid(r->process, NULL, 0) < 0 && errno == EINTR)
        ;
    let_go(r);
}

/* Why a worker is gone, as an error. */
static clora_status lose(remote *r, const char *phase, bool hung) {
    int how = 0;

    if (hung)
        kill(r->process, SIGKILL);
    while (waitpid(r->process, &how, 0) < 0 && errno == EINTR)
        ;
    let_go(r);
    if (hung)
        return clora_fail(CLORA_ERROR_IO, "it did not end within %g seconds (%s)", r->limit, phase);
    if (WIFSIGNALED(how))
        return clora_fail(CLORA_ERROR_IO, "it crashed (%s): %s", phase, strsignal(WTERMSIG(how)));
    return clora_fail(CLORA_ERROR_IO, "the worker ended with status %d (%s)", WEXITSTATUS(how), phase);
}

/* In a process group of its own: Ctrl-C is the parent's to handle. What it prints is lost: it may crash. */
static clora_status spawn(remote *r, int in, int out) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;

    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    const int error =
        posix_spawnp(&r->process, r->command[0], &files, &attributes, (char *const *)(uintptr_t)r->command, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    if (error == 0)
        return CLORA_OK;
    r->process = 0;
    return clora_fail(CLORA_ERROR_IO, "cannot start the worker %s: %s", r->command[0], strerror(error));
}

static clora_status start(remote *r) {
    int request[2] = {-1, -1}, answer[2] = {-1, -1};
    clora_status status = CLORA_OK;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, request) != 0 || pipe2(answer, O_CLOEXEC) != 0)
        TRY(clora_fail(CLORA_ERROR_IO, "cannot reach a worker: %s", strerror(errno)));
    TRY(spawn(r, request[0], answer[1]));
    r->to = request[1];
    r->from = (message_reader){.fd = answer[0]};
    request[1] = answer[0] = -1;
done:
    for (int i = 0; i < 2; i++) {
        if (request[i] >= 0)
            close(request[i]);
        if (answer[i] >= 0)
            close(answer[i]);
    }
    return status;
}

/* Send a request and wait for its answer, each phase within the limit. */
static clora_status ask(json_t **out, remote *r, json_t *request) {
    char phase[32] = "start";
    clora_status status = message_write(r->to, request);

    while (status == CLORA_OK) {
        status = message_read(out, &r->from, r->limit);
        if (status == CLORA_ERROR_NOT_FOUND)
            return lose(r, phase, true);
        if (status != CLORA_OK)
            break;
        const char *begun = json_string_value(json_object_get(*out, "phase"));
        if (!begun)
            return CLORA_OK;
        snprintf(phase, sizeof(phase), "%s", begun);
        json_decref(*out);
    }
    *out = NULL;
    return lose(r, phase, status == CLORA_ERROR_FORMAT); /* who talks nonsense is stopped */
}

static clora_status refused(const json_t *answer) {
    const char *why = json_string_value(json_object_get(answer, "why"));
    return clora_fail(CLORA_ERROR_UNSUPPORTED, "%s", why ? why : "the worker cannot measure this");
}

static clora_status send_prepare(remote *r, double *flops, double *bytes) {
    clora_status status = CLORA_OK;
    json_t *answer = NULL;

    if (!r->process)
        TRY(start(r));
    TRY(ask(&answer, r,
            json_pack("{s:s, s:s, s:o, s:f}", "do", "prepare", "kernel", r->row->name, "key",
                      tuning_key_to_json(&r->key), "cold", r->cold)));
    if (!json_is_true(json_object_get(answer, "ok")))
        TRY(refused(answer));
    *flops = json_number_value(json_object_get(answer, "flops"));
    *bytes = json_number_value(json_object_get(answer, "bytes"));
    r->prepared = true;
done:
    json_decref(answer);
    return status;
}

/* ---- the gauge ---- */

static clora_status prepare(void *self, const kernel_row *row, const kernel_key *key, double cold, double *flops,
                            double *bytes) {
    remote *r = self;

    r->row = row;
    r->key = *key;
    r->cold = cold;
    r->prepared = false;
    return send_prepare(r, flops, bytes);
}

static clora_status again_prepared(remote *r) {
    double flops, bytes;
    return r->prepared ? CLORA_OK : send_prepare(r, &flops, &bytes);
}

static clora_status measure(measurement *out, void *self, const int *values, bool check, double limit) {
    remote *r = self;
    json_t *answer = NULL;
    clora_status status = CLORA_OK;

    *out = (measurement){0};
    TRY(again_prepared(r));
    TRY(ask(&answer, r,
            json_pack("{s:s, s:o, s:b, s:f}", "do", "measure", "parameters", tuning_values_to_json(r->row, values),
                      "check", check, "limit", limit)));
    message_to_measurement(out, answer);
    if (out->is_wrong)
        stop(r); /* it may have written anywhere: that process is not to be trusted */
done:
    json_decref(answer);
    return status;
}

static clora_status compare(double *samples, void *self, const int (*values)[KERNEL_PARAMETERS], int count,
                            int rounds) {
    remote *r = self;
    json_t *answer = NULL, *list = json_array();
    clora_status status = CLORA_OK;

    for (int i = 0; i < count; i++)
        json_push(&list, tuning_values_to_json(r->row, values[i]));
    json_t *request = json_pack("{s:s, s:o, s:i}", "do", "compare", "candidates", list, "rounds", rounds);
    status = again_prepared(r);
    if (status != CLORA_OK) {
        json_decref(request);
        return status;
    }
    TRY(ask(&answer, r, request));
    const json_t *numbers = json_object_get(answer, "samples");
    if (!json_is_true(json_object_get(answer, "ok")) || (int)json_array_size(numbers) != count * rounds)
        TRY(refused(answer));
    for (int i = 0; i < count * rounds; i++)
        samples[i] = json_number_value(json_array_get(numbers, (size_t)i));
done:
    json_decref(answer);
    return status;
}

static void remote_free(void *self) {
    stop(self);
    free(self);
}

clora_status gauge_create_remote(gauge *out, const char *const *command, double limit) {
    remote *r = calloc(1, sizeof(*r));

    if (!r)
        return clora_fail(CLORA_ERROR_MEMORY, "no memory to measure");
    r->command = command;
    r->limit = limit;
    *out = (gauge){r, prepare, measure, compare, remote_free};
    return CLORA_OK;
}
