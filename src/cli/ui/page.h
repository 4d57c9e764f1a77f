#ifndef CLI_PAGE_H
#define CLI_PAGE_H

#include <stdbool.h>
#include <stdio.h>

/* Columns of a line for people: of the terminal that a stream goes to, but no more than can be read with ease; 80 where
 * it goes elsewhere. */
int page_width(FILE *out);

/* Of the terminal alone, all of them; 80 where it does not tell. */
int page_columns(FILE *out);

/* A terminal that obeys escape sequences, and whose user has not asked for none (NO_COLOR). */
bool page_is_terminal(FILE *out);
bool page_has_colours(FILE *out);

/* Print text, its lines folded between words to the width; what is folded goes on after `indent` blanks. A list without
 * blanks that is longer than a line is parted after its commas; nothing else is ever cut. */
void page_fold(FILE *out, const char *text, int indent);

/* How many bytes of a line its first fields take, parted by two blanks, that fit into so many columns whole. */
int page_fields(const char *line, int columns);

/* The same for what is printed piece by piece: page_begin() gives the stream to print to, page_end() folds what it got.
 * Without memory the lines come as they are. */
typedef struct page {
    FILE *out, *lines;
    char *text;
    size_t size;
    int indent;
} page;

FILE *page_begin(page *p, FILE *out, int indent);
void page_end(page *p);

/* Whether memory ran out in between, so that lines are missing. */
bool page_was_lost(void);

#endif
