#ifndef CLORA_MODEL_WORKSPACE_ROOMS_H
#define CLORA_MODEL_WORKSPACE_ROOMS_H

#include "model/workspace.h"

/* The gradients of a layer's attention, in rooms whose contents are of no use by then: gu, and act. */
enum { ATTENTION_GRADIENTS = 4 };
enum { ROOM_GU, ROOM_ACT, ROOMS };

typedef struct attention_gradient {
    clora_tensor *view;
    int cols; /* 0: there is none */
    int room;
    size_t at;
} attention_gradient;

/* First the one that is of use for longest, then the largest. */
void rooms_list_gradients(attention_gradient out[ATTENTION_GRADIENTS], workspace *ws);

/* A place for each, or false: they need memory of their own. */
bool rooms_find_places(attention_gradient list[ATTENTION_GRADIENTS], const workspace *ws);

#endif
