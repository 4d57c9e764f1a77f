#ifndef CLORA_METHODS_TARGET_PATTERN_H
#define CLORA_METHODS_TARGET_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* A regular expression on module names, as Python's re would read it (PCRE2 with UTF and Unicode properties). */
typedef struct pattern pattern;

/* prefix and suffix are put around the text; key names the setting in errors. whole: only matches of whole names. */
clora_status pattern_create(pattern **out, const char *prefix, const char *text, const char *suffix, bool whole,
                            const char *key);
void pattern_free(pattern *p);

/* Whether the name matches from its first character on. */
clora_status pattern_match(bool *out, const pattern *p, const char *name);

/* The same; *begin and *end delimit the named group "idx" when the name matches. */
clora_status pattern_match_index(bool *out, size_t *begin, size_t *end, const pattern *p, const char *name);

#endif
