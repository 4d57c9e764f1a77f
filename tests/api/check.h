#ifndef CLORA_TESTS_API_CHECK_H
#define CLORA_TESTS_API_CHECK_H

/* What the programs here share. Like a user's they see the public headers alone, and link to the library. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clora/clora.h>

/* Says what is wrong, with the library's last message, and ends the program. */
#define CHECK(what)                                                                            \
    do {                                                                                       \
        if (!(what)) {                                                                         \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, clora_last_error()); \
            exit(EXIT_FAILURE);                                                                \
        }                                                                                      \
    } while (0)
#define OK(call) CHECK((call) == CLORA_OK)

enum { SKIPPED = 77 /* Meson's */ };

/* The path of a golden file; one of four static buffers. */
static inline const char *fixture(const char *name) {
    static char paths[4][1024];
    static int last;
    char *path = paths[last = (last + 1) % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", getenv("CLORA_TEST_FIXTURES"), name);
    return path;
}

/* A context, or the end of a program that has no device. */
static inline clora_context *open_context(void) {
    clora_context *context;

    if (clora_context_create(&context, NULL) != CLORA_OK) {
        fprintf(stderr, "skipped: %s\n", clora_last_error());
        exit(SKIPPED);
    }
    return context;
}

static inline clora_model *open_model(clora_context *context) {
    clora_model *model;

    OK(clora_model_load(&model, context, fixture("tiny-llama"), NULL));
    return model;
}

#endif
