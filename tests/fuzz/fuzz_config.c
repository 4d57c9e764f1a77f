/* config.json 8< generation_config.json */

#include "base/alloc.h"
#include "fuzz/fuzz.h"
#include "model/config.h"

/* Products that the model's code takes as ints. */
static void check_fits(int a, int b) {
    int product;

    FUZZ_CHECK(a > 0 && b > 0 && !__builtin_mul_overflow(a, b, &product));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_part parts[2];
    model_config c;

    fuzz_split(parts, 2, data, size);
    fuzz_write("config.json", parts[0]);
    fuzz_write("generation_config.json", parts[1]);
    if (config_load(&c, fuzz_directory()) != CLORA_OK)
        return 0;
    check_fits(c.heads, c.head_dim);
    check_fits(c.kv_heads, c.head_dim);
    check_fits(c.ffn, 2);
    check_fits(c.layers, c.vocab > 0);
    FUZZ_CHECK(c.heads % c.kv_heads == 0);
    FUZZ_CHECK(c.eos_count >= 0 && c.eos_count <= CONFIG_EOS);
    for (int i = 0; i < c.eos_count; i++)
        FUZZ_CHECK(c.eos[i] >= 0 && c.eos[i] < c.vocab);
    return 0;
}
