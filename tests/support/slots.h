#ifndef CLORA_TESTS_SLOTS_H
#define CLORA_TESTS_SLOTS_H

/* An engine of four slots on models/tiny, and what its prompts give alone. Include after cmocka.h. */

#include <clora/clora.h>

#include "support/fresh_context.h" /* the context, which the program makes */

enum { SLOTS = 4, CAPACITY = 40, TOKENS = 24, PROMPTS = 4 };

extern clora_model *model;
extern clora_tokenizer *tokenizer;
extern clora_engine *engine;
extern int32_t *prompt[PROMPTS];
extern size_t length[PROMPTS];
extern clora_generation *alone[PROMPTS]; /* greedy, of the base alone; none ends before TOKENS */

/* Setup and teardown of the program and of each test. */
int slots_open_model(void **state);
int slots_close_model(void **state);
int slots_open(void **state);
int slots_close(void **state);
#define WITH_ENGINE(test) cmocka_unit_test_setup_teardown(test, slots_open, slots_close)

/* TOKENS tokens after a prompt, in a session's first sequence. */
void slots_alone(clora_generation **out, clora_session *session, int which);

/* Options for TOKENS tokens; a prompt in a free slot; steps until none runs. */
clora_request_options slots_usual(void);
clora_request *slots_admit(int which, const clora_request_options *options);
void slots_run(void);

/* An adapter with random factors, B too: large ones change texts. */
clora_adapter *slots_adapter(int rank, const char *targets, float deviation);

/* The request has so many tokens, the first of alone[which]. */
void assert_begins(const clora_request *request, int which, size_t count);

/* It has all of them; it is freed. */
void assert_alone(clora_request *request, int which);

#endif
