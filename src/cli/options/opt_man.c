#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <clora/version.h>

#include "cli/options/opt.h"

/* The manual page of a command, made from what makes its help. */

/* Text as roff takes it: a dash is one that can be copied, and no line of it is a request. */
static void put(const char *text, int length) {
    if (length > 0 && (*text == '.' || *text == '\''))
        printf("\\&");
    for (int i = 0; i < length; i++)
        switch (text[i]) {
        case '-': printf("\\-"); break;
        case '\'': printf("\\(aq"); break;
        case '\\': printf("\\e"); break;
        default: putchar(text[i]);
        }
}

static void put_text(const char *text) {
    put(text, (int)strlen(text));
}

/* Paragraphs, parted by empty lines. */
static void put_paragraphs(const char *text) {
    while (*text) {
        const char *end = strstr(text, "\n\n");
        put(text, end ? (int)(end - text) : (int)strlen(text));
        printf(end ? "\n.PP\n" : "\n");
        text = end ? end + 2 : text + strlen(text);
    }
}

/* "tune-show" of "tune show", as pages are called. */
static void put_name(const char *name, bool capitals) {
    for (; *name; name++)
        printf(*name == ' ' ? "\\-" : "%c", capitals ? toupper(*name) : *name);
}

static void put_option(const opt *o, const void *values) {
    char standard[128];

    printf(".TP\n\\fB\\-\\-");
    put_text(o->name);
    printf("\\fR");
    if (o->value) {
        printf(o->flags & OPT_ALONE ? " [\\fI" : " \\fI");
        put_text(o->value);
        printf(o->flags & OPT_ALONE ? "\\fR]" : "\\fR");
    }
    printf("\n");
    put_text(o->help);
    opt_standard_text(standard, sizeof(standard), o, values);
    if (o->flags & OPT_REQUIRED)
        printf(" (required)");
    else if (*standard) {
        printf(" (default: ");
        put_text(standard);
        printf(")");
    }
    printf(".\n");
}

/* Whole lines that stay as they are. */
static void put_commands(const char *before, const char *text) {
    printf(".nf\n");
    put_text(before);
    put_text(text);
    printf("\n.fi\n");
}

void opt_print_man(const cli_state *cli, const opt_group *groups, int group_count) {
    const command *c = cli->command;
    char before[64];

    printf(".TH CLORA\\-");
    put_name(c->name, true);
    printf(" 1 \"\" \"clora %s\" \"User Commands\"\n.SH NAME\nclora\\-", clora_version());
    put_name(c->name, false);
    printf(" \\- ");
    put_text(c->summary);
    printf("\n.SH SYNOPSIS\n");
    snprintf(before, sizeof(before), "clora %s ", c->name);
    put_commands(before, c->usage);
    printf(".SH DESCRIPTION\n");
    put_paragraphs(c->about);
    printf(".SH OPTIONS\n");
    for (int g = 0; g < group_count; g++) {
        if (groups[g].options[0].name)
            printf(".SS %s\n", groups[g].heading);
        for (int i = 0; groups[g].options[i].name; i++)
            put_option(&groups[g].options[i], groups[g].values);
    }
    printf(".SH EXAMPLE\n");
    put_commands("", c->example);
}

void opt_print_words(const cli_state *cli, const opt_group *groups, int group_count) {
    for (const command *const *part = cli->command->parts; part && *part; part++)
        printf("%s\n", strchr((*part)->name, ' ') + 1);
    for (int g = 0; g < group_count; g++)
        for (int i = 0; groups[g].options[i].name; i++) {
            const opt *o = &groups[g].options[i];
            printf("--%s", o->name);
            for (int k = 0; o->choices && o->choices[k]; k++)
                printf(" %s", o->choices[k]);
            printf("\n");
        }
}
