#ifndef CLORA_DATA_SEQUENCE_FILE_H
#define CLORA_DATA_SEQUENCE_FILE_H

#include "data/dataset_store.h"
#include "data/sequence_key.h"

/*
 * The sequences of a dataset in a file of this machine's, for data that do not fit into memory: the values of all, one
 * after the other, then where each lies and what else there is to know. The values are mapped, so that a row comes from
 * the disk when its batch needs it, and the system may forget it again.
 */

/* Fill an empty dataset from the file of a key; *found is false where there is none, or one of another key, or a
 * damaged one. */
clora_status sequence_file_open(bool *found, clora_dataset *dataset, const sequence_key *key);

#endif
