#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <clora/generate.h>

#include "support/logits.h"
#include "support/scratch.h"

enum { V = LOGITS_VOCAB };

void forward_logits(float *logits, const fixture_batch *batch, clora_model *m, clora_adapter *adapter, bool cached) {
    clora_session *session = NULL;
    int32_t column[4];
    float last[4 * V];

    assert_ok(clora_session_create(&session, m, batch->B, batch->T));
    assert_ok(clora_session_set_adapter(session, adapter));
    if (!cached)
        assert_ok(clora_session_forward(session, logits, batch->ids, batch->T, 1));
    for (int t = 0; cached && t < batch->T; t++) {
        for (int b = 0; b < batch->B; b++)
            column[b] = batch->ids[b * batch->T + t];
        assert_ok(clora_session_forward(session, last, column, 1, 0));
        for (int b = 0; b < batch->B; b++)
            memcpy(logits + (b * batch->T + t) * V, last + b * V, V * sizeof(float));
    }
    clora_session_free(session);
}

void assert_logits(const float *actual, const float *expected, const fixture_batch *batch, double limit,
                   const char *name) {
    for (int b = 0; b < batch->B; b++) {
        const int start = b * batch->T * V;
        const double error = relative_error(actual + start, expected + start, (size_t)(batch->lengths[b] * V));
        if (!(error <= limit))
            fail_msg("%s: sequence %d: relative error %g", name, b, error);
    }
}
