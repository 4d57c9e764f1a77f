#include "cli/options/opt.h"

#include <assert.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "cli/options/aliases.h"
#include "cli/options/opt_value.h"
#include "cli/ui/suggest.h"

enum { MOST_OPTIONS = 256, MOST_GROUPS = 32, FIRST_VALUE = 256 };

static const opt common_options[] = {
    {.name = "device",
     .type = OPT_TEXT,
     .offset = offsetof(cli_state, device),
     .value = "N|NAME",
     .help = "OpenCL device: number, type (gpu, cpu) or part of the name; see 'clora devices'",
     .standard = "CLORA_DEVICE, else a GPU, else a CPU"},
    {.name = "json",
     .type = OPT_SET,
     .offset = offsetof(cli_state, json),
     .help = "print the result as JSON and nothing else"},
    {.name = "quiet", .type = OPT_SET, .offset = offsetof(cli_state, quiet), .help = "no progress and no notes"},
    {.name = "verbose",
     .type = OPT_SET,
     .offset = offsetof(cli_state, verbose),
     .help = "note which parameters each kernel runs with and where they come from, and the plan of launches"},
    {.name = "help", .type = OPT_HELP, .help = "show this help"},
    {.name = NULL},
};

/* All options of all groups in one row, then other tools' names of them, as getopt_long wants them. */
typedef struct option_row {
    struct option row[MOST_OPTIONS + 1];
    const opt *options[MOST_OPTIONS];
    opt_group *groups[MOST_OPTIONS];
    int indices[MOST_OPTIONS];
    int own; /* of the names that are not aliases */
    int count;
} option_row;

static int find_name(const option_row *all, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(all->row[i].name, name) == 0)
            return i;
    return -1;
}

static void gather(option_row *out, opt_group *groups, int group_count) {
    memset(out, 0, sizeof(*out));
    for (int g = 0; g < group_count; g++)
        for (int i = 0; groups[g].options[i].name; i++) {
            const opt *o = &groups[g].options[i];
            const bool bare = o->type == OPT_SET || o->type == OPT_CLEAR || o->type == OPT_HELP;
            const int wants = bare ? no_argument : o->flags & OPT_ALONE ? optional_argument : required_argument;
            assert(out->count < MOST_OPTIONS && i < 64);
            out->row[out->count] = (struct option){o->name, wants, NULL, FIRST_VALUE + out->count};
            out->options[out->count] = o;
            out->groups[out->count] = &groups[g];
            out->indices[out->count++] = i;
        }
    out->own = out->count;
}

static void gather_aliases(option_row *out) {
    for (const alias *a = aliases; a->name; a++) {
        const int at = find_name(out, out->own, a->ours);
        if (!a->same || at < 0 || find_name(out, out->count, a->name) >= 0)
            continue;
        assert(out->count < MOST_OPTIONS);
        out->row[out->count] = out->row[at];
        out->row[out->count].name = a->name;
        out->row[out->count].val = FIRST_VALUE + out->count;
        out->options[out->count] = out->options[at];
        out->groups[out->count] = out->groups[at];
        out->indices[out->count++] = out->indices[at];
    }
}

/* Which of this command's options does what another tool calls so, if not quite the same? */
static const char *related(const option_row *all, const char *name) {
    for (const alias *a = aliases; a->name; a++)
        if (strcmp(a->name, name) == 0 && find_name(all, all->own, a->ours) >= 0)
            return a->ours;
    return NULL;
}

static int fail_unknown(const cli_state *cli, const option_row *all, const char *word) {
    char name[64] = "";
    const char *bare = word + strspn(word, "-");
    const size_t length = strcspn(bare, "=");
    suggestion near = {.word = name};

    if (length < sizeof(name)) {
        memcpy(name, bare, length);
        for (int i = 0; i < all->count; i++)
            suggest_offer(&near, all->row[i].name);
    }
    if (related(all, name))
        near.best = related(all, name);
    const int shown = (int)(length + (size_t)(bare - word));
    if (near.best)
        return cli_misuse(cli, "unknown option '%.*s'; did you mean '--%s'?", shown, word, near.best);
    return cli_misuse(cli, "unknown option '%.*s'", shown, word);
}

static bool is_option(const option_row *all, const char *word) {
    if (strncmp(word, "--", 2) != 0)
        return false;
    return find_name(all, all->count, word + 2) >= 0;
}

/* getopt_long takes an optional value only after "=": here the next word is one too, where it is among the choices. */
static const char *value_of(const opt *o, int argc, char **argv) {
    if (optarg || !(o->flags & OPT_ALONE))
        return optarg;
    for (int i = 0; optind < argc && o->choices[i]; i++)
        if (strcmp(o->choices[i], argv[optind]) == 0)
            return argv[optind++];
    return o->choices[1];
}

/* One match of getopt_long. It also takes beginnings of names; those would break when an option is added, so
 * none pass. */
