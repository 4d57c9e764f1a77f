#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "search/search.h"
#include "support/fixture.h"
#include "support/scratch.h"
#include "search/verdict.h"

/* ---- recorded spaces: every configuration was timed, tests/fixtures/record_tuning.py ---- */

typedef struct recording {
    search_space space;
    double *time; /* the last parameter runs fastest */
    size_t count;
    double best;
    int evaluations;
} recording;

static void load(recording *out, const char *name) {
    json_t *json, *values, *time;
    const char *parameter;
    size_t i;

    *out = (recording){.best = INFINITY};
    assert_ok(json_load_path(&json, fixture_path(name), 1 << 20));
    json_object_foreach (json_object_get(json, "parameters"), parameter, values) {
        const int d = out->space.dims++;
        json_t *value;
        json_array_foreach (values, i, value)
            out->space.value[d][out->space.count[d]++] = (int)json_integer_value(value);
    }
    const json_t *times = json_object_get(json, "microseconds");
    out->count = json_array_size(times);
    assert_int_equal(out->count, (size_t)search_space_size(&out->space));
    out->time = calloc(out->count, sizeof(*out->time));
    json_array_foreach ((json_t *)(uintptr_t)times, i, time) {
        out->time[i] = json_is_number(time) ? json_number_value(time) : INFINITY;
        out->best = fmin(out->best, out->time[i]);
    }
    json_decref(json);
}

static double recorded_time(void *user, const int *values, double best) {
    recording *r = user;
    size_t at = 0;

    (void)best;
    r->evaluations++;
    for (int d = 0; d < r->space.dims; d++) {
        int i = 0;
        while (r->space.value[d][i] != values[d])
            i++;
        at = at * (size_t)r->space.count[d] + (size_t)i;
    }
    return r->time[at];
}

/* Sanitizers look at accesses, which are those of every seed, and take eight times as long. */
#ifdef __SANITIZE_ADDRESS__
enum { SEEDS = 2 };
#else
enum { SEEDS = 20 };
#endif

/* 0.95 of the best speed with a tenth of the evaluations, from each of the seeds. */
static void check_quality(const char *name, const int (*standard)[KERNEL_PARAMETERS]) {
    recording r;

    load(&r, name);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        search s = {.space = &r.space,
                    .evaluate = recorded_time,
                    .user = &r,
                    .seeds = standard,
                    .seeds_count = 1,
                    .patience = (int)r.count,
                    .most = (int)r.count / 10,
                    .seed = seed};
        search_result found;
        r.evaluations = 0;
        assert_ok(search_run(&found, &s));
        assert_true(r.evaluations <= s.most);
        assert_int_equal(found.evaluations, r.evaluations);
        if (!(r.best / found.time[0] >= 0.95))
            fail_msg("%s, seed %d: %.0f us where %.0f us is possible", name, (int)seed, found.time[0], r.best);
    }
    free(r.time);
}

static void test_the_search_finds_the_best_of_a_forward_product(void **state) {
    static const int standard[][KERNEL_PARAMETERS] = {{8, 6, 640, 240, 4, 1}};
    (void)state;
    check_quality("tuning/forward.json", standard);
}

static void test_the_search_finds_the_best_of_a_backward_product(void **state) {
    static const int standard[][KERNEL_PARAMETERS] = {{8, 6, 768, 480, 4}};
    (void)state;
    check_quality("tuning/backward.json", standard);
}

static void test_the_search_finds_the_best_of_a_gemv(void **state) {
    static const int standard[][KERNEL_PARAMETERS] = {{8, 6, 640, 240, 4, 1}};
    (void)state;
    check_quality("tuning/gemv-bf16.json", standard);
}

/* ---- made-up spaces ---- */

static const search_space cube = {.dims = 3, .count = {4, 4, 4}, .value = {{1, 2, 4, 8}, {1, 2, 4, 8}, {1, 2, 4, 8}}};
static const int corner[][KERNEL_PARAMETERS] = {{1, 1, 1}};

