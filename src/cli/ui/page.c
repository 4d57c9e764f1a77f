#include "cli/ui/page.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { USUAL = 80, NARROWEST = 40, WIDEST = 100 };

int page_columns(FILE *out) {
    struct winsize size;

    return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : USUAL;
}

int page_width(FILE *out) {
    const int columns = isatty(fileno(out)) ? page_columns(out) : USUAL;

    return columns < NARROWEST ? NARROWEST : columns > WIDEST ? WIDEST : columns;
}

bool page_is_terminal(FILE *out) {
    const char *term = getenv("TERM");

    return isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

bool page_has_colours(FILE *out) {
    const char *plain = getenv("NO_COLOR");

    return page_is_terminal(out) && !(plain && *plain);
}

/* Of UTF-8: its continuation bytes take none. */
static int columns_of(const char *text, int bytes) {
    int columns = 0;

    for (int i = 0; i < bytes; i++)
        columns += ((unsigned char)text[i] & 0xc0) != 0x80;
    return columns;
}

/* Bytes up to the next place where a line may end: a blank, or in what fits on no line its last comma that does. */
static int piece_of(const char *line, int length, int room) {
    const char *blank = memchr(line, ' ', (size_t)length);
    const int word = blank ? (int)(blank - line) : length;
    int comma = 0;

    if (columns_of(line, word) <= room)
        return word;
    for (int i = 0; i < word && columns_of(line, i + 1) <= room; i++)
        if (line[i] == ',')
            comma = i + 1;
    return comma ? comma : word;
}

static void fold_line(FILE *out, const char *line, int length, int indent, int width) {
    for (int at = 0, first = 1; length > 0; first = 0) {
        int blanks = 0;
        while (blanks < length && line[blanks] == ' ')
            blanks++;
        const int piece = piece_of(line + blanks, length - blanks, width - indent);
        const int columns = columns_of(line + blanks, piece);
        if (!first && at + blanks + columns > width) {
            fprintf(out, "\n%*s", indent, "");
            at = indent;
        } else {
            fprintf(out, "%*s", blanks, "");
            at += blanks;
        }
        fwrite(line + blanks, 1, (size_t)piece, out);
        at += columns;
        line += blanks + piece;
        length -= blanks + piece;
    }
}

void page_fold(FILE *out, const char *text, int indent) {
    const int width = page_width(out);

    while (*text) {
        const int length = (int)strcspn(text, "\n");
        fold_line(out, text, length, indent, width);
        text += length;
        if (*text == '\n')
            fputc(*text++, out);
    }
}

int page_fields(const char *line, int columns) {
    int fits = 0;

    for (const char *field = line; *field;) {
        const char *gap = strstr(field, "  ");
        const int end = gap ? (int)(gap - line) : (int)strlen(line);
        if (columns_of(line, end) > columns)
            break;
        fits = end;
        field = gap ? gap + strspn(gap, " ") : line + end;
    }
    return fits;
}

FILE *page_begin(page *p, FILE *out, int indent) {
    *p = (page){.out = out, .indent = indent};
    p->lines = open_memstream(&p->text, &p->size);
    return p->lines ? p->lines : out;
}

static bool lost;

bool page_was_lost(void) {
    return lost;
}

void page_end(page *p) {
    if (!p->lines)
        return;
    if (fflush(p->lines) == 0 && !ferror(p->lines))
        page_fold(p->out, p->text, p->indent);
    else
        lost = true;
    (void)fclose(p->lines); /* all of it is in p->text */
    free(p->text);
    *p = (page){.out = p->out};
}
