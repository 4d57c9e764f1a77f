#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/fixture.h"

#include "base/json.h"
#include "support/scratch.h"

struct fixture_tensors {
    safetensors *file;
};

const char *fixture_path(const char *name) {
    static char paths[4][1024];
    static int next;
    const char *folder = getenv("CLORA_TEST_FIXTURES");
    char *out = paths[next = (next + 1) % 4];

    snprintf(out, sizeof(paths[0]), "%s/%s", folder ? folder : "tests/fixtures", name);
    return out;
}

clora_adapter *fixture_adapter(clora_model *model, const char *name) {
    clora_adapter *adapter = NULL;

    assert_ok(clora_adapter_load(&adapter, model, fixture_path(name)));
    return adapter;
}

static json_t *load(const char *name) {
    char path[1024];
    json_t *root = NULL;

    snprintf(path, sizeof(path), "%s/%s.json", fixture_path("reference"), name);
    if (json_load_path(&root, path, 1 << 20) != CLORA_OK)
        fail_msg("%s", clora_last_error());
    return root;
}

static void read_rows(int32_t *out, int *rows, int *cols, const json_t *matrix) {
    *rows = (int)json_array_size(matrix);
    *cols = (int)json_array_size(json_array_get(matrix, 0));
    assert_true(*rows > 0 && *cols > 0 && *rows * *cols <= 64);
    for (int i = 0; i < *rows * *cols; i++)
        out[i] = (int32_t)json_integer_value(
            json_array_get(json_array_get(matrix, (size_t)(i / *cols)), (size_t)(i % *cols)));
}

void fixture_read_batch(fixture_batch *out, const char *name) {
    json_t *root = load(name);
    const json_t *lengths = json_object_get(root, "real_lengths");

    *out = (fixture_batch){0};
    read_rows(out->ids, &out->B, &out->T, json_object_get(root, "input_ids"));
    read_rows(out->labels, &out->B, &out->T, json_object_get(root, "labels"));
    for (int b = 0; b < out->B; b++)
        out->lengths[b] = (int)json_integer_value(json_array_get(lengths, (size_t)b));
    for (int i = 0; i < out->B * out->T; i++)
        out->learnt += i % out->T > 0 && out->labels[i] >= 0;
    json_decref(root);
}

double fixture_number(const char *name, const char *key, int index) {
    json_t *root = load(name);
    const json_t *value = json_object_get(root, key);

    if (index >= 0)
        value = json_array_get(value, (size_t)index);
    assert_true(json_is_number(value));
    const double number = json_number_value(value);
    json_decref(root);
    return number;
}

int fixture_greedy(int32_t ids[FIXTURE_GREEDY], const char *name, int row) {
    json_t *root = load(name);
    const json_t *rows = json_object_get(root, "greedy_12_tokens_per_row");
    const json_t *list = json_array_get(rows ? rows : json_object_get(root, "greedy_64_tokens_per_row"), (size_t)row);
    const int count = (int)json_array_size(list);

    assert_int_equal(count, rows ? 12 : FIXTURE_GREEDY);
    for (int i = 0; i < count; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(list, (size_t)i));
    json_decref(root);
    return count;
}

void fixture_make_batch(clora_batch *out, const fixture_batch *from) {
    const size_t n = (size_t)(from->B * from->T);

    *out = (clora_batch){.B = from->B, .T = from->T};
    out->ids = calloc(n, sizeof(int32_t));
    out->targets = calloc(n, sizeof(int32_t));
    out->positions = calloc(n, sizeof(int32_t));
    out->first = calloc(n, sizeof(int32_t));
    out->last = calloc(n, sizeof(int32_t));
    for (size_t i = 0; i < n; i++) {
        const int t = (int)i % from->T;
        out->ids[i] = from->ids[i];
        out->targets[i] = t + 1 < from->T && from->labels[i + 1] >= 0 ? from->labels[i + 1] : -1;
        out->positions[i] = t;
        out->last[i] = from->T - 1;
    }
    out->tokens = n;
    out->learnt = (size_t)from->learnt;
}

void fixture_batch_free(clora_batch *batch) {
    free(batch->ids);
    free(batch->targets);
    free(batch->positions);
    free(batch->first);
    free(batch->last);
}

fixture_tensors *fixture_open(const char *name) {
    char path[1024];
    fixture_tensors *f = calloc(1, sizeof(*f));

    snprintf(path, sizeof(path), "%s/%s.safetensors", fixture_path("reference"), name);
    if (safetensors_open(&f->file, path) != CLORA_OK)
        fail_msg("%s", clora_last_error());
    return f;
}

void fixture_close(fixture_tensors *f) {
    safetensors_close(f->file);
    free(f);
}

const float *fixture_tensor(const fixture_tensors *f, const char *key, size_t n) {
    const stored_tensor *t = safetensors_find(f->file, key);

    if (!t || t->dtype != CLORA_DTYPE_F32 || t->size != n * sizeof(float))
        fail_msg("fixture tensor %s is missing or not %zu floats", key, n);
    return t->data;
}

double relative_error(const float *a, const float *b, size_t n) {
    double difference = 0.0, largest = 0.0;

    for (size_t i = 0; i < n; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i]))
            return INFINITY;
        difference = fmax(difference, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return largest > 0.0 ? difference / largest : difference;
}
