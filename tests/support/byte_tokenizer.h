#ifndef TESTS_BYTE_TOKENIZER_H
#define TESTS_BYTE_TOKENIZER_H

#include <clora/dataset.h>

/* A tokenizer of bytes: the id of a byte is its value, except that byte 4 has no token. */
enum { BOS = 256, EOS = 257 };

extern clora_tokenizer *plain, *with_bos; /* the latter puts a bos before texts */

/* Of a whole group of tests. */
int byte_tokenizers_make(void **state);
int byte_tokenizers_free(void **state);

/* One with this tokenizer_config.json, in the scratch directory. */
clora_tokenizer *byte_tokenizer(const char *config);

clora_dataset_options options_of_length(int length);

/* A file of this name and text as a dataset. */
clora_dataset *load_with(const char *name, const char *text, const clora_tokenizer *tokenizer,
                         const clora_dataset_options *options);
clora_dataset *load(const char *name, const char *text);
void assert_not_loaded(const char *name, const void *text, size_t size, const clora_dataset_options *options,
                       clora_status expected, const char *words);
void assert_bad(const char *name, const char *text, const char *words);

/* ids as text: ^ is bos, $ is eos; learnt has a + for each learnt id and a - for each other */
void assert_sequence(const clora_dataset *dataset, size_t i, const char *text, const char *learnt);
void assert_only_sequence(const char *name, const char *text, const clora_dataset_options *options,
                          const char *expected, const char *learnt);

#endif
