#ifndef CLI_OBJECTIVE_OPTIONS_H
#define CLI_OBJECTIVE_OPTIONS_H

#include <clora/dataset.h>
#include <clora/train.h>

/* What --objective names: its words, which end with NULL, and of the word with a number its loss of preferences, if it
 * is one, and the data that it is of. */
extern const char *const objective_words[];

clora_preference objective_preference(int i);
clora_data_kind objective_data(int i);

#endif
