#ifndef CLORA_TESTS_WIDE_MODEL_H
#define CLORA_TESTS_WIDE_MODEL_H

enum { WIDE_MOST_LAYERS = 10 };

/* A model whose heads and rows fill vectors, with the fixtures' vocabulary, in this test's directory. Its path. */
const char *write_wide_model(int layers);

#endif
