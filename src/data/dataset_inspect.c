#include <clora/inspect.h>

#include "base/options.h"
#include "data/dataset.h"

clora_status clora_inspect_data(clora_inspected_data *out, const char *path, const clora_dataset_options *options) {
    dataset_tally tally;

    NEED(out);
    NEED(path);
    clora_status status = RESULT_BEGIN(out);
    if (status != CLORA_OK)
        return status;
    status = dataset_count(&tally, path, options);
    const clora_inspected_data found = {.pairs = tally.pairs,
                                        .context_characters = tally.context_characters,
                                        .target_characters = tally.target_characters,
                                        .longest = tally.longest};
    RESULT_GIVE(out, found);
    return status;
}
