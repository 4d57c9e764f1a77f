#include <clora/inspect.h>

#include "data/dataset.h"

clora_status clora_inspect_data(clora_inspected_data *out, const char *path, const clora_dataset_options *options) {
    dataset_tally tally;

    NEED(out);
    *out = (clora_inspected_data){0};
    NEED(path);
    const clora_status status = dataset_count(&tally, path, options);
    *out = (clora_inspected_data){tally.pairs, tally.context_characters, tally.target_characters, tally.longest};
    return status;
}
