#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "device/kernels.h"
#include "device/source.h"

static bool is_part_of_name(char c) {
    return c == '_' || isalnum((unsigned char)c);
}

/* Does the word stand anywhere in the text? */
static bool names(const char *text, const char *word) {
    const size_t length = strlen(word);

    for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
        if (!is_part_of_name(at[length]) && (at == text || !is_part_of_name(at[-1])))
            return true;
    return false;
}

/* The sources of a row, one after the other; with common.cl, which comes before all, or without. */
static char *text_of(const kernel_row *row, bool with_common) {
    char *text = NULL, *all = alloc_string("");

    if (with_common) {
        free(all);
        assert_int_equal(source_text(&all, "common", strlen("common")), CLORA_OK);
    }
    for (const char *stem = row->source; *stem; stem += strspn(stem, " ")) {
        const size_t length = strcspn(stem, " ");
        assert_int_equal(source_text(&text, stem, length), CLORA_OK);
        char *longer = alloc_format("%s%s", all, text);
        assert_non_null(longer);
        free(text);
        free(all);
        all = longer;
        stem += length;
    }
    return all;
}

/* A parameter that another value of makes no other program must not be given to the compiler; one that the kernel reads
 * must. */
static void test_what_is_compiled_is_what_kernels_name(void **state) {
    (void)state;
    for (size_t r = 0; r < kernel_rows_count; r++) {
        const kernel_row *row = &kernel_rows[r];
        char *text = row->source ? text_of(row, true) : NULL;
        for (int i = 0; i < KERNEL_PARAMETERS && row->parameters[i].name && text; i++)
            if (names(text, row->parameters[i].name) != (row->parameters[i].effect == COMPILED))
                fail_msg("%s: %s is %s", row->name, row->parameters[i].name,
                         row->parameters[i].effect == COMPILED ? "compiled, and no source names it"
                                                               : "the launch's, and a source names it");
        free(text);
    }
}

/* The number that the text takes for a name that was not defined: #ifndef NAME, #define NAME number. -1: none. */
static long default_in(const char *text, const char *name) {
    char *guard = alloc_format("#ifndef %s\n#define %s ", name, name), *end;
    const char *at = strstr(text, guard);
    const long value = at ? strtol(at + strlen(guard), &end, 10) : -1;

    if (at && end == at + strlen(guard))
        fail_msg("the default of %s is no number", name);
    free(guard);
    return value;
}

/* A processor of the usual kind: vectors of 8, room in its second cache, no compiler with ways of its own. */
static void test_defaults_in_kernels_are_those_of_the_registry(void **state) {
    const clora_context usual = {
        .is_cpu = true,
        .gemm = GEMM_PANEL,
        .info = {.platform = "any", .vector_width = 8, .local_memory = 1 << 20, .max_group = 4096}};
    const kernel_key key = {.M = 1024, .N = 1024, .K = 1024};
    const kernel_at at = {&usual, &key, usual.info.max_group};
    int found = 0;

    (void)state;
    for (size_t r = 0; r < kernel_rows_count; r++) {
        const kernel_row *row = &kernel_rows[r];
        char *text = row->source ? text_of(row, false) : NULL;
        for (int i = 0; i < KERNEL_PARAMETERS && row->parameters[i].name && text; i++) {
            const int wanted = kernel_default(&at, &row->parameters[i]);
            const long value = default_in(text, row->parameters[i].name);
            found += value >= 0;
            if (value >= 0 && value != wanted)
                fail_msg("%s: %s is %ld in its source, %d by the registry", row->name, row->parameters[i].name, value,
                         wanted);
        }
        free(text);
    }
    assert_true(found > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_compiled_is_what_kernels_name),
        cmocka_unit_test(test_defaults_in_kernels_are_those_of_the_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
