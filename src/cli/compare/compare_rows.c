#include <math.h>
#include <stdlib.h>

#include "cli/compare/cmd_compare.h"

double compare_last_loss(const compare_result *result) {
    return result->point[result->points - 1].loss;
}

/* The next result of a method at a learning rate that is done, after `from`; NULL at the end. */
static const compare_result *next_done(const compare_state *state, int method, float lr, const compare_result *from) {
    const compare_result *r = from ? from + 1 : state->result;

    for (; r < state->result + state->results; r++)
        if (r->done && r->method == method && r->lr == lr)
            return r;
    return NULL;
}

static double mean_loss(const compare_state *state, int method, float lr) {
    double sum = 0.0;
    int count = 0;

    for (const compare_result *r = NULL; (r = next_done(state, method, lr, r)); count++)
        sum += compare_last_loss(r);
    return count > 0 ? sum / count : INFINITY;
}

/* The learning rate with the lowest mean of the last losses; NULL where nothing is done. */
static const compare_result *best_of(const compare_state *state, int method) {
    const compare_result *best = NULL;
    double least = INFINITY;

    for (int i = 0; i < state->results; i++) {
        const compare_result *r = &state->result[i];
        const double loss = r->done && r->method == method ? mean_loss(state, method, r->lr) : INFINITY;
        if (loss < least) {
            least = loss;
            best = r;
        }
    }
    return best;
}

double compare_target(const compare_state *state) {
    double worst = -INFINITY;

    if (state->args->target_loss > 0)
        return (double)state->args->target_loss;
    for (int m = 0; m < state->methods; m++) {
        const compare_result *best = best_of(state, m);
        for (const compare_result *r = NULL; best && (r = next_done(state, m, best->lr, r));)
            worst = fmax(worst, compare_last_loss(r));
    }
    return worst;
}

/* Seconds of training until the validation loss is first at the target, between two validations by a straight line;
 * negative where it never is. */
static double time_to(const compare_result *r, double target) {
    for (int i = 0; i < r->points; i++) {
        const compare_point *b = &r->point[i], *a = b - 1;
        if (b->loss > target)
            continue;
        if (i == 0 || a->loss == b->loss)
            return b->seconds;
        return a->seconds + (b->seconds - a->seconds) * (a->loss - target) / (a->loss - b->loss);
    }
    return -1.0;
}

compare_row compare_row_of(const compare_state *state, int method) {
    compare_row row = {.method = method, .result = best_of(state, method)};
    const double target = compare_target(state);
    bool all_reach = true;
    double squares = 0.0;

    if (!row.result)
        return row;
    for (const compare_result *r = NULL; (r = next_done(state, method, row.result->lr, r)); row.seeds++) {
        const double seconds = time_to(r, target);
        row.loss += compare_last_loss(r);
        row.tokens_per_second += r->tokens_per_second;
        row.seconds_to_target += seconds;
        all_reach &= seconds >= 0;
    }
    row.loss /= row.seeds;
    row.tokens_per_second /= row.seeds;
    row.seconds_to_target = all_reach ? row.seconds_to_target / row.seeds : -1.0;
    for (const compare_result *r = NULL; (r = next_done(state, method, row.result->lr, r));)
        squares += pow(compare_last_loss(r) - row.loss, 2.0);
    row.spread = row.seeds > 1 ? sqrt(squares / (row.seeds - 1)) : 0.0;
    return row;
}

int compare_edge(const compare_state *state, const compare_row *row) {
    const compare_method *m = &state->method[row->method];
    bool lowest = true, highest = true;

    for (int r = 0; r < m->rates; r++) {
        lowest &= m->rate[r] >= row->result->lr;
        highest &= m->rate[r] <= row->result->lr;
    }
    return lowest == highest ? 0 : lowest ? -1 : 1;
}
