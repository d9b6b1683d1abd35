/* Exact products on an instruction set that has no Python: whole numbers, against three plain loops. */
#include "sparseref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 37, COLUMNS = 64, MOST_TOKENS = 70, NOWHERE = ROWS * COLUMNS };

static unsigned state = 1;
static int drawn(int below) { return (int)((state = state * 1664525u + 1013904223u) >> 16) % below; }

/* Runs of n rows, A of them abreast, of about a quarter of the columns each; a shorter one goes on with the column of zeros,
 * and with values, which must not count. */
#define CHECK(REAL)                                                                                                         \
    static int wrong_##REAL(int set, int n, int A, int tokens, int threads)                                                 \
    {                                                                                                                       \
        static REAL dense[ROWS][COLUMNS], x[MOST_TOKENS][COLUMNS], y[MOST_TOKENS][ROWS], bias[ROWS], value[ROWS * COLUMNS]; \
        static uint32_t column[ROWS * COLUMNS], place[ROWS * COLUMNS];                                                      \
        static Run runs[2 * ROWS];                                                                                          \
        uint64_t columns = 0, values = 0, count = 0;                                                                        \
        memset(dense, 0, sizeof dense);                                                                                     \
        for (int first = 0; first + A * n <= ROWS; first += A * n) {                                                        \
            int begin[SIXTEEN], k;                                                                                          \
            for (int r = 0; r < A; r++, count++) {                                                                          \
                begin[r] = drawn(5);                                                                                        \
                runs[count] = (Run){.count = (uint32_t)(COLUMNS - begin[r] + 3) / 4};                                       \
                for (int i = 0; i < n; i++)                                                                                 \
                    runs[count].row[i] = (uint32_t)(first + r * n + i);                                                     \
            }                                                                                                               \
            for (int step = 0; step < (int)longest(runs + count - A, A); step++, values += (uint64_t)(A * n))               \
                for (int r = 0; r < A; r++) {                                                                               \
                    k = begin[r] + 4 * step;                                                                                \
                    if (A == SIXTEEN)                                                                                       \
                        ((uint8_t *)column)[columns++] = (uint8_t)(k < COLUMNS ? k : BEHIND);                               \
                    else                                                                                                    \
                        column[columns++] = (uint32_t)(k < COLUMNS ? k : COLUMNS);                                          \
                    for (int i = 0; i < n; i++) {                                                                           \
                        uint64_t at = values + (uint64_t)(i * A + r);                                                       \
                        place[at] = (uint32_t)((first + r * n + i) * COLUMNS + k);                                          \
                        value[at] = (REAL)(drawn(9) - 4);                                                                   \
                        if (k < COLUMNS)                                                                                    \
                            dense[first + r * n + i][k] = value[at];                                                        \
                        else                                                                                                \
                            place[at] = NOWHERE;                                                                            \
                    }                                                                                                       \
                }                                                                                                           \
            if (A == SIXTEEN) {                            /* one for all */                                                \
                count -= SIXTEEN - 1;                                                                                       \
                runs[count - 1].count = longest(runs + count - 1, SIXTEEN);                                                 \
            }                                                                                                               \
            if (A == 1) {                                  /* one more run of the same rows */                              \
                runs[count] = runs[count - 1];                                                                              \
                runs[count].count -= 5, runs[count++ - 1].count = 5;                                                        \
            }                                                                                                               \
        }                                                                                                                   \
        for (int t = 0; t < tokens; t++)                                                                                    \
            for (int k = 0; k < COLUMNS; k++)                                                                               \
                x[t][k] = (REAL)(drawn(9) - 4);                                                                             \
        for (int r = 0; r < ROWS; r++)                                                                                      \
            bias[r] = (REAL)(drawn(9) - 4);                                                                                 \
        int64_t segment_of[2] = {0, 1};                                                                                     \
        Segment segment = {.runs = count, .n = (uint32_t)n, .abreast = (uint16_t)A, .x_columns = COLUMNS,                   \
                           .serves = A == SIXTEEN ? ONE_TOKEN : ONE_TOKEN | FEW_TOKENS | MANY_TOKENS};                      \
        int group_rows = (ROWS + 4 * n - 1) / (4 * n) * 4 * n;                                                              \
        Runs weight = {ROWS, COLUMNS, group_rows, 1, n, n, segment_of, &segment, runs, column, value, NULL};                    \
        Sizes sizes = {1 + 1, 1, (int64_t)count, (int64_t)columns / (A == SIXTEEN ? 4 : 1), (int64_t)values};               \
        if (sparseref_check(&weight, &sizes) != SPARSEREF_DONE)                                                             \
            return 1;                                                                                                       \
        Product p = {&weight, {x, COLUMNS, 1}, {y, ROWS, 1}, {NULL, 0, 0}, bias, tokens, RELU, 0, NULL, NULL, NULL};        \
        if (sparseref_linear(&p, set, sizeof(REAL), threads) != SPARSEREF_DONE)                                             \
            return 1;                                                                                                       \
        for (int t = 0; t < tokens; t++)                                                                                    \
            for (int r = 0; r < ROWS; r++) {                                                                                \
                REAL sum = bias[r];                                                                                         \
                for (int k = 0; k < COLUMNS; k++)                                                                           \
                    sum += dense[r][k] * x[t][k];                                                                           \
                if (y[t][r] != (sum > 0 ? sum : 0))                                                                         \
                    return 1;                                                                                               \
            }                                                                                                               \
        if (A > 1)                                                                                                          \
            return 0;                                      /* of no gradient */                                             \
        static REAL gradient[ROWS * COLUMNS];                                                                               \
        memset(gradient, 0, sizeof gradient);                                                                               \
        Sampled s = {&weight, {y, ROWS, 1}, {x, COLUMNS, 1}, gradient, tokens, NULL};                                       \
        if (sparseref_sampled(&s, set, sizeof(REAL), threads) != SPARSEREF_DONE)                                            \
            return 1;                                                                                                       \
        for (uint64_t at = 0; at < values; at++) {                                                                          \
            REAL sum = 0;                                                                                                   \
            for (int t = 0; t < tokens && place[at] != NOWHERE; t++)                                                        \
                sum += y[t][place[at] / COLUMNS] * x[t][place[at] % COLUMNS];                                               \
            if (gradient[at] != sum)                                                                                        \
                return 1;                                                                                                   \
        }                                                                                                                   \
        return 0;                                                                                                           \
    }
CHECK(float)
CHECK(double)

int main(void)
{
    for (int set = 0; set < sparseref_sets(); set++)
        for (int n = 1; n <= MOST_ROWS; n++)
            for (int tokens = 1; tokens <= MOST_TOKENS; tokens++)
                for (int A = 1; A <= (n == 1 && tokens == 1 ? SIXTEEN : ABREAST); A = A == 1 ? ABREAST : 4 * A)
                    for (int threads = 1; threads <= 2; threads++)
                        if (sparseref_set_runs_here(set)
                            && (wrong_float(set, n, A, tokens, threads) || wrong_double(set, n, A, tokens, threads))) {
                            printf("%s: n = %d, %d abreast, %d tokens, %d threads\n", sparseref_set_name(set), n, A, tokens,
                                   threads);
                            return 1;
                        }
    for (int set = 0; set < sparseref_sets(); set++)
        if (sparseref_set_runs_here(set))
            printf("%s is right\n", sparseref_set_name(set));
    return 0;
}
