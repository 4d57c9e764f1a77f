#include "cli/ui/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/ui/text.h"

enum { BAR = 24, LINE = 512 };

static const double redraw_seconds = 0.1;
static bool on_screen; /* a bar stands in the terminal's last line */

double progress_clock(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static int terminal_columns(void) {
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

static bool can_draw(void) {
    const char *term = getenv("TERM");

    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

void progress_begin(progress *p, int64_t total, int64_t done, bool quiet) {
    const double now = progress_clock();

    *p = (progress){.total = total > 0 ? total : 1, .shown = !quiet && can_draw(), .drawn = now, .base = done};
}

void progress_update(progress *p, int64_t done, const char *label) {
    const double now = progress_clock();
    char bar[BAR + 1], line[LINE];

    if (p->base_time == 0 && done > p->base) {
        p->base = done;
        p->base_time = now;
    }
    if (!p->shown || (on_screen && now - p->drawn < redraw_seconds))
        return;
    const double share = (double)done / (double)p->total;
    const int filled = share >= 1 ? BAR : (int)(share * BAR);
    memset(bar, '-', BAR);
    memset(bar, '#', (size_t)filled);
    bar[BAR] = '\0';
    int used = snprintf(line, sizeof(line), "%3d%% [%s] %s/%s", (int)(share * 100), bar, text_count(done),
                        text_count(p->total));
    if (label && *label)
        used += snprintf(line + used, sizeof(line) - (size_t)used, "  %s", label);
    if (done > p->base && done < p->total && used < LINE)
        snprintf(line + used, sizeof(line) - (size_t)used, "  %s left",
                 text_duration((now - p->base_time) / (double)(done - p->base) * (double)(p->total - done)));
    fflush(stdout);
    fprintf(stderr, "\r\033[K%.*s", terminal_columns() - 1, line);
    fflush(stderr);
    on_screen = true;
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
