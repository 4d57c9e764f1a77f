#include "cli/chat/talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ui/text.h"

int talk_reset(talk *t) {
    json_decref(t->messages);
    t->messages = json_array();
    return t->messages && (!t->system || talk_say(t, "system", t->system, strlen(t->system)));
}

void talk_finish(talk *t) {
    json_decref(t->messages);
    t->messages = NULL;
}

int talk_say(talk *t, const char *role, const char *text, size_t size) {
    json_t *message = json_pack("{s:s, s:o}", "role", role, "content", json_stringn(text, size));

    return message && json_array_append_new(t->messages, message) == 0;
}

void talk_take_back(talk *t) {
    json_array_remove(t->messages, json_array_size(t->messages) - 1);
}

char *talk_row(const talk *t) {
    json_t *row = json_pack("{s:O}", "messages", t->messages);
    char *text = row ? json_dumps(row, JSON_COMPACT) : NULL;

    json_decref(row);
    return text;
}

void talk_save(const talk *t, const cli_state *cli, const char *path) {
    char *row = talk_row(t);
    FILE *file = row ? fopen(path, "we") : NULL;

    if (!file) {
        cli_note(cli, "cannot write %s: %s", path, row ? strerror(errno) : "no memory");
    } else {
        const int failed = fprintf(file, "%s\n", row) < 0;
        if (fclose(file) != 0 || failed)
            cli_note(cli, "%s is not whole: %s", path, strerror(errno));
        else
            cli_note(cli, "%s in %s", text_amount((int64_t)json_array_size(t->messages), "message", "messages"), path);
    }
    free(row);
}
