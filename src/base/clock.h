#ifndef CLORA_BASE_CLOCK_H
#define CLORA_BASE_CLOCK_H

/* Seconds of a clock that nobody sets: only differences mean something. */
double clock_seconds(void);

#endif
