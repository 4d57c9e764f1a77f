#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/dtype.h"
#include "base/options.h"
#include "base/plain.h"
#include "base/rng.h"
#include "support/assert.h"
#include "support/scratch.h"

/* ---- status, alloc ---- */

static void test_a_failure_keeps_its_message_and_takes_words_in_front(void **state) {
    (void)state;
    assert_int_equal(clora_fail(CLORA_ERROR_SHAPE, "%d is odd", 3), CLORA_ERROR_SHAPE);
    assert_int_equal(clora_fail_within(CLORA_ERROR_IO, "file %s", "x"), CLORA_ERROR_IO);
    assert_string_equal(clora_last_error(), "file x: 3 is odd");
    clora_fail(CLORA_ERROR_IO, "again: %s", clora_last_error());
    assert_string_equal(clora_last_error(), "again: file x: 3 is odd");
}

static void test_a_message_of_any_length_is_cut_not_overrun(void **state) {
    (void)state;
    char *text = malloc(20001);

    memset(text, 'x', 20000);
    text[20000] = '\0';
    clora_fail(CLORA_ERROR_IO, "%s", text);
    assert_true(strlen(clora_last_error()) > 1000 && strlen(clora_last_error()) < 20000);
    clora_fail_within(CLORA_ERROR_IO, "%s", text);
    assert_true(strlen(clora_last_error()) < 20000);
    free(text);
}

static void test_names_in_a_message_cannot_act_on_a_terminal(void **state) {
    (void)state;
    clora_fail(CLORA_ERROR_FORMAT, "tensor %s", "a\x1b[31m\nb\x7f\xc2\x9bz \xc3\xa9\xc2\xa0");
    assert_string_equal(clora_last_error(), "tensor a\\u001b[31m\\u000ab\\u007f\\u009bz \xc3\xa9\xc2\xa0");
    clora_fail_within(CLORA_ERROR_FORMAT, "file %s", "\r");
    assert_memory_equal(clora_last_error(), "file \\u000d: tensor a\\u001b", 26);
}

static void test_lines_below_a_message_stay_lines(void **state) {
    (void)state;
    clora_fail(CLORA_ERROR_OPENCL, "kernel x");
    assert_int_equal(clora_fail_below(CLORA_ERROR_OPENCL, "1: error\n2: error"), CLORA_ERROR_OPENCL);
    clora_fail_within(CLORA_ERROR_OPENCL, "device y");
    assert_string_equal(clora_last_error(), "device y: kernel x\n1: error\n2: error");
}

static void test_plain_text_is_cut_before_what_does_not_fit(void **state) {
    (void)state;
    char out[9];
    char *all = plain_text("ab\n\n");

    assert_string_equal(all, "ab\\u000a\\u000a");
    free(all);
    assert_int_equal(plain_copy(out, sizeof(out), "ab\n\n"), 8);
    assert_string_equal(out, "ab\\u000a");
    assert_int_equal(plain_copy(out, 8, "ab\n"), 2);
    assert_int_equal(plain_copy(out, 1, "ab"), 0);
    assert_string_equal(out, "");
}

static void test_sizes_that_overflow_are_refused(void **state) {
    (void)state;
    size_t n, capacity = 0;
    void *array = NULL;

    assert_false(size_mul(SIZE_MAX / 2, 3, &n));
    assert_false(size_add(SIZE_MAX, 1, &n));
    assert_null(alloc_array(SIZE_MAX / 2, 16));
    assert_refused(alloc_grow(&array, &capacity, SIZE_MAX / 2, 16), CLORA_ERROR_MEMORY, "no memory");
    assert_null(array);
    assert_int_equal(capacity, 0);
}