/* Fastest at 4, 2, 8; what is above 4 in the second cannot be used. */
static double valley(void *user, const int *v, double best) {
    int *calls = user;

    (void)best;
    ++*calls;
    return v[1] > 4 ? INFINITY : fabs(log2(v[0] / 4.0)) + fabs(log2(v[1] / 2.0)) + fabs(log2(v[2] / 8.0)) + 1.0;
}

static void test_a_valley_leads_to_its_bottom(void **state) {
    int calls = 0;
    search_result found;
    const search s = {.space = &cube, .evaluate = valley, .user = &calls, .seeds = corner, .seeds_count = 1};

    (void)state;
    assert_ok(search_run(&found, &s));
    assert_memory_equal(found.best[0], ((int[]){4, 2, 8}), 3 * sizeof(int));
    assert_float_equal(found.time[0], 1.0, 0.0);
    assert_true(calls < 32 && calls == found.evaluations);
    assert_int_equal(found.count, SEARCH_BEST);
}

static void test_the_same_seed_takes_the_same_way(void **state) {
    int calls = 0;
    search_result first, second;
    const search s = {.space = &cube,
                      .evaluate = valley,
                      .user = &calls,
                      .seeds = corner,
                      .seeds_count = 1,
                      .patience = 5,
                      .seed = 7};

    (void)state;
    assert_ok(search_run(&first, &s));
    assert_ok(search_run(&second, &s));
    assert_memory_equal(&first, &second, sizeof(first));
}

static void test_a_full_search_tries_all_and_never_one_twice(void **state) {
    int calls = 0;
    search_result found;
    const search s = {
        .space = &cube, .evaluate = valley, .user = &calls, .seeds = corner, .seeds_count = 1, .full = true};

    (void)state;
    assert_ok(search_run(&found, &s));
    assert_int_equal(calls, 64);
    assert_memory_equal(found.best[0], ((int[]){4, 2, 8}), 3 * sizeof(int));
}

/* A rough slope in six parameters, where a descent gets stuck; a part of it cannot be used. */
static double slope(void *user, const int *v, double best) {
    double time = 1.0 + 0.02 * ((7 * v[0] + 5 * v[1] + 3 * v[2] * v[3]) % 8);

    (void)user;
    (void)best;
    for (int d = 0; d < 6; d++)
        time += 0.02 * abs(v[d] - 6);
    return v[2] == 8 && v[3] < 4 ? INFINITY : time;
}

static void test_a_space_too_large_to_list_is_searched(void **state) {
    static const int start[][KERNEL_PARAMETERS] = {{1, 1, 1, 1, 1, 1}};
    search_space space = {.dims = 6};
    search_result descent, found;

    (void)state;
    for (int d = 0; d < space.dims; d++)
        while (space.count[d] < 8) {
            space.value[d][space.count[d]] = space.count[d] + 1;
            space.count[d]++;
        }
    search s = {.space = &space, .evaluate = slope, .seeds = start, .seeds_count = 1, .most = 240, .seed = 2};
    assert_ok(search_run(&descent, &s));
    s.patience = 1000;
    assert_ok(search_run(&found, &s));
    assert_int_equal(found.evaluations, s.most);
    assert_true(found.time[0] < descent.time[0]);
}

static double useless(void *user, const int *v, double best) {
    (void)user;
    (void)v;
    (void)best;
    return INFINITY;
}

static void test_where_nothing_works_nothing_is_found(void **state) {
    search_result found;
    const search s = {.space = &cube, .evaluate = useless, .seeds = corner, .seeds_count = 1, .patience = 3};

    (void)state;
    assert_ok(search_run(&found, &s));
    assert_int_equal(found.count, 0);
}

static bool never(void *user) {
    (void)user;
    return false;
}

