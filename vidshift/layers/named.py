"""Layers of a network by name."""

from flax import nnx


def layers_of(model: nnx.Module, kind) -> list[tuple[str, nnx.Module]]:
    """Layers of a class, or of several, with their names, from the input on."""
    layers = [(p, m) for p, m in nnx.iter_modules(model) if isinstance(m, kind)]
    # Numbers as numbers; where several branches lie side by side, by their names.
    layers.sort(key=lambda item: [(isinstance(part, str), part) for part in item[0]])
    return [(".".join(map(str, path)), module) for path, module in layers]