static void test_growing_keeps_what_was_there(void **state) {
    (void)state;
    int *array = NULL;
    size_t capacity = 0;

    for (size_t i = 0; i < 1000; i++) {
        assert_ok(alloc_grow((void **)&array, &capacity, i + 1, sizeof(*array)));
        array[i] = (int)i;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(array[i], i);
    free(array);
}

/* ---- dtype ---- */

static float from_bits(uint32_t bits) {
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

static double f16_value(unsigned h) {
    const unsigned exponent = h >> 10 & 31, mantissa = h & 1023;
    const double sign = h & 0x8000 ? -1.0 : 1.0;

    if (exponent == 31)
        return mantissa ? NAN : sign * INFINITY;
    return sign * (exponent ? ldexp(1024 + mantissa, (int)exponent - 25) : ldexp(mantissa, -24));
}

static void test_every_f16_becomes_its_value_and_returns(void **state) {
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        const float f = dtype_f16_to_f32((uint16_t)h);
        const double value = f16_value(h);
        if (isnan(value)) {
            assert_true(isnan(f) && isnan(dtype_f16_to_f32(dtype_f32_to_f16(f))));
            continue;
        }
        if (!((double)f == value && !signbit(f) == !(h & 0x8000)))
            fail_msg("%04x is %g, wanted %g", h, (double)f, value);
        assert_int_equal(dtype_f32_to_f16(f), h);
    }
}

static void test_narrowing_to_f16_rounds_to_nearest_even(void **state) {
    (void)state;
    /* just below, at and just above the middle between each value and the next */
    for (unsigned h = 0; h < 0x7bff; h++) {
        const double middle = (f16_value(h) + f16_value(h + 1)) / 2; /* exact in a float */
        const unsigned even = h & 1 ? h + 1 : h;
        assert_int_equal(dtype_f32_to_f16((float)middle), even);
        assert_int_equal(dtype_f32_to_f16(-(float)middle), even | 0x8000);
        assert_int_equal(dtype_f32_to_f16(nextafterf((float)middle, 0.0f)), h);
        assert_int_equal(dtype_f32_to_f16(nextafterf((float)middle, 1e9f)), h + 1);
    }
    assert_int_equal(dtype_f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(dtype_f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(dtype_f32_to_f16(3e38f), 0x7c00);
    assert_int_equal(dtype_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(dtype_f32_to_f16(1e-45f), 0);
}

static void test_bf16_is_the_upper_half_rounded_to_nearest_even(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        const float f = dtype_bf16_to_f32((uint16_t)h);
        const uint32_t bits = h << 16;
        assert_memory_equal(&f, &bits, sizeof(f));
        if (isnan(f)) {
            assert_true(isnan(dtype_bf16_to_f32(dtype_f32_to_bf16(f))));
            continue;
        }
        assert_int_equal(dtype_f32_to_bf16(f), h);
        if ((h & 0x7fff) < 0x7f80) {
            assert_int_equal(dtype_f32_to_bf16(from_bits(bits | 0x7fff)), h);
            assert_int_equal(dtype_f32_to_bf16(from_bits(bits | 0x8000)), h + (h & 1));
            assert_int_equal(dtype_f32_to_bf16(from_bits(bits | 0x8001)), h + 1);
        }
    }
    assert_true(isnan(dtype_bf16_to_f32(dtype_f32_to_bf16(from_bits(0x7f800001))))); /* not cut to infinity */
}

static void test_arrays_convert_as_their_elements_do_at_any_address(void **state) {
    (void)state;
    enum { N = 259 };
    unsigned char packed[2 * N + 1];
    float in[N], out[N], expected[N];

    for (int i = 0; i < N; i++)
        in[i] = (float)(i - 100) * 0.37f * powf(10.0f, (float)(i % 9 - 6));
    for (int dtype = CLORA_DTYPE_F16; dtype <= CLORA_DTYPE_BF16; dtype++) {
        for (int i = 0; i < N; i++)
            expected[i] = dtype == CLORA_DTYPE_F16 ? dtype_f16_to_f32(dtype_f32_to_f16(in[i]))
                                                   : dtype_bf16_to_f32(dtype_f32_to_bf16(in[i]));
        dtype_from_f32(packed + 1, (clora_dtype)dtype, in, N);
        dtype_to_f32(out, packed + 1, (clora_dtype)dtype, N);
        assert_memory_equal(out, expected, sizeof(out));
        assert_close(out, in, N, 5e-3, 1e-7);
    }
    dtype_from_f32(out, CLORA_DTYPE_F32, in, N);
    assert_memory_equal(out, in, sizeof(out));
    dtype_to_f32(expected, out, CLORA_DTYPE_F32, N);
    assert_memory_equal(expected, in, sizeof(out));
}

static void test_types_have_sizes_and_names(void **state) {
    (void)state;
    assert_int_equal(dtype_size(CLORA_DTYPE_F32), 4);
    assert_int_equal(dtype_size(CLORA_DTYPE_F16), 2);
    assert_int_equal(dtype_size(CLORA_DTYPE_BF16), 2);
    assert_int_equal(dtype_size(CLORA_DTYPE_I32), 4);
    assert_string_equal(dtype_name(CLORA_DTYPE_BF16), "bf16");
}

/* ---- rng ---- */

static void test_philox_gives_the_published_vectors(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        uint32_t out[4];
        rng_philox(out, known[i].counter, known[i].key);
        assert_memory_equal(out, known[i].out, sizeof(out));
    }
}

static void test_a_value_depends_on_seed_stream_and_index_alone(void **state) {
    (void)state;
    const uint64_t seed = 0x299f31d0a4093822u;
    uint32_t out[4];

    rng_philox(out, (uint32_t[4]){9, 1, 7, 0}, (uint32_t[2]){0xa4093822, 0x299f31d0});
    for (uint64_t lane = 0; lane < 4; lane++)
        assert_int_equal(rng_bits(seed, 7, (((uint64_t)1 << 32) + 9) * 4 + lane), out[lane]);
    assert_int_not_equal(rng_bits(1, 0, 0), rng_bits(2, 0, 0));
    assert_int_not_equal(rng_bits(1, 0, 0), rng_bits(1, 1, 0));
}

static void test_uniform_and_normal_numbers_have_their_moments(void **state) {
    (void)state;
    enum { N = 100000 };
    double sum = 0, square = 0, normal = 0, normal_square = 0, neighbours = 0, fourth = 0;

    for (uint64_t i = 0; i < N; i++) {
        const double u = (double)rng_uniform(42, 3, i), z = (double)rng_normal(42, 4, i);
        assert_true(u >= 0.0 && u < 1.0 && isfinite(z));
        sum += u;
        square += u * u;
        normal += z;
        normal_square += z * z;
        fourth += z * z * z * z;
        neighbours += z * (double)rng_normal(42, 4, i ^ 1);
    }
    assert_true(fabs(sum / N - 0.5) < 0.005);
    assert_true(fabs(square / N - 1.0 / 3.0) < 0.005);
    assert_true(fabs(normal / N) < 0.02);
    assert_true(fabs(normal_square / N - 1.0) < 0.03);
    assert_true(fabs(fourth / N - 3.0) < 0.2);
    assert_true(fabs(neighbours / N) < 0.02);
}

static void test_a_permutation_holds_each_number_once_and_changes_with_the_stream(void **state) {
    (void)state;
    enum { N = 1000 };
    size_t a[N], b[N], seen[N] = {0};

    rng_permutation(a, N, 5, 0);
    for (size_t i = 0; i < N; i++)
        seen[a[i]]++;
    for (size_t i = 0; i < N; i++)
        assert_int_equal(seen[i], 1);
    rng_permutation(b, N, 5, 0);
    assert_memory_equal(a, b, sizeof(a));
    rng_permutation(b, N, 5, 1);
    assert_memory_not_equal(a, b, sizeof(a));
    rng_permutation(b, 0, 5, 1);
    rng_permutation(b, 1, 5, 1);
    assert_int_equal(b[0], 0);
}

static void test_all_permutations_are_equally_likely(void **state) {
    (void)state;
    size_t order[3], count[27] = {0};

    for (uint32_t stream = 0; stream < 6000; stream++) {
        rng_permutation(order, 3, 11, stream);
        count[order[0] * 9 + order[1] * 3 + order[2]]++;
    }
    for (size_t i = 0; i < 27; i++)
        assert_true(count[i] == 0 || (count[i] > 880 && count[i] < 1120));
}

/* ---- options ---- */

typedef struct known_options {
    size_t size;
    int rank, beta;
} known_options;

typedef struct newer_options {
    known_options known;
    int added;
} newer_options;

static void test_options_of_older_and_newer_callers(void **state) {
    const known_options defaults = {sizeof(defaults), 8, 3};
    const known_options older = {offsetof(known_options, beta), 16, 99}, *given = NULL;
    newer_options newer = {.known = {sizeof(newer), 16, 5}};
    known_options all = defaults;

    (void)state;
    assert_ok(OPTIONS_TAKE(all, given));
    assert_memory_equal(&all, &defaults, sizeof(all));
    given = &older;
    assert_ok(OPTIONS_TAKE(all, given));
    assert_int_equal(all.rank, 16);
    assert_int_equal(all.beta, 3); /* which it does not know */
    assert_int_equal(all.size, sizeof(all));
    given = &newer.known;
    assert_ok(OPTIONS_TAKE(all, given));
    assert_int_equal(all.beta, 5);
    assert_int_equal(all.size, sizeof(all));
    newer.added = 1;
    assert_refused(OPTIONS_TAKE(all, given), CLORA_ERROR_UNSUPPORTED, "does not know");
    newer.known.size = 0;
    assert_refused(OPTIONS_TAKE(all, given), CLORA_ERROR_ARGUMENT, "size 0: begin with their _INIT");
}

#define T(name) cmocka_unit_test(name)

int main(void) {
    const struct CMUnitTest tests[] = {
        T(test_a_failure_keeps_its_message_and_takes_words_in_front),
        T(test_a_message_of_any_length_is_cut_not_overrun),
        T(test_names_in_a_message_cannot_act_on_a_terminal),
        T(test_lines_below_a_message_stay_lines),
        T(test_plain_text_is_cut_before_what_does_not_fit),
        T(test_sizes_that_overflow_are_refused),
        T(test_growing_keeps_what_was_there),
        T(test_every_f16_becomes_its_value_and_returns),
        T(test_narrowing_to_f16_rounds_to_nearest_even),
        T(test_bf16_is_the_upper_half_rounded_to_nearest_even),
        T(test_arrays_convert_as_their_elements_do_at_any_address),
        T(test_types_have_sizes_and_names),
        T(test_philox_gives_the_published_vectors),
        T(test_a_value_depends_on_seed_stream_and_index_alone),
        T(test_uniform_and_normal_numbers_have_their_moments),
        T(test_a_permutation_holds_each_number_once_and_changes_with_the_stream),
        T(test_all_permutations_are_equally_likely),
        T(test_options_of_older_and_newer_callers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
