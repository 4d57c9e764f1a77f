#include "cli/inputs/input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_ROOM = 4096 };

static const size_t most = (size_t)1 << 30; /* a prompt beyond this is a mistake, not a prompt */

static int read_all(const cli_state *cli, char **text, size_t *size, FILE *stream, const char *name) {
    size_t room = FIRST_ROOM, used = 0;
    char *data = malloc(room);

    *text = NULL;
    *size = 0;
    while (data) {
        errno = 0;
        used += fread(data + used, 1, room - used - 1, stream);
        if (ferror(stream)) {
            const int why = errno;
            free(data);
            return cli_fail(cli, "cannot read %s: %s", name, why ? strerror(why) : "a read failed");
        }
        if (feof(stream)) {
            data[used] = '\0';
            *text = data;
            *size = used;
            return CLI_DONE;
        }
        if (room - used > 1)
            continue;
        if (room >= most) {
            free(data);
            return cli_fail(cli, "%s is longer than 1 GiB", name);
        }
        room *= 2;
        char *larger = realloc(data, room);
        if (!larger)
            free(data);
        data = larger;
    }
    return cli_fail(cli, "no memory for %s", name);
}

int input_read_standard(const cli_state *cli, char **text, size_t *size, const char *what) {
    if (isatty(STDIN_FILENO))
        cli_note(cli, "reading %s from the terminal; end it with Ctrl-D on an empty line", what);
    return read_all(cli, text, size, stdin, "standard input");
}
