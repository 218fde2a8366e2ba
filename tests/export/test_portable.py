"""What an exported function consists of."""

import jax

from vidshift.export.portable import portable


def test_what_depends_on_the_platform_is_its_default():
    def function(x):
        return (
            jax.lax.platform_dependent(
                x, tpu=lambda x: x + 1, cuda=lambda x: x + 2, default=lambda x: x * 3
            ),
        )

    exported = jax.make_jaxpr(portable(function))(4.0)
    assert "platform_index" not in str(exported)
    (result,) = portable(function)(4.0)
    assert result == 12
