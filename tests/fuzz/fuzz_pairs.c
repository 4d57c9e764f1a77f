/* A byte of options, then a data file whose name ends in ENDING: read, counted, and walked through in batches. */

#include <string.h>

#include <clora/inspect.h>
#include <clora/tokenizer.h>

#include "fuzz/fuzz.h"
#include "data/dataset.h"

/* Bits of the options. */
enum { BATCH = 3, SHUFFLE = 2, LENGTH = 15, LEARN_CONTEXT = 16, COLUMNS = 32, ONE_COLUMN = 64, PACK = 128 };

static const char file[] = "pairs." ENDING;

/* A letter is a token. */
static const clora_tokenizer *letters(void) {
    static const char json[] = "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\" \":2,\"ab\":3},"
                               "\"merges\":[[\"a\",\"b\"]]}}";
    static clora_tokenizer *tokenizer;

    if (!tokenizer) {
        fuzz_write("tokenizer.json", (fuzz_part){(const uint8_t *)json, sizeof(json) - 1});
        if (clora_tokenizer_load(&tokenizer, fuzz_directory()) != CLORA_OK)
            fprintf(stderr, "%s\n", clora_last_error());
        FUZZ_CHECK(tokenizer != NULL);
    }
    return tokenizer;
}

static void check_batch(const clora_batch *b, int vocab) {
    FUZZ_CHECK(b->B > 0 && b->T > 0);
    for (int i = 0; i < b->B * b->T; i++) {
        FUZZ_CHECK(b->ids[i] >= 0 && b->ids[i] < vocab);
        FUZZ_CHECK(b->targets[i] >= -1 && b->targets[i] < vocab);
        FUZZ_CHECK(b->first[i] >= 0 && b->first[i] <= b->last[i] && b->last[i] < b->T);
    }
}

static void walk(const clora_dataset *dataset, uint8_t options, int max_length) {
    const clora_loader_options how = {.batch_size = 1 + (options & BATCH),
                                      .pack = (options & PACK) != 0,
                                      .max_length = options & 1 ? max_length : 0,
                                      .shuffle = (options & SHUFFLE) != 0,
                                      .seed = options};
    const clora_batch *batch;
    clora_loader *loader;

    FUZZ_CHECK(clora_loader_create(&loader, dataset, &how) == CLORA_OK);
    for (int i = 0; i < 20; i++) {
        FUZZ_CHECK(clora_loader_next(loader, &batch) == CLORA_OK);
        check_batch(batch, clora_tokenizer_vocab_size(letters()));
    }
    clora_loader_free(loader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t bits = size ? data[0] : 0;
    const char *columns = bits & COLUMNS ? "a,b" : bits & ONE_COLUMN ? "b" : NULL;
    clora_dataset_options options = CLORA_DATASET_OPTIONS_INIT;
    clora_inspected_data counted = CLORA_INSPECTED_DATA_INIT;
    clora_dataset *dataset;

    if (size == 0)
        return -1;
    options.max_length = 2 + (bits & LENGTH);
    options.learn_context = (bits & LEARN_CONTEXT) != 0;
    options.eos = 0;
    *(strcmp(ENDING, "jsonl") == 0 ? &options.keys : &options.columns) = columns;
    options.pair_template = bits & LEARN_CONTEXT ? CLORA_PAIR_ALPACA : CLORA_PAIR_PLAIN;
    const clora_tokenizer *tokenizer = letters();
    fuzz_write(file, (fuzz_part){data + 1, size - 1});
    const clora_status inspected = clora_inspect_data(&counted, fuzz_path(file), &options);
    if (clora_dataset_load(&dataset, fuzz_path(file), tokenizer, &options) != CLORA_OK)
        return 0;
    FUZZ_CHECK(inspected == CLORA_OK && counted.pairs > 0);
    FUZZ_CHECK(clora_dataset_get_stats(dataset)->longest <= options.max_length);
    walk(dataset, bits, options.max_length);
    clora_dataset_free(dataset);
    return 0;
}
