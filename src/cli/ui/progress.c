#include "cli/ui/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/ui/page.h"
#include "cli/ui/text.h"

enum { BAR = 24, LINE = 512 };

static const double redraw_seconds = 0.1;
static bool on_screen; /* a bar stands in the terminal's last line */

double progress_clock(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void put(const char *line, int columns) {
    fflush(stdout);
    fprintf(stderr, "\r\033[K%.*s", columns, line);
    fflush(stderr);
    on_screen = true;
}

void progress_phase(bool quiet, const char *format, ...) {
    char line[LINE];
    va_list args;

    if (quiet || !page_is_terminal(stderr))
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    put(line, page_columns(stderr) - 1);
}

void progress_begin(progress *p, int64_t total, int64_t done, bool quiet) {
    const double now = progress_clock();

    *p = (progress){
        .total = total > 0 ? total : 1, .shown = !quiet && page_is_terminal(stderr), .drawn = now, .base = done};
}

/* The time left, where it can be told. */
static void left_text(char out[LINE], const progress *p, int64_t done, double now) {
    out[0] = '\0';
    if (done > p->base && done < p->total)
        snprintf(out, LINE, "  %s left",
                 text_duration((now - p->base_time) / (double)(done - p->base) * (double)(p->total - done)));
}

/* Where the line is short the count goes, then the label's last fields; the time left stays. */
static void draw(const progress *p, int64_t done, const char *label, const char *left) {
    static const char hashes[] = "########################", dashes[] = "------------------------";
    const int columns = page_columns(stderr) - 1, bar = columns / 10 < BAR ? columns / 10 : BAR;
    const double share = (double)done / (double)p->total;
    const int filled = share >= 1 ? bar : (int)(share * bar), end = (int)strlen(left);
    char line[LINE], count[LINE / 4];

    snprintf(count, sizeof(count), " %s/%s", text_count(done), text_count(p->total));
    int used = snprintf(line, LINE, "%3d%% [%.*s%.*s]", (int)(share * 100), filled, hashes, bar - filled, dashes);
    if (!p->uncounted && used + (int)strlen(count) + end <= columns)
        used += snprintf(line + used, sizeof(line) - (size_t)used, "%s", count);
    const int fields = label ? page_fields(label, columns - used - end - 2) : 0;
    if (fields > 0)
        used += snprintf(line + used, sizeof(line) - (size_t)used, "  %.*s", fields, label);
    if (used < LINE)
        snprintf(line + used, sizeof(line) - (size_t)used, "%s", left);
    put(line, columns);
}

void progress_update(progress *p, int64_t done, const char *label) {
    const double now = progress_clock();
    char left[LINE];

    if (p->base_time == 0 && done > p->base) {
        p->base = done;
        p->base_time = now;
    }
    if (!p->shown || (on_screen && p->is_drawn && now - p->drawn < redraw_seconds))
        return;
    left_text(left, p, done, now);
    draw(p, done, label, left);
    p->is_drawn = true;
    p->drawn = now;
}

void progress_end(progress *p) {
    p->shown = false;
    progress_clear_all();
}

void progress_clear_all(void) {
    if (!on_screen)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    on_screen = false;
}

bool progress_is_due(double *last, double seconds) {
    const double now = progress_clock();

    if (now - *last < seconds)
        return false;
    *last = now;
    return true;
}
