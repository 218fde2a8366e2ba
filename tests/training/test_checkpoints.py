"""Checkpoints: bit-equal, the right ones kept, never a half-written one."""

import contextlib
import shutil
import subprocess

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vidshift import checkpoints
from vidshift.checkpoints import CheckpointError, checksums, saving
from vidshift.checkpoints.saving import Checkpoints
from vidshift.training.state import TrainState, new_state

DESCRIPTION = {"model": {"backbone": "resnet_tiny"}, "classes": ["a", "b"]}


def state(seed: int = 0, *, ema: bool = False) -> TrainState:
    """After one update, so that no part is at its start."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    params = {"stem.conv.kernel": draw(3, 3, 2, 4), "fc.bias": draw(4)}
    stats = {"stem.norm.mean": draw(4), "stem.norm.var": draw(4)}
    tx = optax.sgd(0.1, momentum=0.9)
    start = new_state(params, stats, tx, ema=ema)
    _, opt = tx.update(jax.tree.map(jnp.sin, params), start.opt, params)
    average = {name: draw(*array.shape) for name, array in start.ema.items()}
    return start._replace(step=jnp.int32(seed), opt=opt, ema=average)


def save(workdir, *steps, keep_last=2, **top1) -> None:
    """Saves `state(step)` for each step; `s3=0.5` gives step 3 a score."""
    saved = Checkpoints(workdir, keep_last=keep_last)
    for step in steps:
        score = {"top1": top1[f"s{step}"]} if f"s{step}" in top1 else None
        saved.save(step, state(step), DESCRIPTION, score=score)
    saved.wait()
    saved.close()


@pytest.mark.parametrize("ema", [False, True])
def test_round_trip(tmp_path, ema):
    given = state(7, ema=ema)
    saved = Checkpoints(tmp_path)
    saved.save(7, given, DESCRIPTION)
    saved.wait()
    like = jax.tree.map(jnp.zeros_like, given)
    chex.assert_trees_all_equal(saved.restore(7, like), given, strict=True)
    saved.close()
    checkpoint = checkpoints.find(tmp_path)
    assert checkpoints.read_description(checkpoint) == DESCRIPTION
    # What is evaluated: the average where one is kept.
    chex.assert_trees_all_equal(
        checkpoints.read_weights(checkpoint), given.evaluated(), strict=True
    )


def test_restores_onto_the_devices_of_the_new_run(tmp_path, devices):
    from vidshift.devices.mesh import replicate

    save(tmp_path, 3)
    saved = Checkpoints(tmp_path)
    found = saved.restore(3, replicate(devices, state()))
    saved.close()
    chex.assert_trees_all_equal(found, state(3), strict=True)
    for array in jax.tree.leaves(found):
        assert len(array.sharding.device_set) == 8


def test_keeps_the_last_and_the_best(tmp_path):
    save(tmp_path, 1, 2, 3, 4, 5, s1=0.1, s2=0.9, s3=0.3, s4=0.2, s5=0.4)
    saved = Checkpoints(tmp_path)
    assert saved.steps() == [2, 4, 5] and saved.latest() == 5
    saved.close()
    assert checkpoints.find(tmp_path, "best").name == "2"
    assert checkpoints.find(tmp_path, "last").name == "5"
    best, _ = checkpoints.read_weights(checkpoints.find(tmp_path))
    chex.assert_trees_all_equal(best, state(2).params, strict=True)


def test_the_best_survives_a_resume(tmp_path):
    """Neither a lower score nor none pushes it out; without any the last is the best."""
    save(tmp_path, 0)
    assert checkpoints.find(tmp_path, "best").name == "0"
    save(tmp_path, 1, 2, s1=0.9, s2=0.1, keep_last=1)
    save(tmp_path, 3, 4, s3=0.2, keep_last=1)
    assert checkpoints.find(tmp_path, "best").name == "1"
    assert checkpoints.find(tmp_path, "last").name == "4"


def test_a_later_validation_scores_a_checkpoint(tmp_path):
    save(tmp_path, 1, 2, s1=0.5)
    saved = Checkpoints(tmp_path)
    saved.add_score(2, {"top1": 0.75})
    saved.save(3, state(3), DESCRIPTION, score={"top1": 0.25})
    saved.save(4, state(4), DESCRIPTION, score={"top1": 0.25})
    saved.wait()
    saved.close()
    assert checkpoints.find(tmp_path, "best").name == "2"


def test_an_interrupted_save_is_no_checkpoint(tmp_path):
    save(tmp_path, 1, 2, s1=0.1, s2=0.2)
    root = tmp_path / "checkpoints"
    # What a process that is killed while it writes leaves behind.
    (root / "2").rename(root / "2.orbax-checkpoint-tmp")
    assert checkpoints.find(tmp_path, "best").name == "1"
    assert checkpoints.find(tmp_path, "last").name == "1"
    saved = Checkpoints(tmp_path)
    assert saved.latest() == 1
    chex.assert_trees_all_equal(saved.restore(1, state()), state(1), strict=True)
    saved.save(2, state(2), DESCRIPTION, score={"top1": 0.3})
    saved.wait()
    saved.close()
    assert checkpoints.find(tmp_path).name == "2"


def test_nothing_to_find(tmp_path):
    with pytest.raises(CheckpointError, match="no run or checkpoint: it has no check"):
        checkpoints.find(tmp_path / "nowhere")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(CheckpointError, match="holds no complete checkpoint"):
        checkpoints.find(tmp_path)
    with pytest.raises(CheckpointError, match="'best' or 'last', got 'first'"):
        checkpoints.find(tmp_path, "first")


def test_weights_alone(tmp_path):
    given = state(4)
    checkpoints.write_weights(tmp_path, given.params, given.stats, DESCRIPTION)
    found = checkpoints.find(tmp_path)
    assert found == tmp_path / "checkpoints" / "0"
    assert checkpoints.read_description(found) == DESCRIPTION
    weights = checkpoints.read_weights(found)
    chex.assert_trees_all_equal(weights, (given.params, given.stats), strict=True)
    assert all(isinstance(a, np.ndarray) for a in jax.tree.leaves(weights))


@pytest.mark.parametrize("step", [0, 5])
def test_weights_are_not_written_over_a_run(tmp_path, step):
    other = state(2)
    save(tmp_path, step)
    with pytest.raises(CheckpointError, match="already"):
        checkpoints.write_weights(tmp_path, other.params, other.stats, DESCRIPTION)
    params, _ = checkpoints.read_weights(checkpoints.find(tmp_path))
    chex.assert_trees_all_equal(params, state(step).params, strict=True)


def flip(file, bit=0):
    """Changes one bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1 << bit
    file.write_bytes(content)


