#include "cli/ui/text.h"

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

enum { COUNT_ROOM = 40 };

static void put_count(char out[COUNT_ROOM], int64_t count) {
    char digits[32];
    const int length = snprintf(digits, sizeof(digits), "%lld", (long long)count);
    const int sign = digits[0] == '-';
    int at = 0;

    for (int i = 0; i < length; i++) {
        if (i > sign && (length - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

const char *text_count(int64_t count) {
    char *out = next_buffer();

    put_count(out, count);
    return out;
}

const char *text_amount(int64_t count, const char *one, const char *many) {
    char number[COUNT_ROOM];
    char *out = next_buffer();

    put_count(number, count);
    snprintf(out, ROOM, "%s %s", number, count == 1 ? one : many);
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

static int decimals(double size) {
    if (size >= 1000)
        return 0;
    if (size >= 10)
        return size >= 100 ? 1 : 2;
    return size >= 0.1 || size == 0 ? 4 : 5;
}

const char *text_number(double value) {
    char *out = next_buffer();
    const double size = fabs(value);

    if (size == 0 || (size >= 0.001 && size < 1e6))
        snprintf(out, ROOM, "%.*f", decimals(size), value);
    else
        snprintf(out, ROOM, "%.3g", value);
    return out;
}

const char *text_rate(double count, double seconds) {
    char *out = next_buffer();
    const double rate = seconds > 0 ? count / seconds : 0;

    if (rate < 9.95 || rate > 1e15) {
        snprintf(out, ROOM, rate < 9.95 ? "%.1f" : "%.3g", rate);
        return out;
    }
    return text_count(llround(rate));
}

static int is_head(const char *name, size_t length) {
    return (length == 10 && strncmp(name, "classifier", length) == 0) ||
           (length == 5 && strncmp(name, "score", length) == 0);
}

const char *text_copies(const char *modules_to_save) {
    char *out = next_buffer();
    size_t used = 0;

    out[0] = '\0';
    for (const char *name = modules_to_save; name && *name;) {
        const size_t length = strcspn(name, ",");
        if (!is_head(name, length) && used + length + 2 < ROOM)
            used += (size_t)snprintf(out + used, ROOM - used, "%s%.*s", used ? "," : "", (int)length, name);
        name += length + (name[length] == ',');
    }
    return out;
}
