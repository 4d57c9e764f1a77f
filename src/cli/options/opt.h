#ifndef CLI_OPT_H
#define CLI_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/cli.h"

/* What an option's value is, and the type of the field that takes it. */
typedef enum opt_type {
    OPT_SET,    /* int: becomes 1, takes no value */
    OPT_CLEAR,  /* int: becomes 0, takes no value */
    OPT_INT,    /* int in [low, high] */
    OPT_FLOAT,  /* float in [low, high] */
    OPT_DOUBLE, /* double in [low, high] */
    OPT_SEED,   /* uint64_t, any */
    OPT_BYTES,  /* uint64_t, above 0: a size such as 2GiB */
    OPT_TEXT,   /* const char * */
    OPT_PATH,   /* const char *, not empty */
    OPT_LIST,   /* opt_list: every use adds one */
    OPT_PATHS,  /* the same of paths, none of them empty */
    OPT_CHOICE, /* int: index into choices */
    OPT_HELP,   /* prints the help */
} opt_type;

enum {
    OPT_REQUIRED = 1, /* the command cannot do without it */
    OPT_ABOVE = 2,    /* low itself is out */
    OPT_BELOW = 4,    /* high itself is out */
    OPT_ALONE = 8,    /* a choice that may be given without a value: then it is choices[1] */
};

/* One option. What its field holds before parsing is the default, and the help says so. */
typedef struct opt {
    const char *name; /* without the dashes */
    opt_type type;
    size_t offset;     /* of the field in the group's values */
    const char *value; /* what the help calls the value, such as "FILE" */
    const char *help;
    const char *standard; /* the default in words where the field does not tell it; "" says nothing */
    double low, high;
    int flags;
    const char *const *choices; /* NULL-terminated; of a text, words to offer, beside which there are others */
} opt;

enum { OPT_LIST_MAX = 32 };

/* Values of a repeatable option, NULL-terminated; borrowed from argv. */
typedef struct opt_list {
    const char *items[OPT_LIST_MAX + 1];
    int count;
} opt_list;

/* Options that stand together in the help and in one struct. */
typedef struct opt_group {
    const char *heading;
    const opt *options; /* ends with a NULL name */
    void *values;
    uint64_t given; /* bit i: option i was on the command line */
} opt_group;

enum { OPT_GO_ON = -1 };

/*
 * Read a command line into the groups' values and the positional arguments.
 *
 * names        of the positional arguments, NULL-terminated; the first `required` must be there
 * positionals  one for each name, NULL where it was not given
 *
 * Returns OPT_GO_ON, or the exit status after printing help or what is wrong. The options that every command has
 * (--device, --json, --quiet, --verbose, --help) are added here.
 */
int opt_parse(cli_state *cli, opt_group *groups, int group_count, const char *const *names, int required,
              const char **positionals, int argc, char **argv);

/* What an option's field holds, as text: its default before parsing. False for lists, which have none. */
bool opt_value_text(char *out, size_t room, const opt *o, const void *values);

/* Was it on the command line? The name must be in one of the groups. */
bool opt_given(const opt_group *groups, int group_count, const char *name);

/* The whole help of a command, on standard output. */
void opt_print_help(const cli_state *cli, const opt_group *groups, int group_count);

/* The same as a manual page, up to its notes; and as lines for a shell to complete: an option and the words that its
 * value may be, or the name of a part of the command. */
void opt_print_man(const cli_state *cli, const opt_group *groups, int group_count);
void opt_print_words(const cli_state *cli, const opt_group *groups, int group_count);

/* What the option does when it is not given, as its field has it before parsing; empty where there is nothing to
 * say. */
void opt_standard_text(char *out, size_t room, const opt *o, const void *values);

/* Print the heading of a part of a help text, bold on a terminal; and a command line, folded. */
void opt_print_heading(const char *heading);
void opt_print_example(const char *example);

#endif
