#ifndef CLORA_BENCH_WORDS_H
#define CLORA_BENCH_WORDS_H

#include "operations.h"

/* Words of a command line. What is wrong ends the program with one line and status 2. */

_Noreturn void bench_misuse(const char *what, const char *value);

/* A number that ends with the text or before one of these characters; `whole` is what the user wrote. */
int bench_number(const char *text, const char *ends, const char *whole);

/* What follows the next comma, or NULL. */
const char *bench_next_part(const char *text);

/* Numbers from 1 with commas between them. */
void bench_read_numbers(bench_list *out, const char *text);

/* A number from 1. */
int bench_count(const char *text);

/* A type of weights, in so many letters. */
clora_storage bench_read_dtype(const char *name, size_t length);

#endif
