#ifndef CLORA_DATA_SEQUENCE_WRITER_H
#define CLORA_DATA_SEQUENCE_WRITER_H

#include "data/dataset_store.h"
#include "data/sequence_key.h"

/* A file in the making takes the place of another at once, when it is complete. */
clora_status sequence_writer_create(sequence_writer **out, const sequence_key *key);
clora_status sequence_writer_append(sequence_writer *writer, const int32_t *ids, const int32_t *labels, size_t n);

/* The labels of a dataset's texts get other numbers. */
clora_status sequence_writer_renumber(sequence_writer *writer, const clora_dataset *dataset, const int32_t *number);

/* Write all that the dataset holds besides the values, and give the file its name. The dataset's writer is gone
 * afterwards, whether this succeeds or not. */
clora_status sequence_writer_commit(clora_dataset *dataset);
void sequence_writer_abandon(sequence_writer *writer); /* NULL is allowed */

#endif
