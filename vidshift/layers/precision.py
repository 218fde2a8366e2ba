"""Types of sums and statistics: float32 at least, and float64 for float64 features."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike


def wide_dtype(dtype: DTypeLike) -> jnp.dtype:
    """Returns the wider of a type and float32."""
    return jnp.promote_types(dtype, jnp.float32)


def wide(x: jax.Array) -> jax.Array:
    """Casts an array to `wide_dtype` of its own type."""
    return x.astype(wide_dtype(x.dtype))
