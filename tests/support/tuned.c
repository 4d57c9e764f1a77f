#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/fresh_context.h"
#include "support/scratch.h"
#include "support/tuned.h"
#include "tuning/store.h"

int log_lines;
char last_line[512];

void count_lines(void *user, const char *line) {
    (void)user;
    log_lines++;
    snprintf(last_line, sizeof(last_line), "%s", line);
}

static void log_anew(void) {
    clora_tune_set_log(context, count_lines, NULL, 0);
    log_lines = 0;
}

int tuned_setup(void **state) {
    if (fresh_context_setup(state) != 0)
        return -1;
    log_anew();
    return 0;
}

void start_again(void) {
    fresh_context_again();
    log_anew();
}

const clora_tune_key key = {"matmul_panel", CLORA_DTYPE_BF16, 200, 3072, 576, 16};

clora_tune_entry look_up(const clora_tune_key *k) {
    clora_tune_entry e = CLORA_TUNE_ENTRY_INIT;

    assert_ok(clora_tune_lookup(&e, context, k));
    return e;
}

int value_of(const clora_tune_entry *e, const char *name) {
    for (int i = 0; i < e->parameters; i++)
        if (strcmp(e->name[i], name) == 0)
            return e->value[i];
    fail_msg("no parameter %s", name);
    return 0;
}

void set_value(clora_tune_entry *e, const char *name, int value) {
    for (int i = 0; i < e->parameters; i++)
        if (strcmp(e->name[i], name) == 0)
            e->value[i] = value;
}

clora_tune_entry save_entry(const clora_tune_key *k, int rows) {
    clora_tune_entry e = look_up(k);

    e.key = *k;
    e.key.M = tuning_bucket(k->M);
    set_value(&e, "MOST_ROWS", rows);
    e.seconds = 1e-3;
    e.default_seconds = 2e-3;
    e.count = 9;
    snprintf(e.date, sizeof(e.date), "2026-01-01T00:00:00Z");
    assert_ok(tuning_store_prepare(context));
    assert_ok(tuning_store_save(context, &e));
    return e;
}
