#include "bench_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bench_misuse(const char *what, const char *value) {
    const char *program = program_invocation_short_name;

    fprintf(stderr, "%s: %s '%s' (try '%s --help')\n", program, what, value, program);
    exit(2);
}

int bench_number(const char *text, const char *ends, const char *whole) {
    char *end;
    const long value = strtol(text, &end, 10);

    if (end == text || (*end && !strchr(ends, *end)) || value < 0 || value > 1 << 30)
        bench_misuse("not a number in", whole);
    return (int)value;
}

const char *bench_next_part(const char *text) {
    const char *comma = strchr(text, ',');
    return comma ? comma + 1 : NULL;
}

void bench_read_numbers(bench_list *out, const char *text) {
    out->count = 0;
    for (const char *part = text; part; part = bench_next_part(part)) {
        if (out->count == BENCH_LIST || bench_number(part, ",", text) < 1)
            bench_misuse("wrong list", text);
        out->item[out->count++] = bench_number(part, ",", text);
    }
}

int bench_count(const char *text) {
    const int count = bench_number(text, "", text);

    if (count < 1)
        bench_misuse("not a number from 1:", text);
    return count;
}

clora_storage bench_read_dtype(const char *name, size_t length) {
    for (int i = 0; i < CLORA_STORAGE_END; i++) {
        const char *known = clora_storage_name((clora_storage)i);
        if (known && strlen(known) == length && strncmp(known, name, length) == 0)
            return (clora_storage)i;
    }
    bench_misuse("unknown type of weights", name);
}
