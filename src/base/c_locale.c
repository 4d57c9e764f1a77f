#include "base/c_locale.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static locale_t made;

static void make(void) {
    made = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

locale_t c_locale(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make);
    return made;
}

locale_t c_locale_enter(void) {
    return uselocale(c_locale());
}

void c_locale_leave(locale_t before) {
    uselocale(before);
}

bool c_locale_ends_with(const char *name, const char *ending) {
    const size_t n = strlen(name), m = strlen(ending);

    return n >= m && strcasecmp_l(name + n - m, ending, c_locale()) == 0;
}

double c_locale_number(const char *text, char **end) {
    const locale_t before = c_locale_enter();
    const double value = strtod(text, end);

    c_locale_leave(before);
    return value;
}

int c_locale_format(char *out, size_t size, const char *format, va_list args) {
    const locale_t before = c_locale_enter();
    const int n = vsnprintf(out, size, format, args);

    c_locale_leave(before);
    return n;
}
