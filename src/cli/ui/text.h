#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdint.h>

/*
 * Numbers for people. The text lies in a small ring of buffers that this module owns: good for the arguments of one
 * printf, not to be kept.
 */
const char *text_bytes(uint64_t bytes);                                    /* "6.4 MiB" */
const char *text_count(int64_t count);                                     /* "134,515,008" */
const char *text_amount(int64_t count, const char *one, const char *many); /* "1 pair", "1,024 pairs" */
const char *text_duration(double seconds);                                 /* "0.8 s", "12 s", "3:05", "1:02:45" */
const char *text_percent(double part, double whole);                       /* "0.36 %" */
const char *text_number(double value); /* as many digits as a loss needs: "0.0123", "4.4989", "89.92", "1204" */
const char *text_rate(double count, double seconds); /* a second: "2.5", "1,234" */

/* Of the modules of which an adapter has copies, those that are the model's own: the head of labels is named among them
 * too. Cut off where it is long. */
const char *text_copies(const char *modules_to_save);

#endif
