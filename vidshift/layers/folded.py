"""Batch norms in evaluation, folded into the convolutions before them.

`norm(conv(x)) = conv'(x) + bias'` with the kernel times the norm's factor. A convolution's
library then writes normalised features, with the ReLU and a residual's sum, and no pass
over them is left. The factor multiplies a few million weights in place of every feature.
"""

from typing import TypeVar

import jax
from flax import nnx

from vidshift.kernels import Frames
from vidshift.layers.conv import FrameConv
from vidshift.layers.norm import BatchNorm
from vidshift.layers.time_conv import TimeConv

Network = TypeVar("Network", bound=nnx.Module)

# Layers whose results are linear in a kernel with the output channels on its last axis.
LINEAR = (FrameConv, TimeConv, nnx.Linear)


class ChannelBias(nnx.Module):
    """`x + bias`: a batch norm whose factor is in the weights before it."""

    use_running_average = True

    def __init__(self, bias: jax.Array):
        self.bias = nnx.Param(bias)

    def scale_and_bias(self) -> tuple[None, jax.Array]:
        """Returns no factor, and the summand, `[C]`."""
        return None, self.bias[...]

    def __call__(self, x: Frames | jax.Array) -> Frames | jax.Array:
        """Frames or arrays `[..., C]`, in their own type."""
        data = x.data if isinstance(x, Frames) else x
        bias = self.bias[...].astype(data.dtype)
        y = data + bias.reshape((1,) * (data.ndim - 1) + (-1,))
        return x.like(y) if isinstance(x, Frames) else y


class FilterFirstConv(nnx.Module):
    """A `FrameConv` without bias, its kernel `[out, H, W, in]` as cuDNN reads it.

    XLA would transpose the kernel in every call.
    """

    def __init__(self, conv: FrameConv):
        self.kernel = nnx.Param(conv.kernel[...].transpose(3, 0, 1, 2))
        self.strides = conv.strides
        self.padding = conv.padding
        self.feature_group_count = conv.feature_group_count
        self.dtype = conv.dtype

    def __call__(self, x: Frames) -> Frames:
        y = jax.lax.conv_general_dilated(
            x.data.astype(self.dtype),
            self.kernel[...].astype(self.dtype),
            self.strides,
            self.padding,
            dimension_numbers=("HWNC", "OHWI", "HWNC"),
            feature_group_count=self.feature_group_count,
        )
        return x.like(y)


def folded_layers(conv: nnx.Module, norm: nnx.Module) -> tuple[nnx.Module, nnx.Module]:
    """Returns a convolution and its norm as layers that write features once.

    Folds in float32, and rounds the kernel to the convolution's compute type. A norm of
    batch statistics, and layers of other kinds, are returned as they are. Differentiable
    in the weights of both.
    """
    folds = isinstance(conv, LINEAR) and isinstance(norm, BatchNorm)
    if not (folds and norm.use_running_average):
        return conv, norm
    scale, bias = norm.scale_and_bias()
    kernel = conv.kernel[...]
    if conv.bias is not None:
        bias = bias + conv.bias[...] * scale
    # Another object, of the trace that it is made in.
    folded = nnx.merge(*nnx.split(conv))
    scale = scale.reshape((1,) * (kernel.ndim - 1) + (-1,))
    folded.kernel = nnx.Param(_as_used(kernel * scale, conv))
    folded.bias, folded.use_bias = nnx.data(None), False
    return folded, ChannelBias(bias)


def folded(model: Network, *, platform: str | None = None) -> Network:
    """Returns a network for evaluation alone, with its batch norms folded once.

    Weights are in the compute type, so a call reads half of the bytes of float32 ones in
    bfloat16 and folds nothing. The network given stays as it is. Parameters no longer
    have a checkpoint's names, so the network returned can neither be trained nor saved
    as a checkpoint. Norms that follow no convolution directly stay: those before a
    convolution (RubiksNet, a gate's) and those after a gate (GSM, GSF).

    Args:
      model: in evaluation mode; a norm in training mode stays as it is. May be of shapes
        alone.
      platform: "cpu", "gpu" or "tpu", which kernels are laid out for; None is that of
        the weights' device.
    """
    leaves = jax.tree.leaves(nnx.state(model))
    if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in leaves):
        return nnx.eval_shape(lambda model: _fold(model, platform), model)
    if platform is None:
        platform = next(iter(leaves[0].devices())).platform
    # One program: by themselves, the products of each shape would compile one.
    return jax.jit(_fold, static_argnums=1)(model, platform)


def _fold(model: Network, platform: str | None) -> Network:
    """Folds in place."""
    for _, unit in list(nnx.iter_modules(model)):
        # Any kind of unit: its norm follows unless the slot between them is filled.
        if getattr(unit, "between", ...) is not None:
            continue
        unit.conv, unit.norm = folded_layers(unit.conv, unit.norm)
        # A unit that reads the weights itself takes them, and the bias, as they are.
        reads_weights = getattr(unit, "reads_weights", False)
        if reads_weights or not isinstance(unit.norm, ChannelBias):
            continue
        # cuDNN takes a bias of the features' type alone.
        bias = unit.norm.bias
        bias.set_value(_as_used(bias[...], unit.conv))
        if platform == "gpu" and isinstance(unit.conv, FrameConv):
            unit.conv = FilterFirstConv(unit.conv)
    for _, layer in nnx.iter_modules(model):
        if isinstance(layer, LINEAR):
            layer.kernel.set_value(_as_used(layer.kernel[...], layer))
    return model


def _as_used(weights: jax.Array, layer: nnx.Module) -> jax.Array:
    """Returns weights in a layer's compute type; None is that of what it is given."""
    return weights if layer.dtype is None else weights.astype(layer.dtype)
