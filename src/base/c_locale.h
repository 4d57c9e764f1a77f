#ifndef CLORA_BASE_C_LOCALE_H
#define CLORA_BASE_C_LOCALE_H

#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * The program around the library may have set a locale in which 2.5 is written 2,5 and I is no capital of i. What the
 * library reads and writes, its messages too, is in the locale "C".
 */
locale_t c_locale(void); /* for functions that take one: strcasecmp_l */

/* For those that do not: this thread's locale is "C" from enter to leave. */
locale_t c_locale_enter(void);
void c_locale_leave(locale_t before);

/* Does a name end so, in capitals or not? */
bool c_locale_ends_with(const char *name, const char *ending);

/* strtod and vsnprintf there. */
double c_locale_number(const char *text, char **end);
int c_locale_format(char *out, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#endif