static void test_a_search_without_time_tries_nothing(void **state) {
    int calls = 0;
    search_result found;
    const search s = {
        .space = &cube, .evaluate = valley, .may_go_on = never, .user = &calls, .seeds = corner, .seeds_count = 1};

    (void)state;
    assert_ok(search_run(&found, &s));
    assert_int_equal(calls, 0);
}

/* ---- the play-off ---- */

enum { ROUNDS = 21 };

/* Samples of a configuration: its time, a drift that all see, and noise. */
static void make_samples(double *out, double time, double noise, unsigned seed) {
    for (int i = 0; i < ROUNDS; i++) {
        seed = seed * 1103515245u + 12345u;
        out[i] = time * (1.0 + 0.5 * i / ROUNDS) * (1.0 + noise * ((seed >> 16) % 1000 / 500.0 - 1.0));
    }
}

static int winner_of(double standard, double other, double noise) {
    double samples[2 * ROUNDS];

    make_samples(samples, standard, noise, 1);
    make_samples(samples + ROUNDS, other, noise, 2);
    return verdict_of(samples, 2, ROUNDS).winner;
}

static void test_the_default_falls_only_to_what_is_clearly_faster(void **state) {
    (void)state;
    assert_int_equal(winner_of(1e-3, 0.9e-3, 0.01), 1); /* the drift of 50 % hides nothing */
    assert_int_equal(winner_of(1e-3, 0.98e-3, 0.001), 0);
    assert_int_equal(winner_of(1e-3, 1.1e-3, 0.01), 0);
    assert_int_equal(winner_of(1e-3, 1e-3, 0.3), 0);
    assert_int_equal(winner_of(1e-3, 0.5e-3, 0.3), 1);
}

static void test_the_best_of_several_wins_and_is_described(void **state) {
    double samples[3 * ROUNDS];

    (void)state;
    make_samples(samples, 1e-3, 0.01, 1);
    make_samples(samples + ROUNDS, 0.9e-3, 0.01, 2);
    make_samples(samples + 2 * ROUNDS, 0.8e-3, 0.01, 3);
    const verdict v = verdict_of(samples, 3, ROUNDS);
    assert_int_equal(v.winner, 2);
    assert_true(v.minimum < v.median && v.median < v.default_median && v.spread > 0.0);
}

/* The winner was faster in all rounds but one, which moves its median past the default's: the gain is that
 * of rounds. */
static void test_a_gain_is_that_of_the_same_rounds(void **state) {
    double samples[22];

    (void)state;
    for (int i = 0; i < 11; i++) {
        samples[i] = i < 6 ? 1e-3 : 2e-3;
        samples[11 + i] = i == 0 ? 3e-3 : 0.9 * samples[i];
    }
    const verdict v = verdict_of(samples, 2, 11);
    assert_int_equal(v.winner, 1);
    assert_float_equal(v.median, 1.8e-3, 1e-9);
    assert_float_equal(v.default_median, 2e-3, 1e-9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_search_finds_the_best_of_a_forward_product),
        cmocka_unit_test(test_the_search_finds_the_best_of_a_backward_product),
        cmocka_unit_test(test_the_search_finds_the_best_of_a_gemv),
        cmocka_unit_test(test_a_valley_leads_to_its_bottom),
        cmocka_unit_test(test_the_same_seed_takes_the_same_way),
        cmocka_unit_test(test_a_full_search_tries_all_and_never_one_twice),
        cmocka_unit_test(test_a_space_too_large_to_list_is_searched),
        cmocka_unit_test(test_where_nothing_works_nothing_is_found),
        cmocka_unit_test(test_a_search_without_time_tries_nothing),
        cmocka_unit_test(test_the_default_falls_only_to_what_is_clearly_faster),
        cmocka_unit_test(test_the_best_of_several_wins_and_is_described),
        cmocka_unit_test(test_a_gain_is_that_of_the_same_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
