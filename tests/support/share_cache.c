/*
 * Loaded before all tests that use a device, so that tests that run at once can share PoCL's kernel cache.
 *
 * PoCL before 6.0 replaces a program that another process has just put there by removing the file and renaming its own
 * to that name (https://github.com/pocl/pocl/issues/1480): whoever looks in between finds nothing, and its build fails
 * or aborts. The rename replaces the file by itself, at no moment missing; so the removal is left out.
 *
 * Where no test is content with a sample, none is content with kernels that are compiled without the optimiser either.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *text, const char *end) {
    const size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

int remove(const char *path) {
    int (*next)(const char *) = NULL;

    if (ends_with(path, "/program.bc"))
        return 0;
    *(void **)&next = dlsym(RTLD_NEXT, "remove");
    return next ? next(path) : -1;
}

__attribute__((constructor)) static void optimise(void) {
    if (getenv("CLORA_TEST_LONG"))
        unsetenv("POCL_EXTRA_BUILD_FLAGS");
}
