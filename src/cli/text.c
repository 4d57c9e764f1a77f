#include "cli/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { RING = 16, ROOM = 80 };

static char *next_buffer(void) {
    static char ring[RING][ROOM];
    static int turn;

    turn = (turn + 1) % RING;
    return ring[turn];
}

const char *text_bytes(uint64_t bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    char *out = next_buffer();
    double value = (double)bytes;
    int unit = 0;

    while (value >= 1023.95 && unit < 6) { /* what would be printed as 1024.0 */
        value /= 1024;
        unit++;
    }
    snprintf(out, ROOM, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

const char *text_count(int64_t count) {
    char digits[32];
    char *out = next_buffer();
    const int length = snprintf(digits, sizeof(digits), "%lld", (long long)count);
    const int sign = digits[0] == '-';
    int at = 0;

    for (int i = 0; i < length; i++) {
        if (i > sign && (length - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *text_amount(int64_t count, const char *one, const char *many) {
    char *out = next_buffer();

    snprintf(out, ROOM, "%s %s", text_count(count), count == 1 ? one : many);
    return out;
}

const char *text_duration(double seconds) {
    char *out = next_buffer();

    if (!(seconds >= 0) || seconds > 1e9)
        snprintf(out, ROOM, "?");
    else if (seconds < 9.95)
        snprintf(out, ROOM, "%.1f s", seconds);
    else if (seconds < 59.5)
        snprintf(out, ROOM, "%.0f s", seconds);
    else {
        const long long whole = llround(seconds);
        if (whole < 3600)
            snprintf(out, ROOM, "%lld:%02lld", whole / 60, whole % 60);
        else
            snprintf(out, ROOM, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
    }
    return out;
}

const char *text_percent(double part, double whole) {
    char *out = next_buffer();
    const double share = whole > 0 ? 100 * part / whole : 0;

    snprintf(out, ROOM, share > 0 && share < 0.095 ? "%.3f %%" : share < 9.95 ? "%.2f %%" : "%.1f %%", share);
    return out;
}

const char *text_number(double value) {
    char *out = next_buffer();
    const double size = fabs(value);

    if (size == 0 || (size >= 0.001 && size < 100000))
        snprintf(out, ROOM, "%.*f",
                 size >= 1000               ? 1
                 : size >= 100              ? 2
                 : size >= 10               ? 3
                 : size >= 0.1 || size == 0 ? 4
                                            : 5,
                 value);
    else
        snprintf(out, ROOM, "%.3g", value);
    return out;
}
