#include "cli/inspect/inspect_show.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/ui/json_out.h"
#include "cli/ui/page.h"
#include "cli/ui/text.h"

typedef struct marks {
    const char *begin, *end;
} marks;

static marks choose_marks(void) {
    return page_has_colours(stdout) ? (marks){"\033[32m", "\033[0m"} : (marks){"[[", "]]"};
}

/* A text from anyone: what steers a terminal is shown, not done. */
static void print_plain(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7f)
            printf("\\x%02x", (unsigned)c);
        else
            putchar(c);
    }
}

/* Where in the text of all ids that of the first `count` ends. */
static bool text_end(size_t *out, const clora_tokenizer *tokenizer, const int32_t *ids, int count) {
    char *text = NULL;

    if (clora_tokenizer_decode(tokenizer, ids, (size_t)count, 0, &text, out) != CLORA_OK)
        return false;
    free(text);
    return true;
}

/* Runs of target tokens, and of others. */
static bool print_runs(const clora_tokenizer *tokenizer, const int32_t *ids, const int32_t *labels, int count,
                       marks mark) {
    char *text = NULL;
    size_t size = 0, at = 0, next = 0;

    if (clora_tokenizer_decode(tokenizer, ids, (size_t)count, 0, &text, &size) != CLORA_OK)
        return false;
    for (int from = 0, to = 0; from < count; from = to, at = next) {
        const bool is_target = labels[from] >= 0;
        while (to < count && (labels[to] >= 0) == is_target)
            to++;
        if (!text_end(&next, tokenizer, ids, to))
            break;
        next = to == count || next > size ? size : next < at ? at : next;
        fputs(is_target ? mark.begin : "", stdout);
        print_plain(text + at, next - at);
        fputs(is_target ? mark.end : "", stdout);
    }
    putchar('\n');
    free(text);
    return true;
}

static void print_ids(const int32_t *ids, const int32_t *labels, int count, marks mark) {
    printf("ids");
    for (int i = 0; i < count; i++) {
        const bool is_target = labels[i] >= 0;
        printf(" %s%d%s", is_target && (i == 0 || labels[i - 1] < 0) ? mark.begin : "", (int)ids[i],
               is_target && (i + 1 == count || labels[i + 1] < 0) ? mark.end : "");
    }
    putchar('\n');
}

static int least(size_t count, int rows) {
    return (size_t)rows < count ? rows : (int)count;
}

int inspect_show(const clora_dataset *data, const clora_tokenizer *tokenizer, int rows, int with_ids) {
    const marks mark = choose_marks();

    for (int row = 0; row < least(clora_dataset_count(data), rows); row++) {
        const int32_t *ids, *labels;
        const int count = clora_dataset_sequence(data, (size_t)row, &ids, &labels);
        int64_t targets = 0;
        for (int i = 0; i < count; i++)
            targets += labels[i] >= 0;
        printf("\nsequence %d: %s, %s\n", row + 1, text_amount(count, "token", "tokens"),
               text_amount(targets, "target token", "target tokens"));
        if (!print_runs(tokenizer, ids, labels, count, mark))
            return 0;
        if (with_ids)
            print_ids(ids, labels, count, mark);
    }
    return 1;
}

json_t *inspect_row_json(const clora_dataset *data, const clora_tokenizer *tokenizer, int row) {
    const int32_t *ids, *labels;
    const int count = clora_dataset_sequence(data, (size_t)row, &ids, &labels);
    json_t *target = json_array();
    char *text = NULL;
    size_t size = 0;

    for (int i = 0; i < count; i++)
        json_push(&target, json_integer(labels[i] >= 0));
    if (clora_tokenizer_decode(tokenizer, ids, (size_t)count, 0, &text, &size) != CLORA_OK)
        text = NULL;
    json_t *object = json_pack("{s:o, s:o, s:o}", "text", text ? json_stringn(text, size) : NULL, "ids",
                               json_ids(ids, (size_t)count), "target", target);
    free(text);
    return object;
}

json_t *inspect_show_json(const clora_dataset *data, const clora_tokenizer *tokenizer, int rows) {
    json_t *list = json_array();

    for (int row = 0; row < least(clora_dataset_count(data), rows); row++)
        json_push(&list, inspect_row_json(data, tokenizer, row));
    return list;
}
