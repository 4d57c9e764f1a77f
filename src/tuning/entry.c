#include "tuning/entry.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

enum { TEXT = 256, RING = 4, LARGEST = 1 << 30 };

const char *clora_tune_source_name(clora_tune_source source) {
    static const char *const names[] = {"analytic default", "similar shape or rank",
                                        "shipped table",    "entry of another driver or unit count",
                                        "exact entry",      "set by hand"};
    return (size_t)source < sizeof(names) / sizeof(names[0]) ? names[source] : "unknown source";
}

int tuning_bucket(int M) {
    enum { DENSE = 16, LARGEST = 1 << 30 };
    int bucket = M > 0 ? 1 : 0;

    while (bucket < M && bucket < LARGEST)
        bucket *= bucket < DENSE ? 2 : 4;
    return bucket;
}

static int parameters_of(const kernel_row *row) {
    int n = 0;

    while (n < KERNEL_PARAMETERS && row->parameters[n].name)
        n++;
    return n;
}

void tuning_entry_fill(clora_tune_entry *out, const tuning_entry *entry) {
    const kernel_key *k = &entry->key;

    *out = (clora_tune_entry){.size = sizeof(*out),
                              .key = {entry->row->name, k->dtype, k->M, k->N, k->K, k->R},
                              .source = entry->source,
                              .parameters = parameters_of(entry->row)};
    for (int i = 0; i < out->parameters; i++) {
        out->name[i] = entry->row->parameters[i].name;
        out->value[i] = entry->values[i];
    }
}

clora_status tuning_entry_read(tuning_entry *out, const clora_tune_entry *entry) {
    const clora_tune_key *k = &entry->key;
    const kernel_row *row = k->kernel ? kernel_find(k->kernel) : NULL;

    *out = (tuning_entry){.row = row,
                          .key = {.dtype = k->dtype, .M = tuning_bucket(k->M), .N = k->N, .K = k->K, .R = k->R},
                          .source = entry->source};
    if (!row)
        return clora_fail(CLORA_ERROR_NOT_FOUND, "there is no kernel %s", k->kernel ? k->kernel : "without a name");
    if (!clora_storage_name((clora_storage)k->dtype))
        return clora_fail(CLORA_ERROR_ARGUMENT, "kernel %s: no storage type %d", row->name, k->dtype);
    for (int i = 0; i < parameters_of(row); i++) {
        int found = 0;
        for (int j = 0; j < entry->parameters && j < CLORA_TUNE_PARAMETERS; j++)
            if (entry->name[j] && strcmp(entry->name[j], row->parameters[i].name) == 0) {
                out->values[i] = entry->value[j];
                found++;
            }
        if (found != 1)
            return clora_fail(CLORA_ERROR_ARGUMENT, "kernel %s: %s must be given once", row->name,
                              row->parameters[i].name);
    }
    return CLORA_OK;
}

json_t *tuning_key_to_json(const kernel_key *k) {
    return json_pack("{s:s, s:i, s:i, s:i, s:i}", "dtype", clora_storage_name((clora_storage)k->dtype), "M", k->M, "N",
                     k->N, "K", k->K, "R", k->R);
}

json_t *tuning_values_to_json(const kernel_row *row, const int *values) {
    json_t *object = json_object();

    for (int i = 0; i < parameters_of(row); i++)
        json_put(&object, row->parameters[i].name, json_integer(values[i]));
    return object;
}

json_t *tuning_entry_to_json(const clora_tune_entry *e) {
    const kernel_key key = {.dtype = e->key.dtype, .M = e->key.M, .N = e->key.N, .K = e->key.K, .R = e->key.R};
    json_t *parameters = json_object();

    for (int i = 0; i < e->parameters; i++)
        json_put(&parameters, e->name[i], json_integer(e->value[i]));
    return json_pack("{s:i, s:s, s:o, s:o, s:{s:f, s:f, s:f, s:i, s:f, s:f, s:f}, s:s}", "format", 1, "kernel",
                     e->key.kernel, "key", tuning_key_to_json(&key), "parameters", parameters, "measured", "median_s",
                     e->seconds, "minimum_s", e->minimum, "spread", e->spread, "count", e->count, "default_s",
                     e->default_seconds, "flops", e->flops, "bytes", e->bytes, "date", e->date);
}

static clora_status read_int(int *out, const json_t *json, const char *key, int low, const char *where) {
    int64_t value = 0;
    clora_status status = CLORA_OK;

    TRY(json_get_int(&value, json, key, -1, where));
    if (value < low || value > LARGEST)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"%s\" is missing or out of range", where, key));
    *out = (int)value;
