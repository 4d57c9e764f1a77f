#ifndef CLORA_MODEL_SESSION_PAGES_H
#define CLORA_MODEL_SESSION_PAGES_H

#include "model/session.h"

/*
 * Who may have the pages of a cache that has fewer than its sequences may come to need. A text is promised room for all
 * of its positions before it begins, so that no step of it finds none. What a text that has ended has left, for prompts
 * that begin alike, is nobody's promise: it goes when others need the room, the longest ended first.
 */

/* Promise an empty sequence so many positions, for a text that begins with a prompt of T ids. False: there is no room
 * now. What its prompt takes from a text that has a promise is counted once. */
bool session_promise(clora_session *s, int sequence, const clora_adapter *adapter, const int32_t *ids, int T,
                     int positions);

/* A sequence's text has ended: the promise is no more. */
void session_end(clora_session *s, int sequence);

/* Pages for T positions more of a sequence, from texts that have ended. */
void session_find_pages(clora_session *s, int sequence, int T);

#endif
