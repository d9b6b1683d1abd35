/* What a caller says is looked through, so that nothing can leave the memory that it names: a prepared weight once. */
#include "kernels.h"
#include "sparseref.h"

/* first .. first + count - 1 lie within 0 .. size - 1, whatever overflows. */
static int within(uint64_t first, uint64_t count, int64_t size)
{
    return size >= 0 && first <= (uint64_t)size && count <= (uint64_t)size - first;
}

/* Row i of run r abreast is that of the first of the four, r block rows on. */
static int in_step(const Runs *w, const Run *run, uint32_t r, uint32_t i)
{
    return run->row[i] % (ABREAST * w->block_rows) < w->block_rows && run[r].row[i] == run->row[i] + r * w->block_rows;
}

/* Behind the last column stands 0. */
static int good_column(const Runs *w, const Segment *s, uint32_t column)
{
    return (int64_t)column == w->columns || (column >= s->first_x && column - s->first_x < s->x_columns);
}

static int good_segment(const Runs *w, const Sizes *sizes, const Segment *s)
{
    if (s->n < 1 || s->n > MOST_ROWS || (int64_t)s->n > w->widest_run || !within(s->first_run, s->runs, sizes->runs)
        || !within(s->first_column, 0, sizes->columns) || !within(s->first_value, 0, sizes->values)
        || !within(s->first_x, s->x_columns, w->columns))
        return 0;
    int sixteen = s->abreast == SIXTEEN;
    if (sixteen ? s->n != 1 || s->serves != ONE_TOKEN : s->abreast != 1 && (s->abreast != ABREAST || s->runs % ABREAST))
        return 0;
    uint32_t together = sixteen ? 1 : s->abreast;          /* runs */
    uint64_t column = s->first_column, value = s->first_value;
    for (const Run *run = w->runs + s->first_run, *end = run + s->runs; run < end; run += together) {
        uint64_t columns = longest(run, (int)together) * s->abreast, numbers = sixteen ? columns / sizeof(uint32_t) : columns;
        if (!within(column, numbers, sizes->columns) || !within(value, columns * s->n, sizes->values))
            return 0;
        if (sixteen && run->row[0] % SIXTEEN)              /* the last may lie behind the last row */
            return 0;
        for (uint32_t r = 0; r < together; r++)
            for (uint32_t i = 0; i < s->n; i++)
                if ((int64_t)run[r].row[i] >= w->group_rows || (together > 1 && !in_step(w, run, r, i)))
                    return 0;
        const uint8_t *bytes = (const uint8_t *)(w->column + column);
        for (uint64_t k = 0; k < columns; k++)
            if (!good_column(w, s, sixteen ? byte_column(w, s, bytes[k]) : w->column[column + k]))
                return 0;
        column += numbers;
        value += columns * s->n;
    }
    return 1;
}

int sparseref_check(const Runs *w, const Sizes *sizes)
{
    if (w->rows < 0 || w->columns < 0 || w->rows > MOST_SIDE || w->columns > MOST_SIDE || w->group_rows < 1 || w->groups < 0
        || w->group_rows > MOST_SIDE || w->groups != (w->rows + w->group_rows - 1) / w->group_rows || w->widest_run < 1
        || w->widest_run > MOST_ROWS || w->block_rows < 1 || w->block_rows > MOST_SIDE / ABREAST
        || w->group_rows % (ABREAST * w->block_rows) || sizes->groups != w->groups + 1)
        return SPARSEREF_BAD_ARGUMENT;
    if (w->segment_of[0] < 0 || w->segment_of[0] > sizes->segments)
        return SPARSEREF_BAD_ARGUMENT;
    for (int64_t group = 0; group < w->groups; group++) {
        if (w->segment_of[group + 1] < w->segment_of[group] || w->segment_of[group + 1] > sizes->segments)
            return SPARSEREF_BAD_ARGUMENT;
        for (int64_t s = w->segment_of[group]; s < w->segment_of[group + 1]; s++)
            if (!good_segment(w, sizes, w->segments + s))
                return SPARSEREF_BAD_ARGUMENT;
    }
    return SPARSEREF_DONE;
}

int patches_fit(const Patches *patches, int64_t tokens, int64_t columns)
{
    const int64_t positive[] = {patches->channels, patches->kernel_height, patches->kernel_width, patches->stride_height,
                                patches->stride_width, patches->dilation_height, patches->dilation_width, patches->out_height,
                                patches->out_width};
    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (positive[i] < 1)
            return 0;
    return patches->height >= 0 && patches->width >= 0 && patches->pad_height >= 0 && patches->pad_width >= 0
           && patches->out_height * patches->out_width == tokens
           && patches->channels * patches->kernel_height * patches->kernel_width == columns;
}

int good_places(const uint8_t *places, int64_t patterns, int64_t n, int64_t m)
{
    if (n < 1 || m < n || m > MOST_PLACES || patterns < 1 || patterns > MOST_SIDE)
        return 0;
    for (int64_t i = 0; i < patterns * n; i++)
        if (places[i] >= m || (i % n && places[i] <= places[i - 1]))
            return 0;
    return 1;
}
