#ifndef CLORA_TESTS_FRESH_CONTEXT_H
#define CLORA_TESTS_FRESH_CONTEXT_H

/* A cache directory of its own and a context for each test. Include after cmocka.h. */

#include <clora/context.h>

extern clora_context *context;

/* cmocka setup and teardown. */
int fresh_context_setup(void **state);
int fresh_context_teardown(void **state);

/* Another context on the same cache, as of a program that starts now. */
void fresh_context_again(void);

#endif
