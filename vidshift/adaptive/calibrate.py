"""Batch-norm statistics of a sub-network, which training does not keep (A3D, 3.3)."""

from collections.abc import Callable

import jax
from flax import nnx

from vidshift.adaptive.subnetwork import Narrow
from vidshift.layers.norm import batch_norms
from vidshift.nets import create
from vidshift.nets.weights import Arrays, named_arrays


def batch_statistics(model: dict) -> Callable[[Arrays, Arrays, jax.Array], Arrays]:
    """`(params, stats, clips) -> statistics` of that batch alone, without dropout.

    Their mean over batches is what the sub-network is evaluated with: a mean of means and
    of Bessel-corrected variances, all batches alike, as US-Nets' and MutualNet's
    calibration computes it (a momentum of 1 / (t + 1) at batch t).

    Args:
      model: the sub-network's arguments of `vidshift.create`; `params` and `stats` are
        the full network's.
    """

    def make():
        network = create(**model)
        for _, norm in batch_norms(network):
            norm.momentum = 0.0
        return nnx.view(network, use_running_average=False)

    subnetwork = Narrow.of(make)

    def of_batch(params: Arrays, stats: Arrays, clips: jax.Array) -> Arrays:
        network = subnetwork.merge(params, stats)
        network(clips)
        return named_arrays(network, nnx.BatchStat)

    return of_batch
