#include "cli/options/opt_value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/ui/suggest.h"

/* "at least 1", "above 0 and at most 5"; the ends of an open range are infinite. */
static void range_text(char *out, size_t room, const opt *o) {
    int used = 0;

    out[0] = '\0';
    if (isfinite(o->low))
        used = snprintf(out, room, "%s %.10g", o->flags & OPT_ABOVE ? "above" : "at least", o->low);
    if (isfinite(o->high))
        snprintf(out + used, room - (size_t)used, "%s%s %.10g", used ? " and " : "",
                 o->flags & OPT_BELOW ? "below" : "at most", o->high);
}

static bool in_range(const opt *o, double value) {
    const bool low = o->flags & OPT_ABOVE ? value > o->low : value >= o->low;
    const bool high = o->flags & OPT_BELOW ? value < o->high : value <= o->high;
    return low && high;
}

static int out_of_range(const cli_state *cli, const opt *o, const char *text) {
    char range[96];

    range_text(range, sizeof(range), o);
    return cli_misuse(cli, "--%s %s: must be %s", o->name, text, range);
}

static int store_int(const cli_state *cli, const opt *o, int *field, const char *text) {
    char *end = NULL;
    const char *digits = text + (*text == '-' || *text == '+');

    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (!isdigit((unsigned char)*digits) || *end != '\0')
        return cli_misuse(cli, "--%s '%s': not a whole number", o->name, text);
    if (errno == ERANGE || !in_range(o, (double)value))
        return out_of_range(cli, o, text);
    *field = (int)value;
    return OPT_GO_ON;
}

static int store_seed(const cli_state *cli, const opt *o, uint64_t *field, const char *text) {
    char *end = NULL;

    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end != '\0')
        return cli_misuse(cli, "--%s '%s': not a whole number from 0 on", o->name, text);
    if (errno == ERANGE)
        return cli_misuse(cli, "--%s %s: must be at most 18446744073709551615", o->name, text);
    *field = value;
    return OPT_GO_ON;
}

/* Bytes of a unit; 0 where there is no such unit. One letter means a power of 1024, as for other programs' limits. */
static double unit_of(const char *text) {
    static const char letters[] = "KMGTP";
    const char *letter = strchr(letters, toupper((unsigned char)*text));
    const int power = letter && *text ? (int)(letter - letters) + 1 : 0;

    if (*text == '\0' || strcasecmp(text, "B") == 0)
        return 1.0;
    if (power > 0 && (text[1] == '\0' || strcasecmp(text + 1, "iB") == 0))
        return pow(1024.0, power);
    return power > 0 && strcasecmp(text + 1, "B") == 0 ? pow(1000.0, power) : 0.0;
}

static int store_bytes(const cli_state *cli, const opt *o, uint64_t *field, const char *text) {
    const size_t digits = strspn(text, "0123456789.");
    char *end = NULL;
    const double number = strtod(text, &end), bytes = number * unit_of(text + digits);

    if (digits == 0 || end != text + digits || unit_of(end) == 0.0)
        return cli_misuse(cli, "--%s '%s': not a size such as 2GiB or 500MB", o->name, text);
    if (!(bytes >= 1.0 && bytes < 0x1p63))
        return cli_misuse(cli, "--%s %s: must be at least 1 byte and at most 8 EiB", o->name, text);
    *field = (uint64_t)bytes;
    return OPT_GO_ON;
}

/* Decimal notation only: strtod alone would also take "nan", "infinity", "0x1p3" and leading blanks. */
static int store_real(const cli_state *cli, const opt *o, void *field, const char *text) {
    char *end = NULL;
    const double value = strtod(text, &end);

    if (*text == '\0' || *end != '\0' || text[strspn(text, "+-.0123456789eE")] != '\0')
        return cli_misuse(cli, "--%s '%s': not a number", o->name, text);
    if (!isfinite(value) || !in_range(o, value))
        return out_of_range(cli, o, text);
    if (o->type == OPT_DOUBLE) {
        *(double *)field = value;
        return OPT_GO_ON;
    }
    const float narrow = (float)value;
    if (!isfinite(narrow) || (narrow == 0 && value != 0))
        return cli_misuse(cli, "--%s %s: beyond what single precision holds", o->name, text);
    if (!in_range(o, (double)narrow)) /* such as 0.99999999999, which rounds to an end that is out */
        return out_of_range(cli, o, text);
    *(float *)field = narrow;
    return OPT_GO_ON;
}