done:
    return status;
}

clora_status tuning_key_from_json(kernel_key *out, const json_t *json, const char *where) {
    const char *dtype = NULL;
    clora_status status = CLORA_OK;

    *out = (kernel_key){.dtype = -1};
    TRY(json_get_text(&dtype, json, "dtype", "", where));
    for (int t = 0; t < CLORA_STORAGE_END; t++) {
        const char *known = clora_storage_name((clora_storage)t);
        if (known && strcmp(dtype, known) == 0)
            out->dtype = t;
    }
    if (out->dtype < 0)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: \"dtype\" is no storage type", where));
    TRY(read_int(&out->M, json, "M", 0, where));
    TRY(read_int(&out->N, json, "N", 0, where));
    TRY(read_int(&out->K, json, "K", 0, where));
    TRY(read_int(&out->R, json, "R", 0, where));
    out->M = tuning_bucket(out->M);
done:
    return status;
}

clora_status tuning_values_from_json(int *values, const kernel_row *row, const json_t *json, const char *where) {
    clora_status status = CLORA_OK;

    memset(values, 0, KERNEL_PARAMETERS * sizeof(*values));
    for (int i = 0; i < parameters_of(row); i++)
        TRY(read_int(&values[i], json, row->parameters[i].name, 1, where));
done:
    return status;
}

static clora_status read_measured(clora_tune_entry *out, const json_t *json, const char *where) {
    clora_status status = CLORA_OK;
    const json_t *measured = json_object_get(json, "measured");
    int64_t count = 0;

    if (!measured)
        return CLORA_OK;
    TRY(json_get_real(&out->seconds, measured, "median_s", 0.0, where));
    TRY(json_get_real(&out->minimum, measured, "minimum_s", 0.0, where));
    TRY(json_get_real(&out->spread, measured, "spread", 0.0, where));
    TRY(json_get_real(&out->default_seconds, measured, "default_s", 0.0, where));
    TRY(json_get_real(&out->flops, measured, "flops", 0.0, where));
    TRY(json_get_real(&out->bytes, measured, "bytes", 0.0, where));
    TRY(json_get_int(&count, measured, "count", 0, where));
    out->count = count > 0 && count < LARGEST ? (int)count : 0;
done:
    return status;
}

clora_status tuning_entry_from_json(clora_tune_entry *out, const json_t *json, const char *where) {
    tuning_entry entry = {.source = CLORA_TUNE_SOURCE_EXACT};
    clora_status status = CLORA_OK;
    const char *kernel, *date;
    int64_t format;

    TRY(json_get_int(&format, json, "format", 0, where));
    TRY(json_get_text(&kernel, json, "kernel", "", where));
    TRY(json_get_text(&date, json, "date", "", where));
    if (format != 1)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: its format is not 1", where));
    entry.row = kernel_find(kernel);
    if (!entry.row)
        TRY(clora_fail(CLORA_ERROR_FORMAT, "%s: there is no kernel '%.40s'", where, kernel));
    TRY(tuning_key_from_json(&entry.key, json_object_get(json, "key"), where));
    TRY(tuning_values_from_json(entry.values, entry.row, json_object_get(json, "parameters"), where));
    tuning_entry_fill(out, &entry);
    TRY(read_measured(out, json, where));
    snprintf(out->date, sizeof(out->date), "%s", date);
done:
    return status;
}

static char *next_text(void) {
    static _Thread_local char ring[RING][TEXT];
    static _Thread_local int next;

    next = (next + 1) % RING;
    ring[next][0] = '\0';
    return ring[next];
}

static void append(char *text, const char *separator, const char *name, int value) {
    const size_t used = strlen(text);
    snprintf(text + used, TEXT - used, "%s%s %d", separator, name, value);
}

const char *tuning_key_text(const kernel_row *row, const kernel_key *k) {
    char *text = next_text();
    const struct {
        const char *name;
        int value;
    } sizes[] = {{"M", k->M}, {"N", k->N}, {"K", k->K}, {"R", k->R}};

    snprintf(text, TEXT, "%s %s", row->name, clora_storage_name((clora_storage)k->dtype));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        if (sizes[i].value)
            append(text, " ", sizes[i].name, sizes[i].value);
    return text;
}

const char *tuning_values_text(const kernel_row *row, const int *values) {
    char *text = next_text();

    for (int i = 0; i < parameters_of(row); i++)
        append(text, i ? ", " : "", row->parameters[i].name, values[i]);
    return text;
}
