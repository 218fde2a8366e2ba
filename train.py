"""Trains a video network: `python train.py --config=configs/NAME.py --workdir=DIR`.

Without arguments it trains the small network of `configs/tiny.py` on clips it makes
itself. Any field is set by `--config.field=value`. Started again with the same command,
a run goes on from its last complete checkpoint.
"""

if __name__ == "__main__":
    from vidshift.command_line.errors import one_line

    one_line()  # before the imports, which take seconds

import collections
import contextlib
import functools
import pathlib
import time

import jax
import numpy as np
from absl import flags
from flax import nnx
from ml_collections import config_flags

from vidshift import runs
from vidshift.command_line.errors import check_out, interrupted_at_once
from vidshift.data.device.on_device import normalise, prepare
from vidshift.data.loading.loader import eval_batches, train_batches
from vidshift.data.loading.prefetch import Prefetch
from vidshift.data.sources.datasets import open_split
from vidshift.devices import mesh, peers
from vidshift.evaluation.evaluate import evaluate, make_eval_step
from vidshift.evaluation.protocols import PROTOCOLS
from vidshift.layers.norm import freeze
from vidshift.nets import create, train_view
from vidshift.nets.weights import split
from vidshift.nets.zoo import pick
from vidshift.training import attention, checkpoints, command, optimizer, resume
from vidshift.training.classes import check_classes
from vidshift.training.config import Config, check
from vidshift.training.initial import initial_weights
from vidshift.training.log import NotFiniteError, RunLog, read_metrics
from vidshift.training.losses import check_multi_label, check_tasks
from vidshift.training.mutual import MutualStep
from vidshift.training.state import make_train_step, new_state, params_sha256

HERE = pathlib.Path(__file__).parent
CONFIG = config_flags.DEFINE_config_file(
    "config", None, "A file in configs/; configs/tiny.py if not given."
)
WORKDIR = flags.DEFINE_string("workdir", "runs/tiny", "Where the run is written.")


def main() -> int:
    # Closed in turn however the run ends: what is being saved is saved to the end.
    with contextlib.ExitStack() as cleanup, peers.ending_together():
        return train(CONFIG.value, WORKDIR.value, cleanup)


