/* Exact products on an instruction set that has no Python: whole numbers, against three plain loops. */
#include "sparseref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 37, COLUMNS = 53, MOST_TOKENS = 70 };

static unsigned state = 1;
static int drawn(int below) { return (int)((state = state * 1664525u + 1013904223u) >> 16) % below; }

/* Runs of n rows side by side, one after the other; of a quarter of the columns each. */
#define CHECK(REAL)                                                                                                          \
    static int wrong_##REAL(int set, int n, int tokens, int threads)                                                          \
    {                                                                                                                         \
        static REAL dense[ROWS][COLUMNS], x[MOST_TOKENS][COLUMNS], y[MOST_TOKENS][ROWS], bias[ROWS], value[ROWS * COLUMNS];   \
        static uint32_t column[ROWS * COLUMNS];                                                                               \
        static Run runs[ROWS];                                                                                                \
        uint64_t columns = 0, values = 0, count = 0;                                                                          \
        memset(dense, 0, sizeof dense);                                                                                       \
        for (int r = 0; r + n <= ROWS; r += n, count++) {                                                                     \
            runs[count] = (Run){.count = 0};                                                                                  \
            for (int i = 0; i < n; i++)                                                                                       \
                runs[count].row[i] = (uint32_t)(r + i);                                                                       \
            for (int k = drawn(4); k < COLUMNS; k += 4, runs[count].count++) {                                                \
                column[columns++] = (uint32_t)k;                                                                              \
                for (int i = 0; i < n; i++)                                                                                   \
                    dense[r + i][k] = value[values++] = (REAL)(drawn(9) - 4);                                                 \
            }                                                                                                                 \
        }                                                                                                                     \
        for (int t = 0; t < tokens; t++)                                                                                      \
            for (int k = 0; k < COLUMNS; k++)                                                                                 \
                x[t][k] = (REAL)(drawn(9) - 4);                                                                               \
        for (int r = 0; r < ROWS; r++)                                                                                        \
            bias[r] = (REAL)(drawn(9) - 4);                                                                                   \
        int64_t segment_of[2] = {0, 1};                                                                                       \
        Segment segment = {.runs = count, .n = (uint32_t)n, .abreast = 1};                                                                  \
        Runs weight = {ROWS, COLUMNS, (ROWS + 3) / 4 * 4, 1, n, 1, segment_of, &segment, runs, column, value};                                 \
        Product p = {&weight, {x, COLUMNS, 1}, {y, ROWS, 1}, {NULL, 0, 0}, bias, tokens, RELU};                               \
        if (sparseref_linear(&p, set, sizeof(REAL), threads) != SPARSEREF_DONE)                                               \
            return 1;                                                                                                         \
        for (int t = 0; t < tokens; t++)                                                                                      \
            for (int r = 0; r < ROWS; r++) {                                                                                  \
                REAL sum = bias[r];                                                                                           \
                for (int k = 0; k < COLUMNS; k++)                                                                             \
                    sum += dense[r][k] * x[t][k];                                                                             \
                if (y[t][r] != (sum > 0 ? sum : 0))                                                                           \
                    return 1;                                                                                                 \
            }                                                                                                                 \
        static REAL gradient[ROWS * COLUMNS];                                                                                 \
        memset(gradient, 0, sizeof gradient);                                                                                 \
        Sampled s = {&weight, {y, ROWS, 1}, {x, COLUMNS, 1}, gradient, tokens, NULL};                                         \
        if (sparseref_sampled(&s, set, sizeof(REAL), threads) != SPARSEREF_DONE)                                              \
            return 1;                                                                                                         \
        for (uint64_t i = 0, first = 0, at = 0; i < count; first += runs[i++].count)                                          \
            for (uint32_t k = 0; k < runs[i].count; k++)                                                                      \
                for (int j = 0; j < n; j++, at++) {                                                                           \
                    REAL sum = 0;                                                                                             \
                    for (int t = 0; t < tokens; t++)                                                                          \
                        sum += y[t][runs[i].row[j]] * x[t][column[first + k]];                                                \
                    if (gradient[at] != sum)                                                                                  \
                        return 1;                                                                                             \
                }                                                                                                             \
        return 0;                                                                                                             \
    }
CHECK(float)
CHECK(double)

int main(void)
{
    for (int set = 0; set < sparseref_sets(); set++)
        for (int n = 1; n <= MOST_ROWS; n++)
            for (int tokens = 1; tokens <= MOST_TOKENS; tokens++)
                for (int threads = 1; threads <= 2; threads++)
                    if (sparseref_set_runs_here(set) && (wrong_float(set, n, tokens, threads) || wrong_double(set, n, tokens, threads))) {
                        printf("%s: n = %d, %d tokens, %d threads\n", sparseref_set_name(set), n, tokens, threads);
                        return 1;
                    }
    for (int set = 0; set < sparseref_sets(); set++)
        printf("%s is right\n", sparseref_set_name(set));
    return 0;
}