def test_one_flipped_bit_anywhere_is_noticed(tmp_path):
    """In every file, by everything that reads the file's item."""
    save(tmp_path, 1, 2, s1=0.5, s2=0.6)
    checkpoint = tmp_path / "checkpoints" / "2"
    readers = {
        "weights": checkpoints.read_weights,
        "description": checkpoints.read_description,
        "metrics": lambda _: checkpoints.find(tmp_path).name == "1" and _raise(),
        "training": lambda _: _restore(tmp_path, 2),
    }
    files = [x for x in checkpoint.rglob("*") if x.is_file()]
    items = {x.relative_to(checkpoint).parts[0] for x in files}
    assert items >= {"SHA256SUMS", *readers}
    for file in files:
        item = file.relative_to(checkpoint).parts[0]
        for bit in (0, 5):
            flip(file, bit)
            name = file.relative_to(checkpoint)
            if item in ("_CHECKPOINT_METADATA", "commit_success.txt"):  # times
                _restore(tmp_path, 2)
                flip(file, bit)
                continue
            for reader in [readers[item]] if item in readers else []:
                with pytest.raises(CheckpointError, match=f"damaged: .*{name}"):
                    reader(checkpoint)
            assert checksums.damage(checkpoint), f"{file}, bit {bit}"
            flip(file, bit)
    assert checksums.damage(checkpoint) is None
    assert checkpoints.find(tmp_path) == checkpoint


