#include "cli/ui/gnuplot.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

enum { NO_SUCH_PROGRAM = 127 };

FILE *gnuplot_open(const cli_state *cli, const char *out, int width, int height) {
    const size_t n = out ? strlen(out) : 0;

    if (out && strpbrk(out, "'\n")) {
        cli_fail(cli, "%s: a quote or a line's end cannot be in the name of a picture", out);
        return NULL;
    }
    fflush(stdout);
    FILE *script = popen("command -v gnuplot >/dev/null 2>&1 || exit 127; exec gnuplot", "w");
    if (!script) {
        cli_fail(cli, "cannot start gnuplot: %s", strerror(errno));
        return NULL;
    }
    if (!out)
        fprintf(script, "set terminal dumb %d,%d\n", width, height);
    else if (n > 4 && strcmp(out + n - 4, ".png") == 0)
        fprintf(script, "set terminal pngcairo size %d,%d\nset output '%s'\n", width, height, out);
    else
        fprintf(script, "set terminal svg size %d,%d dynamic\nset output '%s'\n", width, height, out);
    return script;
}

int gnuplot_close(const cli_state *cli, FILE *script, const char *out) {
    const int ended = pclose(script);

    if (ended == 0)
        return CLI_DONE;
    if (ended != -1 && WIFEXITED(ended) && WEXITSTATUS(ended) == NO_SUCH_PROGRAM)
        return cli_fail(cli, "gnuplot is needed to draw and is not installed (Debian: apt install gnuplot-nox)");
    return cli_fail(cli, "gnuplot could not draw %s", out ? out : "to the terminal");
}

void gnuplot_title(FILE *script, const char *text) {
    fputs("title '", script);
    for (; *text; text++)
        fputc(*text == '\'' || (unsigned char)*text < ' ' ? '?' : *text, script);
    fputs("' noenhanced", script);
}
