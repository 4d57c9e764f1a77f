#include <clora/tune.h>

#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "meter/message.h"
#include "tuning/entry.h"

/* A worker's one meter and its way back to the parent. */
typedef struct worker {
    meter meter;
    bool ready; /* a key is prepared */
    int out;
} worker;

static void tell_phase(void *user, const char *name) {
    const worker *w = user;
    (void)message_write(w->out, json_pack("{s:s}", "phase", name));
}

static clora_status refuse(const worker *w) {
    const char *why = clora_last_error();
    return message_write(w->out, json_pack("{s:b, s:s%}", "ok", 0, "why", why, strcspn(why, "\n")));
}

static clora_status prepare(worker *w, const json_t *m) {
    const char *name = json_string_value(json_object_get(m, "kernel"));
    const kernel_row *row = name ? kernel_find(name) : NULL;
    kernel_key key;
    double flops, bytes;

    w->ready = row && tuning_key_from_json(&key, json_object_get(m, "key"), "request") == CLORA_OK &&
               meter_prepare(&w->meter, row, &key, json_number_value(json_object_get(m, "cold"))) == CLORA_OK;
    if (!w->ready)
        return refuse(w);
    meter_cost(&w->meter, &flops, &bytes);
    return message_write(w->out, json_pack("{s:b, s:f, s:f}", "ok", 1, "flops", flops, "bytes", bytes));
}

static clora_status measure(worker *w, const json_t *m) {
    int values[KERNEL_PARAMETERS];
    measurement result;

    if (!w->ready ||
        tuning_values_from_json(values, w->meter.row, json_object_get(m, "parameters"), "request") != CLORA_OK ||
        meter_measure(&result, &w->meter, values, json_is_true(json_object_get(m, "check")),
                      json_number_value(json_object_get(m, "limit"))) != CLORA_OK)
        return refuse(w);
    return message_write(w->out, message_of_measurement(&result));
}

static clora_status compare(worker *w, const json_t *m) {
    enum { MOST = 8, MOST_ROUNDS = 1000 };
    const json_t *list = json_object_get(m, "candidates");
    const int count = (int)json_array_size(list), rounds = (int)json_integer_value(json_object_get(m, "rounds"));
    int values[MOST][KERNEL_PARAMETERS];
    clora_status status = CLORA_OK;
    double *samples = NULL;
    json_t *numbers = NULL;

    if (!w->ready || count < 1 || count > MOST || rounds < 1 || rounds > MOST_ROUNDS)
        TRY(clora_fail(CLORA_ERROR_ARGUMENT, "a comparison of %d in %d rounds", count, rounds));
    for (int i = 0; i < count; i++)
        TRY(tuning_values_from_json(values[i], w->meter.row, json_array_get(list, (size_t)i), "request"));
    samples = alloc_array((size_t)(count * rounds), sizeof(*samples));
    numbers = json_array();
    if (!samples || !numbers)
        TRY(clora_fail(CLORA_ERROR_MEMORY, "no memory to compare"));
    TRY(meter_compare(samples, &w->meter, (const int(*)[KERNEL_PARAMETERS])values, count, rounds));
    for (int i = 0; i < count * rounds; i++)
        json_push(&numbers, json_real(samples[i]));
done:
    free(samples);
    if (status == CLORA_OK)
        return message_write(w->out, json_pack("{s:b, s:o}", "ok", 1, "samples", numbers));
    json_decref(numbers);
    return refuse(w);
}

static clora_status serve(worker *w, const json_t *m) {
    const char *what = json_string_value(json_object_get(m, "do"));

    if (what && strcmp(what, "prepare") == 0)
        return prepare(w, m);
    if (what && strcmp(what, "measure") == 0)
        return measure(w, m);
    if (what && strcmp(what, "compare") == 0)
        return compare(w, m);
    return clora_fail(CLORA_ERROR_FORMAT, "a request that is none");
}

/* The answers have a stream of their own: what drivers print to standard output must not come between. */
static int take_stream(int out) {
    const int own = dup(out);

    if (own >= 0 && out == STDOUT_FILENO)
        dup2(STDERR_FILENO, STDOUT_FILENO);
    return own;
}

clora_status clora_tune_worker(const char *device, int in, int out) {
    message_reader reader = {.fd = in};
    clora_context *context = NULL;
    worker w = {.out = take_stream(out)};
    json_t *request = NULL;
    clora_status status = CLORA_OK;

    prctl(PR_SET_PDEATHSIG, SIGKILL); /* also when it hangs in a kernel and never reads that the parent is gone */
    if (w.out < 0)
        return clora_fail(CLORA_ERROR_IO, "the worker has no stream for its answers");
    TRY(clora_context_create(&context, device));
    clora_tune_set_mode(context, CLORA_TUNE_MODE_OFF); /* defaults around the kernel in hand, whatever the cache says */
    meter_init(&w.meter, context);
    w.meter.phase = tell_phase;
    w.meter.user = &w;
    while ((status = message_read(&request, &reader, -1.0)) == CLORA_OK && (status = serve(&w, request)) == CLORA_OK) {
        json_decref(request);
        request = NULL;
    }
    if (status == CLORA_ERROR_IO)
        status = CLORA_OK; /* the parent has finished */
    meter_finish(&w.meter);
done:
    json_decref(request);
    message_reader_finish(&reader);
    clora_context_free(context);
    close(w.out);
    return status;
}
