"""Weights that run at any budget of their table, chosen while they run."""

import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from vidshift.adaptive import table
from vidshift.adaptive.subnetwork import Narrow, SubNetwork
from vidshift.nets import create
from vidshift.nets.weights import Arrays


class Adaptive:
    """A network at every budget: `net.at(gflops=10)(clips)`.

    The weights are on the device once. A sub-network adds its batch-norm statistics
    and, when it is first called, a program, which takes its slices of the weights itself.
    All take the same clips, normalised `[B, T, H, W, C]` of the full network's frames and
    side, and give logits `[B, classes]`.

    Args:
      model: the full network's arguments of `vidshift.create`.
      params: its parameters.
      folder: of its table.
      **conditions: of the evaluation whose rows are chosen from; see `Table.under`.
    """

    def __init__(
        self,
        model: dict[str, Any],
        params: Arrays,
        folder: pathlib.Path,
        **conditions: str | int | None,
    ):
        self.model = model
        self.params: Arrays = jax.tree.map(jnp.asarray, params)
        self.folder = folder
        self.table: table.Table = table.read(folder).under(**conditions)
        self._programs: dict[table.BudgetRow, Callable] = {}

    def at(
        self,
        subnetwork: SubNetwork | str | None = None,
        *,
        gflops: float | None = None,
        latency_ms: float | None = None,
    ) -> Callable[[jax.Array], jax.Array]:
        """The most accurate sub-network within a budget, or one by name ("128x2,0.5").

        Raises:
          ValueError: not exactly one is given, or the table has none that fits.
        """
        row = self.row(subnetwork, gflops=gflops, latency_ms=latency_ms)
        if row not in self._programs:
            self._programs[row] = self._program(row)
        return self._programs[row]

    def row(
        self,
        subnetwork: SubNetwork | str | None = None,
        *,
        gflops: float | None = None,
        latency_ms: float | None = None,
    ) -> table.BudgetRow:
        """The row of the table that `at` takes."""
        if subnetwork is None:
            return self.table.choose(gflops=gflops, latency_ms=latency_ms)
        if (gflops, latency_ms) != (None, None):
            raise ValueError("give a sub-network or a budget")
        if isinstance(subnetwork, str):
            subnetwork = SubNetwork.parse(subnetwork)
        return self.table.find(subnetwork)

    def _program(self, row: table.BudgetRow) -> Callable:
        wanted = row.subnetwork.of(self.model)
        network = Narrow.of(lambda: create(**wanted))
        stats = jax.tree.map(jnp.asarray, table.read_statistics(self.folder, row))

        @jax.jit
        def run(params, stats, clips):
            return network.merge(params, stats)(clips)

        return lambda clips: run(self.params, stats, clips)
