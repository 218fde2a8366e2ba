"""An operation whose implementation is chosen when a program is lowered for a platform.

Never by the host's default device: a program may be compiled for a chip that is not here.
Only what is chosen is traced, so what one kernel cannot do is no other platform's concern.
"""

import functools

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

PLATFORMS = ("cpu", "tpu", "cuda", "rocm")
# primitive -> `choose` of `make_operation`, for who looks into a program.
CHOOSERS = {}
# primitive -> `reference` of `make_operation`, the same as operations of XLA.
REFERENCES = {}


def lowered_for(platform: str, eqn):
    """The jaxpr of what an equation with one of these primitives is on one device."""

    def chosen(*arrays):
        return CHOOSERS[eqn.primitive](platform, 1, *arrays, **eqn.params)(*arrays)

    return jax.make_jaxpr(chosen)(*(v.aval for v in eqn.invars)).jaxpr


def make_operation(name: str, choose, reference):
    """A function of arrays that is one primitive until its platform is known.

    Args:
      name: of the primitive, as errors and jaxprs show it.
      choose: (platform, devices, *arrays, **static) -> the function of the arrays to run
        there; `devices` is how many XLA shares the program out to. It may raise
        `NotImplementedError`.
      reference: (*arrays, **static) -> results. Gives their shapes and dtypes, and the
        derivatives, which are its own.

    Returns:
      A function (*arrays, **static) -> a list of results; static ones are hashable.
      Mapped by `jax.vmap` it is a loop.
    """
    primitive = Primitive(name)
    primitive.multiple_results = True

    @functools.partial(jax.jit, static_argnames=("static",))
    def alone(arrays, static):
        return primitive.bind(*arrays, **dict(static))

    @primitive.def_impl
    def _(*arrays, **static):
        return alone(arrays, tuple(sorted(static.items())))

    @primitive.def_effectful_abstract_eval
    def _(*avals, **static):
        jaxpr = jax.make_jaxpr(functools.partial(reference, **static))(*avals)
        return jaxpr.out_avals, set()

    def lower_for(platform):
        def rule(context, *arrays, **static):
            # In a `shard_map` there is no such number: each device has its own part.
            devices = getattr(context.module_context.axis_context, "num_devices", 1)

            def chosen(*arrays):
                return choose(platform, devices, *arrays, **static)(*arrays)

            return mlir.lower_fun(chosen, multiple_results=True)(context, *arrays)

        return rule

    for platform in PLATFORMS:
        mlir.register_lowering(primitive, lower_for(platform), platform=platform)

    def batch(arrays, dims, **static):
        mapped = [
            jax.numpy.moveaxis(a, d, 0)
            for a, d in zip(arrays, dims, strict=True)
            if d is not None
        ]

        def one(rows):
            rows = iter(rows)
            each = [
                a if d is None else next(rows)
                for a, d in zip(arrays, dims, strict=True)
            ]
            return primitive.bind(*each, **static)

        results = jax.lax.map(one, mapped)
        return results, [0] * len(results)

    batching.primitive_batchers[primitive] = batch

    def jvp(primals, tangents, **static):
        tangents = tuple(ad.instantiate_zeros(t) for t in tangents)
        return jax.jvp(functools.partial(reference, **static), primals, tangents)

    ad.primitive_jvps[primitive] = jvp
    CHOOSERS[primitive] = choose
    REFERENCES[primitive] = reference
    return primitive.bind
