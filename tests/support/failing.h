#ifndef CLORA_TESTS_FAILING_H
#define CLORA_TESTS_FAILING_H

#include <stdbool.h>

/*
 * Calls that fail when told to: allocations (failing_memory.c), OpenCL (failing_opencl.c) and files (failing_files.c).
 * A test says which with failing_from(); in a whole command, the environment does: CLORA_FAIL=KIND:N fails call N (from
 * 0) of a kind, CLORA_FAIL=KIND:N+ that one and all later ones, CLORA_FAIL=KIND:N! kills the process (SIGKILL) in its
 * place. A kind is "memory", "json", "opencl", "file" or the name of one function. When the program ends,
 * CLORA_FAIL_REPORT=FILE gets a line "FUNCTION COUNT" for each function of the kind that was called.
 * With CLORA_FAIL_HANGS=1 a call that must fail never comes back instead.
 */

/* From now on call `at` of a kind fails, counted from 0; with `on`, all later ones too. kind NULL: none fails. */
void failing_from(const char *kind, long at, bool on);

/* Calls of the kind since failing_from. */
long failing_count(void);

/* For the modules that fail: is this call of `function`, of that kind, one that must? */
bool failing_now(const char *kind, const char *function);

#endif
