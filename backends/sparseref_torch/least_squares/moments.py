"""What a Linear gets and what it should give, summed up: means and second moments, which is all that least squares needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Of rows x [N, K] and wanted outputs y [N, O]; about the means, or about 0 where there is no bias to take them up.

    mean_x [K], mean_y [O]; xx [K, K] = mean of x xT; yx [O, K] = mean of y xT
    """

    mean_x: Tensor
    mean_y: Tensor
    xx: Tensor
    yx: Tensor

    def of(self, outputs: slice) -> Moments:
        """Those of some of the outputs."""
        return Moments(self.mean_x, self.mean_y[outputs], self.xx, self.yx[outputs])

    def bias(self, weight: Tensor) -> Tensor:
        """weight [O, K] -> [O], with which the mean output is the wanted one."""
        return self.mean_y - weight @ self.mean_x


class Gatherer:
    """Adds rows up, batch by batch.

    Sums are taken about the first batch's means: about 0, a feature whose mean is large against its spread would lose its
    variance to rounding.
    """

    def __init__(self) -> None:
        self.count = 0

    def add(self, x: Tensor, y: Tensor) -> None:
        """x [N, K], y [N, O]."""
        if not self.count:
            self.shift_x, self.shift_y = x.mean(dim=0), y.mean(dim=0)
            self.sum_x, self.sum_y = torch.zeros_like(self.shift_x), torch.zeros_like(self.shift_y)
            self.xx = x.new_zeros(x.shape[1], x.shape[1])
            self.yx = x.new_zeros(y.shape[1], x.shape[1])
        x, y = x - self.shift_x, y - self.shift_y
        self.sum_x += x.sum(dim=0)
        self.sum_y += y.sum(dim=0)
        self.xx.addmm_(x.T, x)
        self.yx.addmm_(y.T, x)
        self.count += len(x)

    def moments(self, centred: bool) -> Moments:
        """centred: about the means, else about 0."""
        off_x, off_y = self.sum_x / self.count, self.sum_y / self.count
        mean_x, mean_y = self.shift_x + off_x, self.shift_y + off_y
        xx = self.xx / self.count - torch.outer(off_x, off_x)
        yx = self.yx / self.count - torch.outer(off_y, off_x)
        if not centred:
            xx, yx = xx + torch.outer(mean_x, mean_x), yx + torch.outer(mean_y, mean_x)
        return Moments(mean_x, mean_y, xx, yx)
