#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/compare/cmd_compare.h"
#include "cli/inputs/data_files.h"
#include "cli/ui/json_out.h"

/*
 * A result is a JSON file beside its adapter's directory, with the settings that it belongs to. Running again takes
 * over those that are there.
 */

/* All that a result depends on, but for the method, the learning rate and the seed that its name says. */
static json_t *settings(const compare_state *state) {
    json_t *all = json_pack("{s:o, s:o}", "model", json_path(state->args->train.model_path), "val",
                            json_path(state->args->train.val));
    const opt_list *data = &state->args->train.data.data;
    char text[1024];

    json_put(&all, "data", data->count == 1 ? json_path(data->items[0]) : json_string(data_files_text(data)));
    for (int g = 0; g < state->group_count; g++)
        for (const opt *o = state->groups[g].options; g != state->own_group && o->name; o++) {
            if (strcmp(o->name, "lr") == 0 || !opt_value_text(text, sizeof(text), o, state->groups[g].values))
                continue;
            json_put(&all, o->name, json_path(text));
        }
    return all;
}

json_t *compare_memory_json(const clora_memory_plan *p) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "weights", (json_int_t)p->weights, "adapter",
                     (json_int_t)p->adapter, "gradients", (json_int_t)p->gradients, "optimizer",
                     (json_int_t)p->optimizer, "activations", (json_int_t)p->activations, "scratch",
                     (json_int_t)p->scratch);
}

static json_t *result_json(const compare_state *state, const compare_result *r) {
    json_t *points = json_array();

    for (int i = 0; i < r->points; i++)
        json_push(&points, json_pack("{s:i, s:f, s:f}", "step", r->point[i].step, "seconds", r->point[i].seconds,
                                     "val_loss", r->point[i].loss));
    return json_pack("{s:o, s:s, s:f, s:i, s:I, s:I, s:I, s:o, s:f, s:o}", "settings", settings(state), "method",
                     state->method[r->method].name, "lr", (double)r->lr, "seed", r->seed, "trainable_parameters",
                     (json_int_t)r->trainable, "bytes_on_disk", (json_int_t)r->disk, "peak_device_bytes",
                     (json_int_t)r->peak, "memory", compare_memory_json(&r->plan), "tokens_per_second",
                     r->tokens_per_second, "validation", points);
}

int compare_keep(const compare_state *state, const compare_result *result) {
    char *path = compare_path(state, result, ".json");
    json_t *value = result_json(state, result);
    int status = CLI_DONE;

    if (!path)
        status = cli_fail(state->cli, "no memory for a path");
    else if (json_save(value, path) != 0)
        status = cli_fail(state->cli, "%s: cannot write: %s", path, strerror(errno));
    json_decref(value);
    free(path);
    return status;
}

static size_t size_value(const json_t *object, const char *key) {
    const json_int_t value = json_integer_value(json_object_get(object, key));

    return value > 0 ? (size_t)value : 0;
}

static void read_result(compare_result *r, const json_t *object) {
    const json_t *plan = json_object_get(object, "memory"), *points = json_object_get(object, "validation");
    const size_t count = json_array_size(points);

    r->trainable = (int64_t)size_value(object, "trainable_parameters");
    r->disk = (int64_t)size_value(object, "bytes_on_disk");
    r->peak = size_value(object, "peak_device_bytes");
    r->plan = (clora_memory_plan){.weights = size_value(plan, "weights"),
                                  .adapter = size_value(plan, "adapter"),
                                  .gradients = size_value(plan, "gradients"),
                                  .optimizer = size_value(plan, "optimizer"),
                                  .activations = size_value(plan, "activations"),
                                  .scratch = size_value(plan, "scratch")};
    r->tokens_per_second = json_number_value(json_object_get(object, "tokens_per_second"));
    r->points = count < COMPARE_POINTS ? (int)count : COMPARE_POINTS;
    for (int i = 0; i < r->points; i++) {
        const json_t *point = json_array_get(points, (size_t)i);
        r->point[i] = (compare_point){(int)json_integer_value(json_object_get(point, "step")),
                                      json_number_value(json_object_get(point, "seconds")),
                                      json_number_value(json_object_get(point, "val_loss"))};
    }
    r->done = r->points > 0;
}

/* The first setting that differs, for the message. */
static const char *difference(json_t *wanted, const json_t *found) {
    const char *key;
    json_t *value;

    json_object_foreach (wanted, key, value)
        if (!json_equal(value, json_object_get(found, key)))
            return key;
    return NULL;
}

static int recall(const compare_state *state, compare_result *result, const char *path) {
    json_error_t error;
    json_t *object, *wanted;
    int status = CLI_DONE;

    if (access(path, F_OK) != 0)
        return CLI_DONE;
    object = json_load_file(path, 0, &error);
    wanted = settings(state);
    if (!object || !wanted)
        status = cli_fail(state->cli, "%s is not a result of this command: %s; move it away", path,
                          object ? "no memory" : error.text);
    const char *key = status == CLI_DONE ? difference(wanted, json_object_get(object, "settings")) : NULL;
    if (key)
        status =
            cli_fail(state->cli, "%s is of another comparison: its \"%s\" differs; choose another --out", path, key);
    if (status == CLI_DONE)
        read_result(result, object);
    json_decref(object);
    json_decref(wanted);
    return status;
}

int compare_recall(compare_state *state) {
    int status = CLI_DONE;

    for (int i = 0; i < state->results && status == CLI_DONE; i++) {
        char *path = compare_path(state, &state->result[i], ".json");
        status = path ? recall(state, &state->result[i], path) : cli_fail(state->cli, "no memory for a path");
        free(path);
    }
    return status;
}
