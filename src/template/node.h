#ifndef CLORA_TEMPLATE_NODE_H
#define CLORA_TEMPLATE_NODE_H

#include "template/value.h"

typedef enum node_kind {
    /* Expressions */
    NODE_CONSTANT,  /* constant */
    NODE_NAME,      /* text */
    NODE_LIST,      /* list: items */
    NODE_TUPLE,     /* list: items */
    NODE_DICT,      /* list: key, value, key, value */
    NODE_ATTRIBUTE, /* a.text */
    NODE_ITEM,      /* a[b] */
    NODE_SLICE,     /* a[list], where list is from, to, step, each possibly NODE_NOTHING */
    NODE_CALL,      /* a(list) */
    NODE_FILTER,    /* a | text(list); a is NULL where the subject is a block's text */
    NODE_TEST,      /* a is text(list) */
    NODE_NOT,
    NODE_NEGATIVE,
    NODE_POSITIVE,
    NODE_ARITHMETIC, /* a text b */
    NODE_COMPARE,    /* a, list: NODE_OPERAND, whose text is the operator and whose a the other side */
    NODE_OPERAND,
    NODE_AND,
    NODE_OR,
    NODE_JOINED,  /* list: what ~ joins */
    NODE_CHOICE,  /* b if a else c; c may be NULL */
    NODE_KEYWORD, /* of a call: text = a */
    NODE_NOTHING,
    /* Statements */
    NODE_TEXT,       /* text */
    NODE_OUTPUT,     /* a */
    NODE_IF,         /* if a: list, else: other */
    NODE_FOR,        /* for a in b if c: list, else: other */
    NODE_SET,        /* a = b */
    NODE_SET_BLOCK,  /* a = the text of list, through the filters b if not NULL */
    NODE_MEMBER,     /* what is set: a.text, of a namespace */
    NODE_MACRO,      /* text(a: NODE_PARAMETERs): list */
    NODE_PARAMETER,  /* text = a; a may be NULL */
    NODE_GENERATION, /* list */
    NODE_FILTERED,   /* the text of list through the filters b */
    NODE_BREAK,
    NODE_CONTINUE,
} node_kind;

typedef struct node node;

/* One of a template's tree. Which fields a kind has is said above. */
struct node {
    node_kind kind;
    int line;
    span text;
    value constant;
    node *a, *b, *c;
    node *list, *other; /* the first of them */
    node *next;         /* of the list that it is in */
};

#endif
