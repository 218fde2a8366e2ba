import pytest

from kernels import triton_gpu


@pytest.fixture
def triton_installed(monkeypatch):
    """Which implementation is chosen for a GPU is known without it."""
    monkeypatch.setattr(triton_gpu, "not_installed", lambda: None)
