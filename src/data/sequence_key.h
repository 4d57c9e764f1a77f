#ifndef CLORA_DATA_SEQUENCE_KEY_H
#define CLORA_DATA_SEQUENCE_KEY_H

#include <stdint.h>

#include "data/dataset.h"
#include "files/stamp.h"

/* What decides which sequences data files give. */
typedef struct sequence_key {
    char *path;       /* of the file for them: of what is asked for */
    uint64_t hash[2]; /* of all that, and of which bytes the data files hold, as their stamps tell */
} sequence_key;

/* stamps: (count) of the files. path is yours to free. */
clora_status sequence_key_make(sequence_key *out, const dataset_builder *builder, const clora_data_file *files,
                               const file_stamp *stamps, size_t count);

#endif
