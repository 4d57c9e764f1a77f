#ifndef CLI_ALIASES_H
#define CLI_ALIASES_H

#include <stdbool.h>

/* A name that another tool has for an option of ours. */
typedef struct alias {
    const char *name; /* without the dashes */
    const char *ours;
    bool same; /* the same meaning and unit, so that it is taken; else it is only suggested */
} alias;

/* All of them, ends with a NULL name. A name may stand for several options: the first that the command has counts. */
extern const alias aliases[];

#endif
