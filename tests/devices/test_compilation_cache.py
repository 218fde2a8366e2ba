"""Compiled programs that are kept for the next start."""

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache as jax_cache

from vidshift.devices import compilation_cache
from vidshift.devices.compilation_cache import compiling, keep_programs

CHANGED = (
    "jax_compilation_cache_dir",
    "jax_compilation_cache_max_size",
    "jax_enable_compilation_cache",
    "jax_persistent_cache_min_compile_time_secs",
)


@pytest.fixture(autouse=True)
def no_cache():
    """No cache yet, as at the start of a command."""
    before = {name: getattr(jax.config, name) for name in CHANGED}
    jax.config.update("jax_compilation_cache_dir", None)
    jax_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    jax_cache.reset_cache()


def call(say) -> jax.Array:
    x = jnp.arange(8.0)
    with compiling("the step", say, begin=True):
        return jax.jit(lambda x: jnp.sin(x) @ x)(x)  # a new function each time


def test_the_second_start_takes_programs_from_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation_cache, "LEAST_SECONDS", 0.0)
    keep_programs(str(tmp_path / "programs"))
    lines = []
    first, second = call(lines.append), call(lines.append)
    assert first == second
    assert lines == [
        "compiling the step",
        "compiled the step in 0 s",
        "compiling the step",
        f"the step came from the cache in {tmp_path}/programs (0 s)",
    ]
    assert jax.config.jax_compilation_cache_max_size == compilation_cache.MAX_BYTES


def test_a_damaged_program_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setattr(compilation_cache, "LEAST_SECONDS", 0.0)
    keep_programs(str(tmp_path))
    lines = []
    first = call(lines.append)
    for file in tmp_path.glob("*-cache"):
        file.write_bytes(file.read_bytes()[:50])
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache"):
        assert call(lines.append) == first
    assert lines[-1] == "compiled the step in 0 s"


def test_nothing_is_said_of_what_is_compiled_already():
    step, x, lines = jax.jit(jnp.sin), jnp.arange(8.0), []
    step(x)
    with compiling("the step", lines.append):
        step(x)
    assert lines == []


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    keep_programs(str(tmp_path / "file" / "programs"))
    assert jax.config.jax_compilation_cache_dir is None
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"compiled programs are not kept in {tmp_path}/file/programs: Not a directory"
    )


def test_a_full_folder_is_one_line(tmp_path, monkeypatch, capsys):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(compilation_cache.tempfile, "TemporaryFile", full)
    keep_programs(str(tmp_path))
    assert jax.config.jax_compilation_cache_dir is None
    assert "No space left on device" in capsys.readouterr().err


def test_jax_s_own_settings_come_first(tmp_path, monkeypatch):
    jax.config.update("jax_compilation_cache_dir", "elsewhere")
    keep_programs(str(tmp_path))
    assert jax.config.jax_compilation_cache_dir == "elsewhere"
    jax.config.update("jax_compilation_cache_dir", None)
    jax.config.update("jax_enable_compilation_cache", False)
    keep_programs(str(tmp_path))
    assert jax.config.jax_compilation_cache_dir is None


def test_none_keeps_nothing():
    keep_programs(None)
    assert not jax.config.jax_enable_compilation_cache


def test_the_folder_is_in_the_user_s_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    keep_programs()
    folder = tmp_path / "vidshift" / "compiled"
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert folder.is_dir()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert compilation_cache.users_folder() == tmp_path / ".cache/vidshift/compiled"
