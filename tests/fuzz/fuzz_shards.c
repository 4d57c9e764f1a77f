/* model.safetensors.index.json 8< the file "a" 8< the file "b" */

#include "fuzz/fuzz.h"
#include "files/model_files.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_part parts[3];
    model_files *set;

    fuzz_split(parts, 3, data, size);
    fuzz_write("model.safetensors.index.json", parts[0]);
    fuzz_write_safetensors("a", parts[1]);
    fuzz_write_safetensors("b", parts[2]);
    if (model_files_open(&set, fuzz_directory()) != CLORA_OK)
        return 0;
    for (size_t i = 0; i < model_files_count(set); i++) {
        const stored_tensor *t = model_files_tensor(set, i);
        FUZZ_CHECK(model_files_find(set, t->name) == t);
        size_t count;
        const stored_tensor *of_file = model_files_file_tensors(&count, set, t->file);
        FUZZ_CHECK(t >= of_file && t < of_file + count);
    }
    model_files_close(set);
    return 0;
}
