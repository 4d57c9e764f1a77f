#ifndef CLORA_BASE_NOTE_H
#define CLORA_BASE_NOTE_H

/* One line for a person about what was done besides the work; goes to the callback of clora_set_note(). */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
