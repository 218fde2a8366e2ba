"""The metrics file: complete lines, dropped on resume, stopped by NaN, one writer."""

import math

import jax.numpy as jnp
import pytest

from vidshift.training.log import METRICS_FILE, NotFiniteError, RunLog, read_metrics

SHOWN = ("top1", "top5")


def metrics(**values) -> dict:
    return {
        "loss": jnp.float32(1.5),
        "top1": jnp.float32(0.25),
        "lr": jnp.float32(0.1),
        "grad_norm": jnp.float32(2.0),
        "clips": jnp.array([1, 0xABCDEF01], jnp.uint32),
    } | values


def open_log(workdir, *, step=0, steps=10, log_steps=5, chief=True) -> RunLog:
    return RunLog(
        str(workdir), step=step, steps=steps, log_steps=log_steps, chief=chief
    )


def write(workdir, last: int) -> None:
    log = open_log(workdir)
    for step in range(1, last + 1):
        log.train(step, metrics(), clips=8, waited=0.0)
    log.figures("validation", last, {"clips": 4, "top1": 0.5}, SHOWN)
    log.figures("test", last, {"clips": 4, "top1": 0.5}, SHOWN)
    log.line("end", last, params_sha256="00")
    log.close()


def steps(workdir, kind: str) -> list[int]:
    return [line["step"] for line in read_metrics(workdir) if line["kind"] == kind]


def test_a_line_a_step(tmp_path, capsys):
    write(tmp_path, 5)
    assert read_metrics(tmp_path)[0] == {
        "kind": "train",
        "step": 1,
        "loss": 1.5,
        "top1": 0.25,
        "lr": pytest.approx(0.1),
        "grad_norm": 2.0,
        "clips": "00000001abcdef01",
    }
    assert steps(tmp_path, "train") == [1, 2, 3, 4, 5]
    (speed,) = (x for x in read_metrics(tmp_path) if x["kind"] == "speed")
    assert speed["step"] == 5 and speed["clips_per_second"] > 0
    assert list((tmp_path / "tensorboard").iterdir())
    out = capsys.readouterr().out
    assert "step 5/10  loss 1.500  top1  25.0 %" in out
    assert "validation at step 5: top1 50.0 %  (4 clips)" in out


def test_a_cut_last_line_is_dropped(tmp_path):
    write(tmp_path, 3)
    whole = read_metrics(tmp_path)
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"kind": "train", "st')
    assert read_metrics(tmp_path) == whole


def test_resuming_drops_later_lines_and_the_end(tmp_path):
    write(tmp_path, 5)
    with (tmp_path / METRICS_FILE).open("a") as file:
        file.write('{"kind": "tr')
    log = open_log(tmp_path, step=3)
    assert steps(tmp_path, "train") == [1, 2, 3]
    log.train(4, metrics(), clips=8, waited=0.0)
    log.close()
    assert steps(tmp_path, "train") == [1, 2, 3, 4]
    assert {line["kind"] for line in read_metrics(tmp_path)} == {"train"}


def test_resuming_at_the_end_keeps_the_validation(tmp_path):
    write(tmp_path, 5)
    open_log(tmp_path, step=5).close()
    kinds = [line["kind"] for line in read_metrics(tmp_path)]
    assert kinds == ["train"] * 5 + ["speed", "validation"]


@pytest.mark.parametrize(
    ("name", "value"), [("loss", math.nan), ("grad_norm", math.inf)]
)
def test_what_is_not_finite_stops_the_run(name, value, tmp_path):
    log = open_log(tmp_path)
    log.train(1, metrics(), clips=8, waited=0.0)
    with pytest.raises(NotFiniteError, match=f"the {name} is {value} at step 2"):
        log.train(2, metrics(**{name: jnp.float32(value)}), clips=8, waited=0.0)
    assert steps(tmp_path, "train") == [1, 2]  # it can be seen in the file


def test_only_the_chief_writes(tmp_path, capsys):
    log = open_log(tmp_path, chief=False, log_steps=1)
    log.train(1, metrics(), clips=8, waited=0.0)
    log.figures("validation", 1, {"clips": 4, "top1": 0.5}, SHOWN)
    with pytest.raises(NotFiniteError):  # which every process notices
        log.train(2, metrics(loss=jnp.float32(math.nan)), clips=8, waited=0.0)
    log.close()
    assert list(tmp_path.iterdir()) == [] and read_metrics(tmp_path) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("damage", [b"\xfb", b"{", b'{"kind": \x00}'])
def test_a_damaged_line_is_named(tmp_path, damage):
    path = tmp_path / METRICS_FILE
    path.write_bytes(b'{"kind": "train"}\n' + damage + b"\n{}\n")
    with pytest.raises(ValueError, match=f"{path}, line 2, is damaged"):
        read_metrics(tmp_path)


def test_minutes_an_epoch(tmp_path, capsys):
    log = RunLog(
        str(tmp_path), step=0, steps=2, log_steps=2, chief=True, steps_per_epoch=90.0
    )
    for step in (1, 2):
        log.train(step, metrics(), clips=8, waited=0.0)
    log.close()
    (speed,) = [line for line in read_metrics(tmp_path) if line["kind"] == "speed"]
    assert speed["epoch_minutes"] == pytest.approx(1.5 * speed["step_seconds"])
    assert f"{speed['epoch_minutes']:.3g} min/epoch" in capsys.readouterr().out
