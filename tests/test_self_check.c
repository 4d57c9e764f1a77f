/* A device that computes wrongly is noticed: faults are planted in copies of the kernels. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/lowrank.h>
#include <clora/tune.h>
#include <clora/version.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "device/devices.h"
#include "device/self_check.h"
#include "device/source.h"
#include "support/fresh_context.h"
#include "support/scratch.h"
#include "tuning/store.h"

enum { HEAD_DIM = 8, EVERYTHING = 63 | SELF_CHECK_TAPE };

/* What a wrong file begins with: one of the functions it calls is slightly off. */
#define OFF_FMA "#undef fma\n#define fma(a, b, c) (1.001f * (a) * (b) + (c))\n"
#define OFF_EXPONENTIAL "#define exponential(x) (1.001f * exponential(x))\n"
#define OFF_SIGMOID "#define sigmoid(x) (1.001f * sigmoid(x))\n"
/* only of the columns that are left over of whole vectors */
#define OFF_REST                                              \
    "static float off(float x) { return 1.001f * exp(x); }\n" \
    "#undef exp\n#define exp off\n"

static char told[512];
static int lines_told;

static void hear(void *user, const char *line) {
    (void)user;
    snprintf(told, sizeof(told), "%s", line);
    lines_told++;
}

static void start_again(void) {
    fresh_context_again();
    clora_tune_set_log(context, hear, NULL, 0);
    told[0] = '\0';
    lines_told = 0;
}

static int setup(void **state) {
    unsetenv("CLORA_SELF_CHECK");
    unsetenv("CLORA_KERNEL_DIR");
    unsetenv("CLORA_GEMM");
    unsetenv("CLORA_MAX_GROUP");
    unsetenv("CLORA_BF16_DOT");
    return fresh_context_setup(state);
}

static int teardown(void **state) {
    unsetenv("CLORA_SELF_CHECK");
    unsetenv("CLORA_KERNEL_DIR");
    unsetenv("CLORA_GEMM");
    unsetenv("CLORA_MAX_GROUP");
    unsetenv("CLORA_BF16_DOT");
    return fresh_context_teardown(state);
}

static clora_status check(unsigned groups) {
    return self_check(context, groups, CLORA_STORAGE_F32, HEAD_DIM);
}

/* A copy of the kernels in which one file begins with these lines, for the contexts from now on. */
static void plant(const char *file, const char *lines) {
    char name[128];

    if (scratch_entries(scratch_path("kernels")) < 0)
        scratch_mkdir("kernels");
    for (size_t i = 0; i < kernel_sources_count; i++) {
        const kernel_source *s = &kernel_sources[i];
        char *text =
            alloc_format("%s%.*s", strcmp(s->name, file) == 0 ? lines : "", (int)s->size, (const char *)s->text);
        snprintf(name, sizeof(name), "kernels/%s%s", s->name, strchr(s->name, '.') ? "" : ".cl"); /* or a header */
        scratch_text(name, text);
        free(text);
    }
    setenv("CLORA_KERNEL_DIR", scratch_path("kernels"), 1);
    start_again();
}

/* ---- what is wrong is found ---- */

