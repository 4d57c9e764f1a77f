#ifndef CLORA_TRAIN_LIKELIHOOD_H
#define CLORA_TRAIN_LIKELIHOOD_H

#include "model/head.h"

/* ws->nll and ws->hit of every row: -log p(target) and whether the target is the most probable id. With `gradient` also
 * dnorm (M, C) = d(sum of nll) / d(normed). */
clora_status likelihood(workspace *ws, const selection *select, bool gradient);

#endif
