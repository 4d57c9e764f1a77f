#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/dtype.h"
#include "ops/storage.h"

enum { MOST = 1 << 14 };

static size_t read_fixture(void *out, const char *name) {
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/storage/%s", getenv("CLORA_TEST_FIXTURES"), name);
    file = fopen(path, "rb");
    assert_non_null(file);
    const size_t n = fread(out, 1, MOST, file);
    fclose(file);
    assert_in_range(n, 1, MOST - 1);
    return n;
}

static void test_q8_0_packs_the_bytes_that_ggml_packs(void **state) {
    static float values[MOST / sizeof(float)];
    static unsigned char expected[MOST], blocks[MOST];
    const storage *s = storage_of(CLORA_STORAGE_Q8_0);
    const size_t n = read_fixture(values, "values.bin") / sizeof(float), bytes = read_fixture(expected, "q8_0.bin");

    (void)state;
    assert_int_equal(n / 32 * storage_block_bytes(s), bytes);
    assert_true(storage_pack(s, blocks, values, CLORA_DTYPE_F32, n));
    assert_memory_equal(blocks, expected, bytes);
}

static void test_q8_0_stands_for_an_integer_times_the_scale(void **state) {
    unsigned char block[34];
    float values[32], back[32];

    (void)state;
    for (int i = 0; i < 32; i++)
        values[i] = 0.5f * (float)(i - 16);
    values[31] = 63.5f; /* d = 0.5 */
    assert_true(storage_pack(storage_of(CLORA_STORAGE_Q8_0), block, values, CLORA_DTYPE_F32, 32));
    storage_unpack(storage_of(CLORA_STORAGE_Q8_0), back, block, 32);
    assert_memory_equal(back, values, sizeof(values));
}

static void test_packing_says_what_is_not_finite(void **state) {
    (void)state;
    for (int i = 0; i < CLORA_STORAGE_END; i++) {
        const storage *s = storage_of((clora_storage)i);
        if (!s)
            continue;
        const float bad[] = {NAN, INFINITY, -INFINITY};
        for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++) {
            float values[512] = {0};
            unsigned char blocks[2048];
            assert_true(storage_pack(s, blocks, values, CLORA_DTYPE_F32, 512));
            values[300] = bad[b];
            assert_false(storage_pack(s, blocks, values, CLORA_DTYPE_F32, 512));
        }
    }
}

static void test_a_scale_that_overflows_is_refused(void **state) {
    unsigned char block[34];
    float values[32] = {0};

    (void)state;
    values[3] = 65504.0f * 127.0f;
    assert_true(storage_pack(storage_of(CLORA_STORAGE_Q8_0), block, values, CLORA_DTYPE_F32, 32));
    values[3] = -65536.0f * 127.0f;
    assert_false(storage_pack(storage_of(CLORA_STORAGE_Q8_0), block, values, CLORA_DTYPE_F32, 32));
}

/* What a row of the table says fits together. */
static void test_units_are_whole_blocks_in_whole_pieces(void **state) {
    (void)state;
    for (int i = 0; i < CLORA_STORAGE_END; i++) {
        const storage *s = storage_of((clora_storage)i);
        if (!s)
            continue;
        assert_int_equal(s->id, i);
        assert_string_equal(clora_storage_name((clora_storage)i), s->name);
        assert_int_equal(s->unit % s->block, 0);
        assert_int_equal(s->unit % s->steps, 0);
        assert_int_equal(storage_block_bytes(s) % dtype_size(s->element), 0);
        assert_int_equal(storage_row_elements(s, 256) * dtype_size(s->element),
                         storage_panel_elements(s, 256, 8) * dtype_size(s->element) / 8);
    }
    assert_null(storage_of((clora_storage)-1));
    assert_null(storage_of((clora_storage)CLORA_DTYPE_I32));
    assert_null(clora_storage_name((clora_storage)1000));
}

static void test_a_matrix_whose_rows_are_no_whole_blocks_keeps_the_files_type(void **state) {
    const storage_choice asked = {CLORA_STORAGE_Q8_0, CLORA_DTYPE_BF16}, none = {-1, CLORA_DTYPE_F16};

    (void)state;
    assert_int_equal(storage_choose(asked, 64), CLORA_STORAGE_Q8_0);
    assert_int_equal(storage_choose(asked, 65), CLORA_STORAGE_BF16);
    assert_int_equal(storage_choose(none, 64), CLORA_STORAGE_F16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_q8_0_packs_the_bytes_that_ggml_packs),
        cmocka_unit_test(test_q8_0_stands_for_an_integer_times_the_scale),
        cmocka_unit_test(test_packing_says_what_is_not_finite),
        cmocka_unit_test(test_a_scale_that_overflows_is_refused),
        cmocka_unit_test(test_units_are_whole_blocks_in_whole_pieces),
        cmocka_unit_test(test_a_matrix_whose_rows_are_no_whole_blocks_keeps_the_files_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