static int take(const cli_state *cli, const option_row *all, int at, int argc, char **argv) {
    const opt *o = all->options[at];
    const bool apart = optarg && optarg == argv[optind - 1];
    const char *word = argv[optind - (apart ? 2 : 1)];
    const char *name = all->row[at].name;
    const size_t length = strlen(name);

    if (strncmp(word, "--", 2) != 0 || strncmp(word + 2, name, length) != 0 ||
        (word[2 + length] != '\0' && word[2 + length] != '='))
        return fail_unknown(cli, all, word);
    if (apart && is_option(all, optarg))
        return cli_misuse(cli, "--%s needs a value; '%s' is an option ('--%s=%s' if it is meant)", name, optarg, name,
                          optarg);
    all->groups[at]->given |= UINT64_C(1) << all->indices[at];
    return opt_store(cli, o, all->groups[at]->values, value_of(o, argc, argv));
}

/*
 * A look ahead: the help must show the defaults, which reading the other options would overwrite. On a copy, because
 * getopt_long moves words, and moves them wrongly for a second reading when a value is missing.
 */
static bool asks_for_help(const option_row *all, int argc, char **argv) {
    char **copy = calloc((size_t)argc + 1, sizeof(*copy));
    bool help = false;
    int found;

    if (!copy)
        return false;
    memcpy(copy, argv, (size_t)argc * sizeof(*copy));
    optind = 0; /* begin anew: another command line may have been read before */
    opterr = 0;
    while ((found = getopt_long(argc, copy, ":h", all->row, NULL)) != -1)
        help = help || found == 'h' || (found >= FIRST_VALUE && all->options[found - FIRST_VALUE]->type == OPT_HELP);
    free(copy);
    return help;
}

static int read_options(const cli_state *cli, const option_row *all, int argc, char **argv) {
    int status = OPT_GO_ON, found;

    optind = 0;
    while (status == OPT_GO_ON && (found = getopt_long(argc, argv, ":h", all->row, NULL)) != -1) {
        if (found == ':' && find_name(all, all->count, argv[optind - 1] + 2) < 0) /* the beginning of a name */
            status = fail_unknown(cli, all, argv[optind - 1]);
        else if (found == ':')
            status = cli_misuse(cli, "--%s needs a value", all->row[optopt - FIRST_VALUE].name);
        else if (found == '?' && optopt >= FIRST_VALUE)
            status = cli_misuse(cli, "--%s takes no value", all->row[optopt - FIRST_VALUE].name);
        else if (found == '?' && optopt)
            status = cli_misuse(cli, "unknown option '-%c'", optopt);
        else if (found == '?')
            status = fail_unknown(cli, all, argv[optind - 1]);
        else
            status = take(cli, all, found - FIRST_VALUE, argc, argv);
    }
    return status;
}

/* Other tools write --batch_size. What is a value, or stands after "--", stays as it is. */
static void dashes_for_underscores(int argc, char **argv) {
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strncmp(argv[i], "--", 2) == 0)
            for (char *c = argv[i]; *c && *c != '='; c++)
                if (*c == '_')
                    *c = '-';
}

static int read_positionals(const cli_state *cli, const char *const *names, int required, const char **positionals,
                            int argc, char **argv) {
    int count = 0;

    for (; names[count]; count++)
        positionals[count] = count < argc ? argv[count] : NULL;
    if (argc < required)
        return cli_misuse(cli, "%s is missing", names[argc]);
    for (int i = 0; i < count; i++)
        if (positionals[i] && *positionals[i] == '\0' && strcmp(names[i], "TEXT") != 0)
            return cli_misuse(cli, "%s is empty", names[i]);
    if (argc > count)
        return cli_misuse(cli, "unexpected argument '%s'", argv[count]);
    return OPT_GO_ON;
}

static void (*const print_help[])(const cli_state *cli, const opt_group *groups, int group_count) = {
    [CLI_HELP_PAGE] = opt_print_help, [CLI_HELP_MAN] = opt_print_man, [CLI_HELP_WORDS] = opt_print_words};

int opt_parse(cli_state *cli, opt_group *groups, int group_count, const char *const *names, int required,
              const char **positionals, int argc, char **argv) {
    opt_group every[MOST_GROUPS];
    option_row all;

    assert(group_count < MOST_GROUPS);
    if (group_count > 0)
        memcpy(every, groups, sizeof(*groups) * (size_t)group_count);
    every[group_count] = (opt_group){.heading = "General", .options = common_options, .values = cli};
    gather(&all, every, group_count + 1);
    gather_aliases(&all);
    dashes_for_underscores(argc, argv);
    if (asks_for_help(&all, argc, argv)) {
        print_help[cli->help](cli, every, group_count + 1);
        return CLI_DONE;
    }
    const int status = read_options(cli, &all, argc, argv);
    if (status != OPT_GO_ON)
        return status;
    for (int g = 0; g < group_count; g++)
        groups[g].given = every[g].given;
    const int wrong = read_positionals(cli, names, required, positionals, argc - optind, argv + optind);
    if (wrong != OPT_GO_ON)
        return wrong;
    for (int i = 0; i < all.own; i++)
        if (all.options[i]->flags & OPT_REQUIRED && !(all.groups[i]->given >> all.indices[i] & 1))
            return cli_misuse(cli, "--%s %s is missing", all.options[i]->name, all.options[i]->value);
    return OPT_GO_ON;
}

bool opt_given(const opt_group *groups, int group_count, const char *name) {
    for (int g = 0; g < group_count; g++)
        for (int i = 0; groups[g].options[i].name; i++)
            if (strcmp(groups[g].options[i].name, name) == 0)
                return groups[g].given >> i & 1;
    assert(!"an option of these groups");
    return false;
}
