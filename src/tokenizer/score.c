#include "tokenizer/score.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/c_locale.h"

#define LARGEST_POWER 308

/* The number of fewest digits, 15 to 17, that is read as this one: the way programs write it. */
static void write_shortest(char text[32], double value) {
    const locale_t before = c_locale_enter();

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, 32, "%.*e", digits - 1, value);
        if (c_locale_number(text, NULL) == value)
            break;
    }
    c_locale_leave(before);
}

/* "d.ddde-xx" as digits * 10^power, without zeros at the end. */
static uint64_t read_digits(const char *text, int *power) {
    uint64_t digits = 0;

    *power = 0;
    for (int behind = 0; *text != 'e'; text++) {
        if (*text == '.')
            behind = 1;
        else
            digits = digits * 10 + (uint64_t)(*text - '0');
        *power -= *text != '.' && behind;
    }
    *power += atoi(text + 1);
    for (; digits > 0 && digits % 10 == 0; digits /= 10)
        ++*power;
    return digits;
}

/* pow() is not exact beyond 1e22. */
static double power_of_ten(int power) {
    char text[16];

    snprintf(text, sizeof(text), "1e%d", power);
    return c_locale_number(text, NULL);
}

double score_read(double exact) {
    char text[32];
    int power;

    write_shortest(text, fabs(exact));
    double value = (double)read_digits(text, &power);
    if (power > 0)
        value *= power_of_ten(power);
    for (; power < 0; power += LARGEST_POWER)
        value /= power_of_ten(-power < LARGEST_POWER ? -power : LARGEST_POWER);
    return exact < 0 ? -value : value;
}
