"""The clauses again in plain Python loops, without a line of the reference's: slow, and hard to get wrong."""

import math
from itertools import combinations, product


def slots(a):
    """A sparse array -> the coordinates of the entry in each slot of `values` in row-major order, None for padding."""
    return list(_SLOTS[a.layout.name](a))


def inside(a, coordinates):
    """The coordinates, or None where they lie beyond the array."""
    return coordinates if all(x < side for x, side in zip(coordinates, a.shape, strict=True)) else None


def _dense(a):
    yield from product(*map(range, a.shape))                                               # DENSE-C1


def _masked(a):
    for coordinates in product(*map(range, a.shape)):                                      # MASKED-C1, MASKED-C2
        yield coordinates if a["mask"][coordinates] else None


def _coo(a):
    for i in range(len(a.values)):                                                         # COO-C1
        yield tuple(int(a["coords"][d, i]) for d in range(len(a.shape)))


def _csr(a):
    for row in range(a.shape[0]):                                                          # CSR-C4
        for i in range(a["indptr"][row], a["indptr"][row + 1]):
            yield row, int(a["indices"][i])


def _csc(a):
    for column in range(a.shape[1]):                                                       # CSC-C4
        for i in range(a["indptr"][column], a["indptr"][column + 1]):
            yield int(a["indices"][i]), column


def _bsr(a):
    r, c = a.layout.r, a.layout.c
    for b in range(len(a["indptr"]) - 1):                                                  # BSR-C6
        for i in range(a["indptr"][b], a["indptr"][b + 1]):
            for y, x in product(range(r), range(c)):
                yield inside(a, (b * r + y, int(a["indices"][i]) * c + x))


def _ell(a):
    for row, k in product(*map(range, a.values.shape)):                                    # ELL-C2
        column = int(a["indices"][row, k])
        yield None if column == -1 else (row, column)


def planes(shape, *axes):
    """The coordinates along all other axes, in row-major order, and a function that puts the named ones among them."""
    axes = [axis % len(shape) for axis in axes]
    others = [axis for axis in range(len(shape)) if axis not in axes]
    for batch in product(*(range(shape[axis]) for axis in others)):
        def full(*named, batch=batch):
            where = dict(zip(others, batch, strict=True)) | dict(zip(axes, named, strict=True))
            return tuple(where[axis] for axis in range(len(shape)))
        yield full


def _nm(a):
    m, axis = a.layout.m, a.layout.axis
    for b, full in enumerate(planes(a.shape, axis)):                                       # NM-C3
        for k, j in product(*map(range, a.values.shape[1:])):
            yield inside(a, full(k * m + int(a["idx"][b, k, j])))


def order(n, m, s=False):
    """The minimal-change order of the patterns, as NMG-C3 writes it."""
    if n in (0, m):
        return [list(range(n))]
    first = order(n, m - 1, True)
    second = [[*places, m - 1] for places in order(n - 1, m - 1, not s)]
    return (first[::-1] if s else first) + second


def chunks(layout, fibres):
    """(first fibre, g) of each chunk (NMG-C8, NMG-C9)."""
    patterns = math.comb(layout.m, layout.n)
    first = 0
    while first < fibres:
        left = fibres - first
        short = layout.tail == "short" and left < patterns * layout.g
        yield first, -(-left // patterns) if short else layout.g
        first += patterns * layout.g


def _nmg(a):
    layout = a.layout
    patterns = order(layout.n, layout.m)
    for b, full in enumerate(planes(a.shape, layout.sparse_axis, layout.group_axis)):
        for block in range(a.values.shape[1]):
            slot = 0
            for first, g in chunks(layout, a.shape[layout.group_axis]):
                for places, _ in product(patterns, range(g)):                              # NMG-C4
                    for place in places:
                        yield inside(a, full(block * layout.m + place, first + int(a["idx"][b, block, slot])))
                    slot += 1


def _vnm(a):
    layout = a.layout
    for b, full in enumerate(planes(a.shape, layout.vector_axis, layout.sparse_axis)):
        for i, k, y, j in product(*map(range, a.values.shape[1:])):                        # VNM-C3
            yield inside(a, full(i * layout.v + y, k * layout.m + int(a["idx"][b, i, k, j])))


_SLOTS = {"dense": _dense, "masked": _masked, "coo": _coo, "csr": _csr, "csc": _csc, "bsr": _bsr, "ell": _ell, "nm": _nm,
          "nmg": _nmg, "vnm": _vnm}


def largest(scores, count):
    """The indices of the `count` largest, a tie going to the lower index (SPF-4)."""
    return sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count]


def greedy(scores, g):
    """scores [F][C] of one chunk -> the pattern of each fibre, taken pair by pair, best first (NMGS-S2, NMGS-S3)."""
    pairs = [(-scores[f][p], f, p) for f in range(len(scores)) for p in range(len(scores[0]))]
    owner, room = {}, [g] * len(scores[0])
    for _, f, p in sorted(pairs):
        if f not in owner and room[p]:
            owner[f] = p
            room[p] -= 1
    return [owner[f] for f in range(len(scores))]


def best_total(scores, g):
    """scores [F][C] of one chunk -> the largest total of any assignment, by trying them all (NMGO-S1)."""
    def best(fibres, pattern):
        if pattern < 0:
            return 0.0
        return max(sum(scores[f][pattern] for f in chosen) + best([f for f in fibres if f not in chosen], pattern - 1)
                   for chosen in combinations(fibres, g))
    return best(list(range(len(scores))), len(scores[0]) - 1)
