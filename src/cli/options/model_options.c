#include "cli/options/model_options.h"

#include <string.h>

const char *const model_dtypes[] = {"file", MODEL_DTYPES, NULL};

int model_dtype_value(int choice) {
    for (int i = 0; i < CLORA_STORAGE_END; i++) {
        const char *name = clora_storage_name((clora_storage)i);
        if (name && strcmp(name, model_dtypes[choice]) == 0)
            return i;
    }
    return -1;
}

clora_model_options model_args_options(const model_args *args) {
    clora_model_options options = CLORA_MODEL_OPTIONS_INIT;

    options.dtype = model_dtype_value(args->dtype);
    return options;
}

void model_note_head(const cli_state *cli, const char *path, int own_head) {
    if (own_head)
        cli_note(cli,
                 "%s: lm_head.weight differs from the embedding, so it is used, although config.json says "
                 "\"tie_word_embeddings\": true; other programs may drop it: set that to false",
                 path);
}