static int store_choice(const cli_state *cli, const opt *o, int *field, const char *text) {
    suggestion near = {.word = text};
    char all[256];
    size_t used = 0;

    all[0] = '\0';
    for (int i = 0; o->choices[i]; i++) {
        if (strcmp(o->choices[i], text) == 0) {
            *field = i;
            return OPT_GO_ON;
        }
        suggest_offer(&near, o->choices[i]);
        used += (size_t)snprintf(all + used, sizeof(all) - used, "%s%s",
                                 i == 0               ? ""
                                 : !o->choices[i + 1] ? " or "
                                                      : ", ",
                                 o->choices[i]);
    }
    if (near.best)
        return cli_misuse(cli, "--%s '%s': must be %s; did you mean '%s'?", o->name, text, all, near.best);
    return cli_misuse(cli, "--%s '%s': must be %s", o->name, text, all);
}

int opt_store(const cli_state *cli, const opt *o, void *values, const char *text) {
    void *field = (char *)values + o->offset;

    if ((o->type == OPT_PATH || o->type == OPT_PATHS) && *text == '\0')
        return cli_misuse(cli, "--%s needs a value: it is empty", o->name);
    switch (o->type) {
    case OPT_SET: *(int *)field = 1; return OPT_GO_ON;
    case OPT_CLEAR: *(int *)field = 0; return OPT_GO_ON;
    case OPT_INT: return store_int(cli, o, field, text);
    case OPT_FLOAT:
    case OPT_DOUBLE: return store_real(cli, o, field, text);
    case OPT_SEED: return store_seed(cli, o, field, text);
    case OPT_BYTES: return store_bytes(cli, o, field, text);
    case OPT_PATH:
    case OPT_TEXT: *(const char **)field = text; return OPT_GO_ON;
    case OPT_CHOICE: return store_choice(cli, o, field, text);
    case OPT_HELP: return OPT_GO_ON;
    case OPT_LIST:
    case OPT_PATHS: break;
    }
    opt_list *list = field;
    if (list->count == OPT_LIST_MAX)
        return cli_misuse(cli, "--%s is given more than %d times", o->name, OPT_LIST_MAX);
    list->items[list->count++] = text;
    return OPT_GO_ON;
}

bool opt_value_text(char *out, size_t room, const opt *o, const void *values) {
    const void *field = (const char *)values + o->offset;

    out[0] = '\0';
    switch (o->type) {
    case OPT_SET:
    case OPT_CLEAR:
    case OPT_INT: snprintf(out, room, "%d", *(const int *)field); return true;
    case OPT_FLOAT: snprintf(out, room, "%.6g", (double)*(const float *)field); return true;
    case OPT_DOUBLE: snprintf(out, room, "%.6g", *(const double *)field); return true;
    case OPT_SEED: snprintf(out, room, "%llu", (unsigned long long)*(const uint64_t *)field); return true;
    case OPT_BYTES:
        if (*(const uint64_t *)field)
            snprintf(out, room, "%llu", (unsigned long long)*(const uint64_t *)field);
        return true;
    case OPT_CHOICE: snprintf(out, room, "%s", o->choices[*(const int *)field]); return true;
    case OPT_PATH:
    case OPT_TEXT:
        snprintf(out, room, "%s", *(const char *const *)field ? *(const char *const *)field : "");
        return true;
    case OPT_LIST:
    case OPT_PATHS:
    case OPT_HELP: break;
    }
    return false;
}
