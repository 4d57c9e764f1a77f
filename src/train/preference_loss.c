#include "train/preference_loss.h"

#include <math.h>

static double sigmoid(double x) {
    return x >= 0.0 ? 1.0 / (1.0 + exp(-x)) : exp(x) / (1.0 + exp(x));
}

static double log_sigmoid(double x) {
    return x >= 0.0 ? -log1p(exp(-x)) : x - log1p(exp(x));
}

static double log_ratio(const scored_answer *a) {
    return a->policy - a->reference;
}

/* What the losses are made of: the rewards of a pair. Returns the chosen one's margin. */
static double reward_pair(scored_answer *pair, double beta) {
    pair[0].reward = beta * log_ratio(&pair[0]);
    pair[1].reward = beta * log_ratio(&pair[1]);
    return pair[0].reward - pair[1].reward;
}

static void set_slopes(scored_answer *pair, double chosen, double rejected) {
    pair[0].slope = chosen;
    pair[1].slope = rejected;
}

/* Rafailov et al. 2023, https://arxiv.org/abs/2305.18290: -log s(x), and -e log s(-x) where a share e of the labels is
 * taken to be wrong. */
static double dpo(scored_answer *pair, const preference_options *o) {
    const double x = reward_pair(pair, o->beta), e = o->label_smoothing;
    const double slope = o->beta * (e * sigmoid(x) - (1.0 - e) * sigmoid(-x));

    set_slopes(pair, slope, -slope);
    return -(1.0 - e) * log_sigmoid(x) - e * log_sigmoid(-x);
}

/* Zhao et al. 2023, https://arxiv.org/abs/2305.10425: max(0, 1 - x) */
static double hinge(scored_answer *pair, const preference_options *o) {
    const double x = reward_pair(pair, o->beta), slope = x < 1.0 ? -o->beta : 0.0;

    set_slopes(pair, slope, -slope);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* Azar et al. 2023, https://arxiv.org/abs/2310.12036: (d - 1 / (2 beta))^2, where d is made of means over ids */
static double ipo(scored_answer *pair, const preference_options *o) {
    const double chosen = pair[0].count, rejected = pair[1].count;
    const double d = log_ratio(&pair[0]) / chosen - log_ratio(&pair[1]) / rejected, far = d - 1.0 / (2.0 * o->beta);

    reward_pair(pair, o->beta);
    set_slopes(pair, 2.0 * far / chosen, -2.0 * far / rejected);
    return far * far;
}

/* log(1 - exp(x)), x < 0 (Maechler 2012, Accurately Computing log(1 - exp(-|a|))) */
static double log1mexp(double x) {
    return x < -0.6931471805599453 ? log1p(-exp(x)) : log(-expm1(x));
}

/* Hong et al. 2024, https://arxiv.org/abs/2403.07691: -beta log s(log odds ratio), of means over ids; the likelihood of
 * the chosen answer is added elsewhere, for it is a sum over rows. */
static double orpo(scored_answer *pair, const preference_options *o) {
    const double c = pair[0].policy / pair[0].count, r = pair[1].policy / pair[1].count;
    const double odds = (c - r) - (log1mexp(c) - log1mexp(r)), slope = -o->beta * sigmoid(-odds);

    pair[0].reward = o->beta * c;
    pair[1].reward = o->beta * r;
    set_slopes(pair, -slope / expm1(c) / pair[0].count, slope / expm1(r) / pair[1].count);
    return -o->beta * log_sigmoid(odds);
}

/* Ethayarajh et al. 2024, https://arxiv.org/abs/2402.01306: 1 - s(beta (d - kl)), and 1 - s(beta (kl - d)) of an
 * undesirable answer */
static double kto(scored_answer *answer, const preference_options *o) {
    const double sign = answer->desirable ? 1.0 : -1.0, d = log_ratio(answer);
    const double s = sigmoid(sign * o->beta * (d - o->kl));

    answer->reward = o->beta * d;
    answer->slope = -sign * o->beta * s * (1.0 - s);
    return 1.0 - s;
}

const preference_rule *preference_rule_of(clora_preference preference) {
    static const preference_rule rules[] = {
        [CLORA_PREFERENCE_DPO] = {"dpo", CLORA_DATA_PREFERENCE, dpo, .reference = true},
        [CLORA_PREFERENCE_IPO] = {"ipo", CLORA_DATA_PREFERENCE, ipo, .reference = true},
        [CLORA_PREFERENCE_HINGE] = {"hinge", CLORA_DATA_PREFERENCE, hinge, .reference = true},
        [CLORA_PREFERENCE_ORPO] = {"orpo", CLORA_DATA_PREFERENCE, orpo, .learns_prompts = true},
        [CLORA_PREFERENCE_KTO] = {"kto", CLORA_DATA_UNPAIRED_PREFERENCE, kto, .reference = true, .kl = true},
    };
    const size_t i = (size_t)preference;

    return i < sizeof(rules) / sizeof(rules[0]) && rules[i].loss ? &rules[i] : NULL;
}
