#include "cli/ui/suggest.h"

#include <stdbool.h>
#include <string.h>

enum { LONGEST = 40 };

static int smallest(int a, int b, int c) {
    const int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Insertions, deletions, changes and swaps of neighbours that turn a into b (optimal string alignment). */
static int distance(const char *a, const char *b) {
    const int n = (int)strlen(a), m = (int)strlen(b);
    int row[3][LONGEST + 1]; /* two rows back, one row back, this one */

    for (int j = 0; j <= m; j++)
        row[1][j] = j;
    for (int i = 1; i <= n; i++) {
        row[2][0] = i;
        for (int j = 1; j <= m; j++) {
            row[2][j] = smallest(row[1][j] + 1, row[2][j - 1] + 1, row[1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && row[0][j - 2] + 1 < row[2][j])
                row[2][j] = row[0][j - 2] + 1;
        }
        memcpy(row[0], row[1], sizeof(row[0]));
        memcpy(row[1], row[2], sizeof(row[0]));
    }
    return row[1][m];
}

void suggest_offer(suggestion *s, const char *candidate) {
    const size_t length = strlen(s->word), other = strlen(candidate);

    if (length == 0 || length > LONGEST || other > LONGEST)
        return;
    const bool begins = length >= 2 && strncmp(s->word, candidate, length) == 0;
    const int d = begins ? 1 : distance(s->word, candidate);
    const int limit = 1 + (int)length / 4;
    if (d <= limit && (!s->best || d < s->distance)) {
        s->best = candidate;
        s->distance = d;
    }
}
