#ifndef CLORA_TOKENIZER_COMPONENTS_H
#define CLORA_TOKENIZER_COMPONENTS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/status.h"

/* Keys that must be there. `where` names the file and the component in the message. */
clora_status component_bool(bool *out, const json_t *component, const char *key, const char *where);
clora_status component_size(size_t *out, const json_t *component, const char *key, const char *where);
clora_status component_string(const char **out, size_t *size, const json_t *component, const char *key,
                              const char *where);
clora_status component_character(uint32_t *out, const json_t *component, const char *key, const char *where);

/*
 * Lay a component flat: visit it, or the members of a "Sequence" (under `key`), also of sequences inside sequences, one
 * after the other. Nothing is visited for null.
 */
typedef clora_status (*component_visit)(void *user, const json_t *component, const char *type, const char *where);
clora_status component_each(const json_t *component, const char *key, const char *where, component_visit visit,
                            void *user);

#endif
