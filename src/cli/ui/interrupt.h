#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/*
 * First of all, before a driver is loaded. What the caller ignores (nohup, a script's background job) stays ignored,
 * whatever handlers a driver installs over that. Ctrl-C (SIGINT), SIGTERM and SIGHUP end the program at once, with 128
 * plus the signal's number as exit status. Writing to a pipe that nobody reads, or beyond the limit on file sizes, is
 * an error of that write and no signal.
 */
void interrupt_begin(void);

/* An empty file that goes when a signal ends the program before the run begins; borrowed. */
void interrupt_discard(const char *file);

/* Between these two a signal waits, while what is made is taken away again. Before the program has a second thread. */
void interrupt_hold(void);
void interrupt_let(void);

/*
 * The run begins: from here on a signal only raises a flag and prints `notice`; one more ends the program at once.
 * To be called after the driver is loaded, whose handlers this replaces.
 */
void interrupt_watch(const char *notice);

bool interrupt_seen(void);
int interrupt_status(void); /* the exit status of a command that ended early because of it */

#endif
