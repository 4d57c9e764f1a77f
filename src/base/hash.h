#ifndef CLORA_BASE_HASH_H
#define CLORA_BASE_HASH_H

#include <stdint.h>

/*
 * A number from the operating system, another one at each call. Tables of what a file holds hash with it: a file's
 * author cannot make everything fall into one place. Nothing that is computed may depend on it.
 */
uint64_t hash_seed(void);

#endif
