/* From an image to an x tile: im2col, a tile at a time.
 *
 *   places of the tile      row 3: 5 6 7   row 4: 0 1 2 3 ...      a stretch for each row of places that the tile touches
 *   entry (i, j)            of every stretch the part that lies on the image is copied, from each channel; the rest is 0
 *
 * A stretch that goes on where the last one ends, in the tile and on the image, is one with it, as under a kernel of one entry.
 */
#ifndef SPARSEREF_PATCHES_H
#define SPARSEREF_PATCHES_H

#include "runs.h"
#include "vectors.h"

enum { MOST_PLACES_OF_TILE = MOST_VECTORS * 16 };

typedef struct {
    int64_t to, count, from;       /* places in the tile; where in a channel they begin */
} Stretch;

static int goes_on(Stretch one, Stretch next, int64_t step)
{
    return one.to + one.count == next.to && one.from + one.count * step == next.from;
}

/* Stretches of the tile's places, from `first` on, whose entry (i, j) lies on the image; -> how many. */
static int stretches(const Patches *p, int64_t first, int64_t tokens, int64_t i, int64_t j, Stretch *found)
{
    int64_t step = p->stride_width * p->column_stride;
    int count = 0;
    for (int64_t t = 0, next; t < tokens; t = next) {
        int64_t row = (first + t) / p->out_width, begin = (first + t) % p->out_width;
        int64_t end = p->out_width - begin < tokens - t ? p->out_width : begin + tokens - t;
        next = t + end - begin;
        int64_t y = row * p->stride_height + i * p->dilation_height - p->pad_height;
        int64_t shift = j * p->dilation_width - p->pad_width;          /* x = place * stride + shift has to be 0 .. width - 1 */
        int64_t lowest = shift < 0 ? (-shift + p->stride_width - 1) / p->stride_width : 0;
        int64_t beyond = p->width > shift ? (p->width - shift + p->stride_width - 1) / p->stride_width : 0;
        int64_t from = begin > lowest ? begin : lowest, to = end < beyond ? end : beyond;
        if (y < 0 || y >= p->height || from >= to)
            continue;
        Stretch next_one = {t + from - begin, to - from, y * p->row_stride + (from * p->stride_width + shift) * p->column_stride};
        if (count && goes_on(found[count - 1], next_one, step))
            found[count - 1].count += next_one.count;
        else
            found[count++] = next_one;
    }
    return count;
}

#define COPY_TWICE(size)                                                        \
    if (count >= size) {                                                        \
        memcpy(to, from, size * sizeof(REAL));                                  \
        memcpy(to + count - size, from + count - size, size * sizeof(REAL));    \
        return;                                                                 \
    }

/* Numbers that lie side by side: whole vectors; of what is left, as of few, the end is copied over what is there already. */
ALWAYS_INLINE void copy_some(REAL *to, const REAL *from, int64_t count)
{
    if (count >= LANES) {
        for (int64_t t = 0; t + LANES <= count; t += LANES)
            store(to + t, load(from + t));
        if (count % LANES)
            store(to + count - LANES, load(from + count - LANES));
        return;
    }
    COPY_TWICE(8)
    COPY_TWICE(4)
    COPY_TWICE(2)
    if (count)
        *to = *from;
}

static void pack_patches(const Patches *p, int64_t first, int64_t tokens, int width, REAL *tile)
{
    int64_t entries = p->kernel_height * p->kernel_width, step = p->stride_width * p->column_stride;
    Stretch of_entry[MOST_PLACES_OF_TILE];
    for (int64_t entry = 0; entry < entries; entry++) {
        int count = stretches(p, first, tokens, entry / p->kernel_width, entry % p->kernel_width, of_entry);
        int whole = count == 1 && of_entry->count == width;
        for (int64_t channel = 0; channel < p->channels; channel++) {
            const REAL *from = (const REAL *)p->image + channel * p->channel_stride;
            REAL *to = tile + (channel * entries + entry) * width;
            for (int t = 0; t < width && !whole; t += LANES)
                store(to + t, (vec){0});
            for (const Stretch *s = of_entry; s < of_entry + count; s++)
                if (step == 1)
                    copy_some(to + s->to, from + s->from, s->count);
                else
                    for (int64_t t = 0; t < s->count; t++)
                        to[s->to + t] = from[s->from + t * step];
        }
    }
}

#endif