/* A kernel of one family is wrong: the other takes its place, with a line that says why. */
static void test_the_other_family_takes_the_place_of_one_that_is_wrong(void **state) {
    static const struct {
        const char *file, *operation;
        unsigned group;
        gemm_path at_first, then;
    } faults[] = {
        {"matmul_panel", "matmul f32", SELF_CHECK_PRODUCTS, GEMM_PANEL, GEMM_TILE},
        {"matvec", "matmul f32 M 1 ", SELF_CHECK_PRODUCTS, GEMM_PANEL, GEMM_TILE},
        {"lowrank_panel", "lowrank_down f32", SELF_CHECK_TERM, GEMM_PANEL, GEMM_TILE},
        {"matmul_panel_dx", "matmul_dx f32", SELF_CHECK_FACTORS, GEMM_PANEL, GEMM_TILE},
        {"matmul_tile", "matmul f32", SELF_CHECK_PRODUCTS, GEMM_TILE, GEMM_PANEL},
        {"lowrank_tile", "lowrank_down f32", SELF_CHECK_TERM, GEMM_TILE, GEMM_PANEL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        plant(faults[i].file, OFF_FMA);
        context->gemm = faults[i].at_first;
        assert_ok(check(faults[i].group));
        if (context->gemm != faults[i].then || lines_told != 1 || !strstr(told, faults[i].operation))
            fail_msg("%s: %d lines, '%s'", faults[i].file, lines_told, told);
        assert_string_equal(clora_context_device(context)->gemm, gemm_path_name(faults[i].then));
    }
}

/* Both families use it: refused, with the operation's name. */
static void test_what_both_families_compute_wrongly_is_refused(void **state) {
    static const struct {
        const char *file, *lines, *operation;
        unsigned group;
    } faults[] = {
        {"embedding", "#undef NR\n#define NR 8\n", ": embedding f32", SELF_CHECK_MODEL},
        {"norm", OFF_FMA, ": rmsnorm f32", SELF_CHECK_MODEL},
        {"rope", OFF_FMA, ": rope_store f32", SELF_CHECK_MODEL},
        {"attention", OFF_FMA, ": attention f32 B 1 T 67", SELF_CHECK_MODEL},
        {"attention_row", OFF_FMA, ": attention f32 B 2 T 1", SELF_CHECK_MODEL},
        {"activation", OFF_SIGMOID, ": swiglu f32", SELF_CHECK_MODEL},
        {"bottleneck", OFF_SIGMOID, ": bottleneck f32", SELF_CHECK_BOTTLENECK},
        {"loss", OFF_EXPONENTIAL, ": cross_entropy f32", SELF_CHECK_LOSS},
        {"loss", OFF_EXPONENTIAL, ": cross_entropy f32", SELF_CHECK_BACKWARD},
        {"attention_backward", OFF_EXPONENTIAL, ": attention_backward f32", SELF_CHECK_BACKWARD},
        {"reduce", OFF_FMA, ": sum_squares f32", SELF_CHECK_BACKWARD},
        {"adamw", OFF_FMA, ": adamw f32", SELF_CHECK_FACTORS},
        {"common", "#error \"nothing builds\"\n", "does not build", SELF_CHECK_PRODUCTS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        plant(faults[i].file, faults[i].lines);
        if (check(faults[i].group) != CLORA_ERROR_OPENCL || !strstr(clora_last_error(), faults[i].operation) ||
            !strstr(clora_last_error(), context->info.name))
            fail_msg("%s: '%s'", faults[i].file, clora_last_error());
        assert_int_equal(lines_told, 0);
        assert_int_equal(check(faults[i].group), CLORA_ERROR_OPENCL); /* nothing is kept of it */
    }
}

static void test_what_is_left_over_of_whole_vectors_is_checked_too(void **state) {
    (void)state;
    setenv("CLORA_GEMM", "panel", 1); /* without vectors nothing is left over */
    plant("loss", OFF_REST);
    assert_refused(check(SELF_CHECK_LOSS), CLORA_ERROR_OPENCL, ": cross_entropy f32 M 7");
    plant("activation", OFF_REST);
    assert_refused(check(SELF_CHECK_MODEL), CLORA_ERROR_OPENCL, ": swiglu f32");
}

static void test_a_family_that_is_forced_is_refused(void **state) {
    (void)state;
    setenv("CLORA_GEMM", "panel", 1);
    plant("matmul_panel", OFF_FMA);
    assert_refused(check(SELF_CHECK_PRODUCTS), CLORA_ERROR_OPENCL, "with the panel kernels that CLORA_GEMM forces; ");
}

/* In this file other words take the place of some, for the contexts from now on. */
static void plant_words(const char *file, const char *words, const char *others) {
    char path[64];
    size_t size;

    plant(file, "");
    snprintf(path, sizeof(path), "kernels/%s.cl", file);
    char *text = read_whole(&size, scratch_path(path)), *at = strstr(text, words);
    assert_non_null(at);
    char *wrong = alloc_format("%.*s%s%s", (int)(at - text), text, others, at + strlen(words));
    scratch_text(path, wrong);
    start_again();
    free(wrong);
    free(text);
}

/* What its groups do instead of waiting for each other: one is slow, so that the others are seen not to wait. */
#define NOBODY_WAITS "for (volatile int i = 0; get_group_id(0) == 0 && i < 20000; i++)"
#define COUNTERS "*t->taken = *t->done = *t->left = 0"

static void test_steps_that_are_wrong_in_one_launch_are_launches_apart(void **state) {
    static const char *const faults[][2] = {{COUNTERS, "*t->left = 0"}, {"while (*t->done < end)", NOBODY_WAITS}};
    const size_t count = context->info.compute_units > 1 ? 2 : 1; /* one core has nobody to wait for */

    (void)state;
    for (size_t i = 0; i < count; i++) {
        plant_words("tape", faults[i][0], faults[i][1]);
        for (int again = 0; again < 2; again++) { /* nothing is kept of it */
            assert_true(kernel_runs_tapes(context));
            assert_ok(check(SELF_CHECK_TAPE));
            if (kernel_runs_tapes(context) || context->gemm != GEMM_PANEL || lines_told != 1 ||
                !strstr(told, ": tape f32"))
                fail_msg("%s: %d lines, '%s'", faults[i][1], lines_told, told);
            start_again();
        }
    }
}

static void test_steps_that_are_launches_apart_are_not_checked_in_one(void **state) {
    (void)state;
    plant_words("tape", COUNTERS, "*t->left = 0");
    setenv("CLORA_PARAM_PATH_TAPE_PATH", "1", 1);
    start_again();
    assert_ok(check(SELF_CHECK_TAPE));
    unsetenv("CLORA_PARAM_PATH_TAPE_PATH");
    start_again();
    assert_int_equal(lines_told, 0);
    assert_ok(check(SELF_CHECK_TAPE)); /* of which nothing was remembered */
    assert_int_equal(lines_told, 1);
}

/* Mesa's llvmpipe ends a kernel after 65,535 passes through its loops, here after 32,767 of one. */
static void test_a_device_that_ends_long_loops_is_noticed(void **state) {
    (void)state;
    plant_words("norm", "c + VW <= C;", "c < 32767 * WG * VW && c + VW <= C;");
    assert_ok(check(SELF_CHECK_MODEL));
    assert_int_equal(context->gemm, GEMM_TILE); /* many work-items share a row there */
    assert_non_null(strstr(told, "rmsnorm f32 M 1"));
}

static void test_what_passed_before_is_checked_in_the_family_that_is_taken_later(void **state) {
    (void)state;
    plant("adamw", OFF_FMA);
    scratch_text("kernels/matmul_tile.cl", "#error \"no tiles here\"\n"); /* which the group that passes first needs */
    start_again();
    assert_ok(check(SELF_CHECK_PRODUCTS));
    assert_int_equal(check(SELF_CHECK_FACTORS), CLORA_ERROR_OPENCL);
    assert_non_null(strstr(clora_last_error(), "with the tile kernels; "));
    assert_non_null(strstr(clora_last_error(), "matmul_tile ("));
}

/* ---- what is right costs little ---- */

static void test_a_right_device_passes_and_nothing_shows(void **state) {
    size_t before, now, peak, peak_before;

    (void)state;
    start_again();
    clora_context_memory(context, &before, &peak_before);
    for (clora_storage dtype = CLORA_STORAGE_F32; dtype <= CLORA_STORAGE_BF16; dtype++)
        assert_ok(self_check(context, dtype == CLORA_STORAGE_F32 ? EVERYTHING : SELF_CHECK_PRODUCTS, dtype, HEAD_DIM));
    clora_context_memory(context, &now, &peak);
    assert_int_equal(now, before);
    assert_int_equal(peak, peak_before);
    assert_int_equal(lines_told, 0);
    assert_int_equal(context->gemm, GEMM_PANEL);
    assert_true(kernel_runs_tapes(context));
}

/* Where the record of these kernels is. */
static const char *record_path(void) {
    static char path[1024];

    snprintf(path, sizeof(path), "%s/self_check.json", tuning_store_directory(context));
    return path;
}

/* What a record calls the group of the loss. */
static const char *loss_passed(void) {
    static char name[128];

    snprintf(name, sizeof(name), "loss panel f32 heads of 0 groups of %zu", context->info.max_group);
    return name;
}

/* A record that says of wrong kernels that they passed: who believes it has read it. */
static void forge_record(const char *version) {
    json_t *file = json_pack("{s:s, s:{s:b}}", "clora", version, "passed", loss_passed(), 1);

    assert_ok(tuning_store_prepare(context));
    assert_ok(json_save_path(file, record_path()));
    json_decref(file);
    start_again();
}

static void test_a_device_that_passed_is_not_asked_again(void **state) {
    (void)state;
    plant("loss", OFF_EXPONENTIAL);
    forge_record(CLORA_VERSION);
    assert_ok(check(SELF_CHECK_LOSS));
    start_again();
    assert_int_equal(check(SELF_CHECK_BACKWARD), CLORA_ERROR_OPENCL); /* of which it says nothing */
    start_again();
    setenv("CLORA_SELF_CHECK", "force", 1);
    assert_int_equal(check(SELF_CHECK_LOSS), CLORA_ERROR_OPENCL);
    unsetenv("CLORA_SELF_CHECK");
    start_again();
    assert_int_equal(check(SELF_CHECK_LOSS), CLORA_ERROR_OPENCL); /* the record is gone */
    forge_record("0.0.1");                                        /* of another version */
    assert_int_equal(check(SELF_CHECK_LOSS), CLORA_ERROR_OPENCL);
    assert_ok(file_write_text(record_path(), "{\"clora\": 3, \"passed\"", 21)); /* cut off */
    start_again();
    assert_int_equal(check(SELF_CHECK_LOSS), CLORA_ERROR_OPENCL);
}

/* Smaller groups and another way to multiply bf16 make other programs: what passed says nothing of those. */
static void test_what_passed_says_nothing_of_other_settings(void **state) {
    static const struct {
        const char *variable, *value;
        clora_storage dtype;
    } settings[] = {{"CLORA_MAX_GROUP", "64", CLORA_STORAGE_F32}, {"CLORA_BF16_DOT", "emulate", CLORA_STORAGE_BF16}};

    (void)state;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        start_again();
        assert_ok(self_check(context, SELF_CHECK_TERM, settings[i].dtype, 0));
        const size_t passed = json_object_size(context->check.passed);
        setenv(settings[i].variable, settings[i].value, 1);
        start_again();
        assert_ok(self_check(context, SELF_CHECK_TERM, settings[i].dtype, 0));
        assert_int_equal(json_object_size(context->check.passed), passed + 1);
        unsetenv(settings[i].variable);
        start_again();
        assert_ok(self_check(context, SELF_CHECK_TERM, settings[i].dtype, 0));
        assert_int_equal(json_object_size(context->check.passed), passed + 1); /* nothing was checked again */
    }
}

static void test_what_passed_is_kept_and_read(void **state) {
    json_t *file = NULL;

    (void)state;
    start_again();
    assert_ok(check(SELF_CHECK_LOSS));
    assert_ok(json_load_path(&file, record_path(), 1 << 16));
    assert_true(json_is_true(json_object_get(json_object_get(file, "passed"), loss_passed())));
    json_decref(file);
}

static void test_without_a_place_to_keep_it_the_check_runs_each_time(void **state) {
    (void)state;
    scratch_text("file", "in the way");
    setenv("CLORA_CACHE_DIR", scratch_path("file"), 1);
    for (int i = 0; i < 2; i++) {
        start_again();
        assert_ok(check(SELF_CHECK_LOSS));
        assert_int_equal(lines_told, 0);
    }
    plant("loss", OFF_EXPONENTIAL);
    assert_int_equal(check(SELF_CHECK_LOSS), CLORA_ERROR_OPENCL);
}

static void test_the_variable_trusts_a_device_or_is_refused(void **state) {
    (void)state;
    plant("loss", OFF_EXPONENTIAL);
    setenv("CLORA_SELF_CHECK", "off", 1);
    assert_ok(check(EVERYTHING));
    setenv("CLORA_SELF_CHECK", "on", 1);
    assert_int_equal(check(SELF_CHECK_LOSS), CLORA_ERROR_OPENCL);
    setenv("CLORA_SELF_CHECK", "maybe", 1);
    assert_refused(check(SELF_CHECK_LOSS), CLORA_ERROR_ARGUMENT, "CLORA_SELF_CHECK is 'maybe': take on, off or force");
}

/* ---- who asks ---- */

static void test_a_linear_layer_of_the_library_asks_for_its_products(void **state) {
    clora_weight *w = NULL;
    clora_lowrank *lr = NULL;

    (void)state;
    setenv("CLORA_GEMM", "panel", 1);
    plant("matvec", OFF_FMA);
    assert_refused(clora_weight_create(&w, context, CLORA_STORAGE_F32, 5, 7), CLORA_ERROR_OPENCL, ": matmul f32 M 1 ");
    plant("adamw", OFF_FMA);
    assert_ok(clora_weight_create(&w, context, CLORA_STORAGE_F32, 5, 7));
    assert_refused(clora_lowrank_create(&lr, w, 2, 1.0f, 1), CLORA_ERROR_OPENCL, ": adamw f32");
    clora_weight_free(w);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_the_other_family_takes_the_place_of_one_that_is_wrong),
        test(test_what_both_families_compute_wrongly_is_refused),
        test(test_what_is_left_over_of_whole_vectors_is_checked_too),
        test(test_a_family_that_is_forced_is_refused),
        test(test_steps_that_are_wrong_in_one_launch_are_launches_apart),
        test(test_steps_that_are_launches_apart_are_not_checked_in_one),
        test(test_a_device_that_ends_long_loops_is_noticed),
        test(test_what_passed_before_is_checked_in_the_family_that_is_taken_later),
        test(test_a_right_device_passes_and_nothing_shows),
        test(test_a_device_that_passed_is_not_asked_again),
        test(test_what_passed_says_nothing_of_other_settings),
        test(test_what_passed_is_kept_and_read),
        test(test_without_a_place_to_keep_it_the_check_runs_each_time),
        test(test_the_variable_trusts_a_device_or_is_refused),
        test(test_a_linear_layer_of_the_library_asks_for_its_products),
    };

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        print_message("skipped: %s\n", clora_last_error());
        return 77; /* Meson: skipped */
    }
    const bool panel = context->is_cpu;
    clora_context_free(context);
    if (!panel) {
        print_message("skipped: the faults are planted in kernels for CPUs\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
