#include <errno.h>
#include <string.h>

#include "cli/ui/event_file.h"
#include "cli/train/cmd_train.h"

int train_board_open(train_state *state) {
    const char *directory = state->args->tensorboard;

    if (!directory)
        return CLI_DONE;
    state->board = event_file_open(directory, state->last.step + 1);
    return state->board ? CLI_DONE
                        : cli_fail(state->cli, "cannot write to --tensorboard %s: %s", directory, strerror(errno));
}

/* Under the names that transformers gives them. */
void train_board_step(train_state *state) {
    const clora_train_step *s = &state->last;
    const clora_rewards *r = &state->rewards;
    const event_scalar scalars[] = {{"train/loss", s->loss},
                                    {"train/learning_rate", s->lr},
                                    {"train/grad_norm", s->grad_norm},
                                    {"train/tokens_per_second", (float)(s->tokens / s->seconds)},
                                    {"train/rewards/chosen", r->chosen},
                                    {"train/rewards/rejected", r->rejected},
                                    {"train/rewards/margins", r->margin},
                                    {"train/rewards/accuracies", r->accuracy}};
    enum { ALL = sizeof(scalars) / sizeof(scalars[0]), REWARDS = 4 };

    if (state->board)
        event_file_put(state->board, s->step, scalars, state->log.rewards ? ALL : ALL - REWARDS);
}

void train_board_validation(train_state *state) {
    if (state->board)
        event_file_put(state->board, state->val_step, &(event_scalar){"eval/loss", (float)state->val_loss}, 1);
}

void train_board_close(train_state *state) {
    const int error = event_file_close(state->board);

    state->board = NULL;
    if (error)
        cli_note(state->cli, "the file in --tensorboard %s is incomplete: %s", state->args->tensorboard,
                 strerror(error));
}
