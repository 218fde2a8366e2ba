import pytest

from vidshift.kernels import triton_gpu


@pytest.fixture
def triton_installed(monkeypatch):
    """Lets a GPU's implementation be chosen where jax-triton is not installed."""
    monkeypatch.setattr(triton_gpu, "not_installed", lambda: None)
