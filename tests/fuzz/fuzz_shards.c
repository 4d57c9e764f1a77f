/* model.safetensors.index.json 8< the file "a" 8< the file "b" */

#include "fuzz/fuzz.h"
#include "files/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_part parts[3];
    safetensors_set *set;

    fuzz_split(parts, 3, data, size);
    fuzz_write("model.safetensors.index.json", parts[0]);
    fuzz_write_safetensors("a", parts[1]);
    fuzz_write_safetensors("b", parts[2]);
    if (safetensors_set_open(&set, fuzz_directory()) != CLORA_OK)
        return 0;
    for (size_t i = 0; i < safetensors_set_count(set); i++) {
        const safetensors_tensor *t = safetensors_set_tensor(set, i);
        FUZZ_CHECK(safetensors_set_find(set, t->name) == t);
        FUZZ_CHECK(safetensors_find(safetensors_set_file(set, t), t->name) != NULL);
        safetensors_set_release(set, t);
    }
    safetensors_set_close(set);
    return 0;
}
