#ifndef CLORA_TOKENIZER_PIECE_H
#define CLORA_TOKENIZER_PIECE_H

#include <stdbool.h>
#include <stddef.h>

/* Two places of the text given to encode that every stage follows. */
typedef enum piece_mark {
    PIECE_FRONT,  /* after its first character: Metaspace's scheme "first" asks */
    PIECE_BORDER, /* where a context ends and its target begins; 0 without one */
    PIECE_MARKS
} piece_mark;

/* A stretch of text on its way through the stages. */
typedef struct piece {
    const char *text;
    size_t size;
    size_t marks[PIECE_MARKS]; /* how many of its first bytes come from before the mark: 0 to size */
    bool continues;            /* it goes on where another text ended: nothing is put before it */
} piece;

/* What is to say of encoded pieces besides their ids, all of them together. */
typedef struct piece_notes {
    size_t dropped;       /* characters without a token */
    size_t before_border; /* ids of all pieces up to the border; is written where a piece has one */
    bool crossed;         /* some token holds text from both sides of it */
} piece_notes;

/* The bytes start..end of a stretch. */
static inline piece piece_part(const piece *whole, size_t start, size_t end) {
    piece part = {.text = whole->text + start, .size = end - start, .continues = whole->continues && start == 0};

    for (int m = 0; m < PIECE_MARKS; m++)
        if (whole->marks[m] > start)
            part.marks[m] = (whole->marks[m] < end ? whole->marks[m] : end) - start;
    return part;
}

/* Does the stretch hold text from both sides of the border? */
static inline bool piece_has_border(const piece *p) {
    return p->marks[PIECE_BORDER] > 0 && p->marks[PIECE_BORDER] < p->size;
}

/*
 * For stages that write a stretch anew, from left to right: the bytes from..to of `in` were copied, and `written` bytes
 * are there now. Marks that lay among them move along.
 */
static inline void piece_copied(piece *out, const piece *in, size_t from, size_t to, size_t written) {
    for (int m = 0; m < PIECE_MARKS; m++)
        if (from < in->marks[m])
            out->marks[m] = written - (to > in->marks[m] ? to - in->marks[m] : 0);
}

/* The same where something else was written for the bytes up to `to`: it belongs to the last character of them. */
static inline void piece_replaced(piece *out, const piece *in, size_t to, size_t written) {
    for (int m = 0; m < PIECE_MARKS; m++)
        if (in->marks[m] > 0 && to <= in->marks[m])
            out->marks[m] = written;
}

/* `added` bytes were put before the text: they belong to the first character. */
static inline void piece_prefixed(piece *out, const piece *in, size_t added) {
    for (int m = 0; m < PIECE_MARKS; m++)
        out->marks[m] = in->marks[m] ? in->marks[m] + added : 0;
}

#endif
