"""Direction of the gradient of learned shifts, for each channel.

RubiksNet (Fan et al., ECCV 2020), equations 9 and 10, after Active Shift (Jeon and Kim,
2018). A transformation of the gradient of the whole batch. The official code normalises
inside its kernel, on each device and in each call, and sums unit vectors over devices:
with one device and one call that is the form "official" here.
"""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

# (rows t, h, w of a gradient, factor of time) -> (numerators, weights of their squares
# in Z^2, where Z divides). The official code multiplies first, so that its factor is
# squared where the paper's is not.
FORMS = {
    "paper": lambda factor: (factor, factor),
    "official": lambda factor: (factor, factor * factor),
    "none": None,
}


def normalised(
    gradient: Float[Array, "rows C"], *, form: str, time_factor: float
) -> Float[Array, "rows C"]:
    """Computes `(f g_t, g_h, g_w) / Z` by channel, `Z^2 = f' g_t^2 + g_h^2 + g_w^2`.

    f' is f in the paper's form and f^2 in the official one. A channel whose Z is zero
    keeps its gradient, as in the official code, which adds no epsilon either.

    Args:
      gradient: of a shift's learned rows: t, h, w; h, w; or t alone.
      form: a name in `FORMS`; "none" changes nothing.
      time_factor: f.
    """
    if FORMS[form] is None:
        return gradient
    above, below = FORMS[form](time_factor)
    rows, ones = len(gradient), (1.0, 1.0)
    scale = {3: (above, *ones), 2: ones, 1: (above,)}[rows]
    weight = {3: (below, *ones), 2: ones, 1: (below,)}[rows]
    scale, weight = (jnp.asarray(v, gradient.dtype)[:, None] for v in (scale, weight))
    # Divided by its largest part first, a square neither overflows nor vanishes.
    largest = jnp.abs(gradient).max(0, keepdims=True)
    unit = gradient / jnp.where(largest > 0, largest, 1)
    z = jnp.sqrt((weight * unit * unit).sum(0, keepdims=True))
    return jnp.where(z > 0, scale * unit / jnp.where(z > 0, z, 1), gradient)


def normalise_shifts(
    names: set[str], *, form: str, time_factor: float
) -> optax.GradientTransformation:
    """Applies `normalised` to the parameters of these names."""

    def update(grads, params):
        del params
        return {
            name: normalised(g, form=form, time_factor=time_factor)
            if name in names
            else g
            for name, g in grads.items()
        }

    return optax.stateless(update)
