#ifndef CLORA_TESTS_TINY_LLAMA_H
#define CLORA_TESTS_TINY_LLAMA_H

#include "methods/target.h"

/* The linear layers of tests/fixtures/tiny-llama, the head last. */
enum { TINY_MODULES = 15 };
extern const target_module tiny_llama[TINY_MODULES];

#endif
