#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options/opt.h"
#include "cli/ui/page.h"

enum { INDENT = 2, COLUMN = 29, TEXT_ROOM = 1024 };

void opt_print_heading(const char *heading) {
    printf(page_has_colours(stdout) ? "\033[1m%s\033[0m\n" : "%s\n", heading);
}

/* Folded as the shell reads it on: before an option, after a backslash. */
void opt_print_example(const char *example) {
    int at = printf("  ");

    while (*example) {
        const char *next = strstr(example + 1, " --");
        const int length = next ? (int)(next - example) : (int)strlen(example);
        if (at > INDENT && at + length > page_width(stdout) - 2)
            at = printf(" \\\n     ") - 3;
        at += printf("%.*s", length, example);
        example += length;
    }
    printf("\n");
}

void opt_standard_text(char *out, size_t room, const opt *o, const void *values) {
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
    char standard[128], text[TEXT_ROOM], left[64], line[TEXT_ROOM + 128];

    opt_standard_text(standard, sizeof(standard), o, values);
    if (o->flags & OPT_REQUIRED)
        snprintf(text, sizeof(text), "%s (required)", o->help);
    else if (*standard)
        snprintf(text, sizeof(text), "%s (default: %s)", o->help, standard);
    else
        snprintf(text, sizeof(text), "%s", o->help);
    const int at = INDENT + snprintf(left, sizeof(left), named, o->name, o->value);
    const bool beside = at <= COLUMN - 2;
    snprintf(line, sizeof(line), "%*s%s%s%*s%s\n", INDENT, "", left, beside ? "" : "\n", beside ? COLUMN - at : COLUMN,
             "", text);
    page_fold(stdout, line, COLUMN);
}

void opt_print_help(const cli_state *cli, const opt_group *groups, int group_count) {
    const command *c = cli->command;
    char usage[256];

    snprintf(usage, sizeof(usage), "Usage: clora %s %s\n\n", c->name, c->usage);
    page_fold(stdout, usage, 9);
    page_fold(stdout, c->about, 0);
    printf("\n");
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
    opt_print_example(c->example);
}
