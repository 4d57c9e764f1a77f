#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/options/opt.h"

enum { INDENT = 2, COLUMN = 29, NARROWEST = 64, PIPED = 88, WIDEST = 96, TEXT_ROOM = 1024 };

static int page_width(void) {
    struct winsize size;

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return PIPED;
    return size.ws_col < NARROWEST ? NARROWEST : size.ws_col > WIDEST ? WIDEST : size.ws_col;
}

void opt_print_heading(const char *heading) {
    const char *term = getenv("TERM");
    const bool bold = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0 && !getenv("NO_COLOR");

    printf(bold ? "\033[1m%s\033[0m\n" : "%s\n", heading);
}

/* Words from column `at` on, later lines indented. A word is never broken. */
static void fill(const char *text, int at, int indent) {
    const int width = page_width();
    bool first = true;

    while (*text) {
        text += strspn(text, " ");
        const int length = (int)strcspn(text, " \n");
        if (!first && at + 1 + length > width) {
            printf("\n%*s", indent, "");
            at = indent;
            first = true;
        }
        if (length > 0) {
            printf(first ? "%.*s" : " %.*s", length, text);
            at += length + !first;
            first = false;
        }
        text += length;
        if (*text == '\n') {
            printf("\n");
            text++;
            if (*text && *text != '\n')
                printf("%*s", indent, "");
            at = indent;
            first = true;
        }
    }
    printf("\n");
}

void opt_print_filled(const char *text, int indent) {
    printf("%*s", indent, "");
    fill(text, indent, indent);
}

/* What the option does when it is not given, read from the field that parsing has not touched yet. */
static void standard_text(char *out, size_t room, const opt *o, const void *values) {
    out[0] = '\0';
    if (o->standard) {
        snprintf(out, room, "%s", o->standard);
        return;
    }
    if (o->type != OPT_SET && o->type != OPT_CLEAR)
        opt_value_text(out, room, o, values);
}

static void print_option(const opt *o, const void *values) {
    const char *named = !o->value ? "--%s" : o->flags & OPT_ALONE ? "--%s [%s]" : "--%s %s";
    char standard[128], text[TEXT_ROOM], left[64];

    standard_text(standard, sizeof(standard), o, values);
    if (o->flags & OPT_REQUIRED)
        snprintf(text, sizeof(text), "%s (required)", o->help);
    else if (*standard)
        snprintf(text, sizeof(text), "%s (default: %s)", o->help, standard);
    else
        snprintf(text, sizeof(text), "%s", o->help);
    int at = INDENT + snprintf(left, sizeof(left), named, o->name, o->value);
    printf("%*s%s", INDENT, "", left);
    if (at > COLUMN - 2) {
        printf("\n");
        at = 0;
    }
    printf("%*s", COLUMN - at, "");
    fill(text, COLUMN, COLUMN);
}

void opt_print_help(const cli_state *cli, const opt_group *groups, int group_count) {
    const command *c = cli->command;

    printf("Usage: clora %s %s\n\n", c->name, c->usage);
    opt_print_filled(c->about, 0);
    for (int g = 0; g < group_count; g++) {
        if (!groups[g].options[0].name)
            continue;
        printf("\n");
        opt_print_heading(groups[g].heading);
        for (int i = 0; groups[g].options[i].name; i++)
            print_option(&groups[g].options[i], groups[g].values);
    }
    printf("\n");
    opt_print_heading("Example");
    printf("  %s\n", c->example);
}