def _raise():
    raise CheckpointError("damaged: metrics/metrics, metrics/commit_success.txt")


def _restore(workdir, step):
    with contextlib.closing(Checkpoints(workdir)) as saved:
        saved.restore(step, state())


@pytest.mark.parametrize(
    "harm", ["flipped", "cut", "lost", "added", "no_sums", "folder"]
)
def test_a_damaged_newest_checkpoint_is_set_aside(tmp_path, harm):
    save(tmp_path, 1, 2, 3, s1=0.9, s2=0.3, s3=0.2)
    newest = tmp_path / "checkpoints" / "3"
    file = next(x for x in (newest / "training").rglob("d/*") if x.is_file())
    if harm == "flipped":
        flip(file)
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif harm == "lost":
        file.unlink()
    elif harm == "added":
        file.with_name("other").write_bytes(b"")
    else:
        (newest / "SHA256SUMS").unlink()
    if harm == "folder":
        (newest / "SHA256SUMS").mkdir()
    (line,) = saving.set_damaged_aside(tmp_path, {})
    assert f"{newest} is damaged and set aside: " in line
    assert (tmp_path / "damaged" / "3").is_dir()
    assert checkpoints.find(tmp_path, "last").name == "2"
    assert saving.set_damaged_aside(tmp_path, {}) == []
    save(tmp_path, 3)
    assert checkpoints.find(tmp_path, "last").name == "3"


@pytest.mark.parametrize("harm", ["emptied", "file", "folder"])
def test_a_damaged_score_costs_no_checkpoint(tmp_path, caplog, harm):
    """The score is that of the run's log; without one the checkpoint has none."""
    save(tmp_path, 1, 2, 3, s1=0.5, s2=0.9, s3=0.1)
    item = tmp_path / "checkpoints" / "2" / "metrics"
    for scores, best in (({2: {"top1": 0.9}}, "2"), ({}, "3")):
        if harm == "emptied":
            (item / "metrics").write_bytes(b"")
        elif harm == "file":
            (item / "metrics").unlink()
        else:
            shutil.rmtree(item)
        assert checkpoints.find(tmp_path).name == "3"  # 1 is kept no more
        assert "checkpoints/2 counts as not validated: metrics/" in caplog.text
        (line,) = saving.set_damaged_aside(tmp_path, scores)
        assert ("written anew" if scores else "lost its score") in line
        assert saving.set_damaged_aside(tmp_path, {}) == []
        assert checkpoints.find(tmp_path).name == best
    saved = Checkpoints(tmp_path)
    saved.add_score(2, {"top1": 0.75})
    saved.close()
    assert saving.set_damaged_aside(tmp_path, {}) == []
    assert checkpoints.find(tmp_path).name == "2"


def test_where_no_checkpoint_is_whole_none_is_moved(tmp_path):
    save(tmp_path, 1, 2)
    for step in "12":
        flip(tmp_path / "checkpoints" / step / "weights" / "_METADATA")
    with pytest.raises(
        CheckpointError, match="no checkpoint of .* is whole: .*2 is da"
    ):
        saving.set_damaged_aside(tmp_path, {})
    assert checkpoints.find(tmp_path, "last").name == "2"


def test_sha256sum_reads_the_sums(tmp_path):
    save(tmp_path, 1)
    folder = tmp_path / "checkpoints" / "1"
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True
    )


def test_a_save_that_does_not_fit_is_refused_first(tmp_path, monkeypatch):
    saved = Checkpoints(tmp_path)
    assert saved.latest() is None and saved.steps() == []
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 0)
    )
    with pytest.raises(
        CheckpointError, match="has 0.0 MB free and it takes up to 0.3 MB"
    ):
        saved.save(1, state(1), DESCRIPTION)
    saved.close()
    with pytest.raises(CheckpointError, match="holds no complete checkpoint"):
        checkpoints.find(tmp_path)
