"""Small networks for tests, with random weights and statistics.

Initialising a network eagerly compiles one program a shape, which takes longer than most
tests; drawing its arrays with NumPy does not, and makes running statistics differ from
their start.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vidshift import create
from vidshift.kernels import Frames
from vidshift.nets import drawn
from vidshift.nets.resnet import ResNet, basic_units
from vidshift.nets.weights import named_arrays, split
from vidshift.shifts import SCHEMES, Scheme, Site

# A shift goes less far than a place.
DRAWS = {leaf: draw for leaf, draw in drawn.DRAWS.items() if leaf != "shift"}


def random_network(make: Callable[[], nnx.Module], *, seed: int = 0) -> nnx.Module:
    """The network that `make` builds; what is no array (`freeze`) is kept."""
    return drawn.random_network(nnx.eval_shape(make), seed=seed, draws=DRAWS)


def abstract(backbone: str, temporal: str = "tsn", **options) -> nnx.Module:
    """A network by name, of shapes alone; 4 classes and 8 frames unless options say."""
    options = {"num_classes": 4, "num_frames": 8} | options
    return nnx.eval_shape(lambda: create(backbone, temporal, **options))


def count(model: nnx.Module) -> int:
    """Counts parameters."""
    return sum(p.size for p in named_arrays(model, nnx.Param).values())


def tiny(temporal: str = "tsm", **options) -> nnx.Module:
    """`resnet_tiny`, three blocks, 4 classes."""
    options = {"num_classes": 4, "num_frames": 4} | options
    return random_network(lambda: create("resnet_tiny", temporal, **options))


def resnet(blocks: tuple[int, ...], *, temporal: str = "tsm", **options) -> nnx.Module:
    """A ResNet of base 8, 4 classes; without blocks it is a stem and a head.

    For `nnx.eval_shape` or `random_network`.
    """
    return ResNet(
        SCHEMES[temporal](),
        blocks=blocks,
        block_units=basic_units,
        base=8,
        small_stem=True,
        num_classes=4,
        num_frames=4,
        rngs=nnx.Rngs(0),
        **options,
    )


def unannotated(kind: type, **options):
    """A dataclass of options as users make it: annotations are not checked."""
    made = object.__new__(kind)
    vars(made).update(options)
    made.__post_init__()
    return made


class Noting(Scheme):
    """Keeps the sites that it is asked for, and changes nothing."""

    def __init__(self):
        self.sites: list[Site] = []

    def place(self, site, module):
        self.sites.append(site)
        return module


def assert_learns(module: nnx.Module, run: Callable, *, undone: tuple = ()) -> None:
    """Every gradient is finite and none is zero, and every statistic moves.

    Args:
      module: in training mode.
      run: from the module to its output.
      undone: ends of the names whose gradient is but rounding: a norm or a softmax
        after them undoes what they add.
    """
    skeleton, params, stats = split(module)

    @jax.jit
    def step(params):
        def loss(params):
            module = skeleton.merge(params, stats)
            # The sum of squares of what a norm gives is always the same.
            cubes = run(module).astype(jnp.float32) ** 3
            return cubes.sum(), named_arrays(module, nnx.BatchStat)

        return jax.grad(loss, has_aux=True)(params)

    gradients, after = step(params)
    for name, gradient in gradients.items():
        assert np.isfinite(gradient).all(), name
        assert name.endswith(undone) or np.abs(gradient).max() > 1e-6, name
    for name, array in after.items():
        moved = (array != stats[name]).any()
        assert np.isfinite(array).all() and moved != name.endswith("temperature"), name


def in_parts(clips: jnp.ndarray, parts: int) -> Frames:
    """The frames that `Frames.of` makes of clips on that many devices."""
    each = [Frames.of(part) for part in jnp.split(clips, parts)]
    return Frames(jnp.concatenate([x.data for x in each], 2), clips.shape[1], parts)


def random_clips(*shape: int, seed: int = 1) -> jnp.ndarray:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)
