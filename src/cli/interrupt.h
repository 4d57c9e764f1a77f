#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/*
 * From here on Ctrl-C (SIGINT), SIGTERM and SIGHUP only raise a flag and print `notice`; the same signal once more ends
 * the program at once. A signal that the caller ignores (nohup) stays ignored.
 */
void interrupt_watch(const char *notice);

bool interrupt_seen(void);

#endif