def train(config: Config, workdir: str, cleanup: contextlib.ExitStack) -> int:
    check(config)
    if "://" in workdir or not workdir:
        raise ValueError(f"--workdir={workdir} must be a folder; mount a remote one")
    check_out("--workdir", workdir, folder=True)

    # ---------------------------------------------------------------- devices
    mesh.start_distributed(config.distributed)
    with interrupted_at_once():
        chief = jax.process_index() == 0  # the first that asks for devices
    say = functools.partial(print, flush=True) if chief else lambda *_: None
    say(f"jax {jax.__version__}\n{mesh.process_table()}")
    devices = mesh.make_mesh()
    mesh.check_batch(
        "batch_size", config.batch_size, devices, parts=config.optim.accumulate
    )
    mesh.check_batch("eval_batch_size", config.eval_batch_size, devices)
    protocol = pick("protocol", config.protocol, PROTOCOLS)
    # A wrong name or option fails here, before any data is made.
    nnx.eval_shape(lambda: create(**runs.describe_model(config, num_classes=2)))

    # ------------------------------------------------------------------- data
    load_split = functools.partial(
        open_split,
        config.data.name,
        data_dir=config.data.dir,
        options=config.data.options,
        mirror=config.data.mirror,
    )
    data = load_split(config.data.train_split)
    if line := check_classes(data, flip=config.data.flip, crops=protocol.crops):
        say(line)
    if data.multi_label:
        check_multi_label(config)
    if data.tasks:
        check_tasks(config)
    best_by = "mAP" if data.multi_label else "top1"
    for name in (config.data.validation_split, config.data.test_split):
        if name:
            load_split(name)  # a wrong name fails now, not after the training
    stop = command.StopRequest()
    view = config.data.view()
    steps_per_epoch = len(data.source) / config.batch_size
    steps = config.steps or round(config.epochs * steps_per_epoch)
    validate_steps = max(1, round(config.validate_epochs * steps_per_epoch))
    own_part = {
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
        "workers": config.data.workers,
        "worker_kind": config.data.worker_kind,
    }

    # ------------------------------------------------------------------ model
    say(f"building {config.model.backbone} with {config.model.temporal}")
    description = runs.describe(config, data)
    normalisation = runs.normalisation(description)
    model = create(**description["model"], rngs=nnx.Rngs(config.seed))
    freeze(model, config.norm.freeze)
    _, params, stats = split(model)
    for_training, _, _ = split(train_view(model, group_clips=config.norm.group_clips))
    for_eval, as_evaluated = runs.for_evaluation(description["model"])
    if chief:
        cleanup.enter_context(checkpoints.lock(workdir))
        validations = [x for x in read_metrics(workdir) if x["kind"] == "validation"]
        scores = {x["step"]: {best_by: x[best_by]} for x in validations if best_by in x}
        for line in checkpoints.set_damaged_aside(workdir, scores):
            say(line)
    mesh.any_process(False)  # all wait until damaged checkpoints are out of the way
    saved = checkpoints.Checkpoints(workdir, keep_last=config.checkpoint.keep_last)
    cleanup.callback(saved.close)
    first = saved.latest() or 0
    if config.init and not first:
        params, stats, report = initial_weights(config.init, params, stats, description)
        say(report)

    # ------------------------------------------------------------------ state
    lr = optimizer.schedule(
        config.optim,
        batch_size=config.batch_size,
        steps=steps,
        steps_per_epoch=steps_per_epoch,
    )
    tx = optimizer.make_optimizer(
        config.optim,
        optimizer.parameter_kinds(model),
        lr,
        steps_per_epoch=steps_per_epoch,
    )
    state = new_state(params, stats, tx, ema=config.optim.ema is not None)
    state = mesh.replicate(devices, state)
    if first > steps:
        raise ValueError(f"{workdir} is at step {first} already, beyond {steps} steps")
    if first:
        stored = checkpoints.read_description(checkpoints.find(workdir, "last"))
        resume.check_same_run(stored, description, workdir)
        state = saved.restore(first, like=state)
        say(f"going on from step {first} of {workdir}")
        for line in resume.changed_fields(stored["config"], description["config"]):
            say(f"  changed since: {line}")

    # ------------------------------------------------------------------- step
    prepared = functools.partial(prepare, flip_labels=data.flip_labels, **normalisation)
    temperature = attention.temperature(
        config.optim.attention, steps=steps, steps_per_epoch=steps_per_epoch
    )
    how = (tx, lr, prepared)
    if config.adaptive.mode == "off":
        one_step = make_train_step(
            for_training,
            *how,
            config.optim,
            seed=config.seed,
            temperature=temperature,
            tasks=data.tasks,
        )
        train_step = lambda _, state, batch: one_step(state, batch)
    else:
        train_step = MutualStep(
            description["model"],
            config,
            *how,
            temperature=temperature,
            mesh=devices,
            say=say,
        )
    eval_view = protocol.view(view)
    eval_step = make_eval_step(
        for_eval,
        functools.partial(normalise, **normalisation),
        devices,
        protocol,
        crop=eval_view.crop,
        modality=data.modality,
        flip_labels=data.flip_labels,
        tasks=data.tasks,
    )

    def score(split_name, params, stats):
        part = load_split(split_name)
        with eval_batches(
            part,
            eval_view,
            clips=protocol.clips,
            crops=protocol.crops,
            batch_size=mesh.fitting_batch(
                config.eval_batch_size, len(part.source), devices
            ),
            **own_part,
        ) as batches:
            scores = evaluate(
                eval_step,
                *as_evaluated(params, stats),
                batches,
                devices,
                tasks=part.tasks,
                stop=lambda: mesh.any_process(bool(stop)),
                videos=len(part.source),
                say=log.say,
            )
        if scores and not scores.labelled:
            raise ValueError(f"the clips of {split_name} have no labels to score")
        return scores and (
            scores.summary(part.reversed_labels)
            | runs.hardening(description["model"], params, stats)
        )

    # ------------------------------------------------------------------- loop
    log = RunLog(
        workdir, step=first, steps=steps, log_steps=config.log_steps, chief=chief
    )
    cleanup.callback(log.close)
    log.say(
        f"{config.model.backbone} with {config.model.temporal}: "
        f"{sum(p.size for p in params.values()):,} parameters, "
        f"{len(data.classes)} classes; {len(data.source)} clips, "
        f"batch {config.batch_size}, {steps} steps; "
        + optimizer.describe(config.optim, config.batch_size)
    )
    own_clips = config.batch_size // jax.process_count()
    put = functools.partial(mesh.shard_batch, devices)
    batches = Prefetch(
        train_batches(
            data,
            view,
            batch_size=config.batch_size,
            seed=config.seed,
            start_step=first,
            flip=config.data.flip,
            augment=config.data.augment,
            max_failed_share=config.data.max_failed_share,
            **own_part,
        ),
        put,
    )
    cleanup.callback(batches.close)
    # Up to `first` only: another process may still be dropping the lines after it.
    validated = {
        line["step"]
        for line in read_metrics(workdir)
        if line["kind"] == "validation" and line["step"] <= first
    }
    running = collections.deque()  # steps given to the device, not yet logged
    leaving = mesh.any_process(bool(stop))

    def finish(all_but: int) -> None:
        """Logs steps that are done, in order; at most `all_but` stay in flight."""
        nonlocal leaving
        while len(running) > all_but:
            number, metrics, waited = running.popleft()
            metrics = jax.device_get(metrics)
            log.train(
                number,
                metrics,
                clips=config.batch_size,
                waited=waited,
                failed=len(batches.failures),
            )
            leaving |= bool(metrics["stop"])

    try:
        for step in range(first, steps + 1):
            checkpoint_score = None
            validation_due = step == steps or (step > 0 and step % validate_steps == 0)
            if validation_due and config.data.validation_split:
                finish(all_but=0)
                if step not in validated and not leaving:
                    figures = score(config.data.validation_split, *state.evaluated())
                    leaving |= figures is None
                    if figures:
                        checkpoint_score = {best_by: figures[best_by]}
                        if step in saved.steps():  # by a run that left before this
                            saved.add_score(step, checkpoint_score)
                        log.figures("validation", step, figures)
                log.restart_clock()
            extra = config.checkpoint.every_steps
            if step > first and (
                validation_due or leaving or (extra and step % extra == 0)
            ):
                finish(all_but=0)
                saved.save(step, state, description, score=checkpoint_score)
            if leaving or step == steps:
                break
            began = time.perf_counter()
            batch = next(batches)
            waited = time.perf_counter() - began
            # Any process's wish to stop reaches all of them with the step's metrics. Of
            # this moment: the rest of the batch has been there for a while.
            batch |= put({"stop": np.full(own_clips, bool(stop))})
            if step == first:
                log.say("compiling the train step")
            state, metrics = train_step(step, state, batch)
            if step == first:
                jax.block_until_ready(metrics)
                seconds = time.perf_counter() - began
                log.say(f"the first step took {seconds:.0f} s, compiling included")
            running.append((step + 1, metrics, waited))
            finish(all_but=2)
    except NotFiniteError as error:
        saved.wait()
        last = saved.latest()
        good = "missing: none was saved" if last is None else f"that of step {last}"
        raise NotFiniteError(f"{error}; the last good checkpoint is {good}") from None
    saved.wait()
    if leaving:
        log.say(f"stopped at step {step} of {workdir}; the same command goes on")
        return stop.exit_code
    log.line("end", steps, params_sha256=params_sha256(jax.device_get(state.params)))

    # ------------------------------------------------------------------- test
    if config.data.test_split:
        best = checkpoints.find(workdir)
        weights = mesh.replicate(devices, checkpoints.read_weights(best))
        figures = score(config.data.test_split, *weights)
        leaving = figures is None
        if figures:
            log.figures("test", steps, figures | {"checkpoint_step": int(best.name)})
    return stop.exit_code if leaving else 0


if __name__ == "__main__":
    command.run(main, config=str(HERE / "configs" / "tiny.py"))
