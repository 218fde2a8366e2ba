"""Trains a video network: `vidshift train`."""

import argparse
import contextlib
import dataclasses
import functools
import time

import jax
import numpy as np
from flax import nnx

from vidshift import checkpoints, config_file, differences
from vidshift.command_line.errors import check_out, interrupted_at_once
from vidshift.command_line.progress import working
from vidshift.command_line.stop import StopRequest
from vidshift.config import Config, check
from vidshift.data.loading.loader import train_batches
from vidshift.data.loading.prefetch import Prefetch
from vidshift.description import model_arguments
from vidshift.devices import mesh, peers
from vidshift.devices.compilation_cache import compiling, keep_programs
from vidshift.evaluation.protocols import PROTOCOLS
from vidshift.nets import create
from vidshift.nets.zoo import pick
from vidshift.training import optimizer, resume
from vidshift.training.data import open_data
from vidshift.training.experiment import Experiment
from vidshift.training.initial import initial_weights
from vidshift.training.log import InFlight, NotFiniteError, RunLog, validations
from vidshift.training.profile import StepTrace
from vidshift.training.state import params_sha256


def main(options: argparse.Namespace) -> int:
    config = config_file.read(options.config, options.fields)
    # Closed in turn however the run ends: what is being saved is saved to the end.
    with contextlib.ExitStack() as cleanup, peers.ending_together():
        return train(config, options.workdir, cleanup)


def train(config: Config, workdir: str, cleanup: contextlib.ExitStack) -> int:
    check(config)
    if "://" in workdir or not workdir:
        raise ValueError(f"--workdir={workdir} must be a folder; mount a remote one")
    check_out("--workdir", workdir, folder=True)

    # ---------------------------------------------------------------- devices
    mesh.start_distributed(**dataclasses.asdict(config.distributed))
    with interrupted_at_once():
        chief = jax.process_index() == 0  # the first that asks for devices
    say = functools.partial(print, flush=True) if chief else lambda *_: None
    say(f"jax {jax.__version__}\n{mesh.process_table()}")
    for line in differences.lines(config):
        say(line)
    keep_programs(config.compilation_cache, say)
    devices = mesh.make_mesh()
    mesh.check_batch(
        "batch_size", config.batch_size, devices, parts=config.optim.accumulate
    )
    mesh.check_batch("eval_batch_size", config.eval_batch_size, devices)
    protocol = pick("protocol", config.protocol, PROTOCOLS)
    # A wrong name or option fails here, before any data is made.
    nnx.eval_shape(lambda: create(**model_arguments(config, num_classes=2)))

    # ------------------------------------------------------------------- data
    data = open_data(config, crops=protocol.crops, say=say)
    steps = data.steps
    stop = StopRequest()
    loading = {
        "process_index": jax.process_index(),
        "process_count": jax.process_count(),
        "workers": config.data.workers,
        "worker_kind": config.data.worker_kind,
    }

    # ------------------------------------------------------- network and state
    what = f"building {config.model.backbone} with {config.model.temporal}"
    with working(what, say, begin=True):
        experiment = Experiment.of(
            config,
            data.train,
            steps=steps,
            steps_per_epoch=data.steps_per_epoch,
            rngs=nnx.Rngs(config.seed),
        )
    description, task = experiment.description, data.train.task
    saved = resume.open_checkpoints(config, workdir, task.best_by, cleanup, say)
    start_step = saved.latest() or 0
    weights = experiment.weights()
    if config.init and not start_step:
        *weights, report = initial_weights(config.init, *weights, description)
        say(report)
    elif config.norm.freeze != "none" and not start_step:
        say(
            f"warning: norm.freeze={config.norm.freeze}: norms are frozen at their first "
            "values: --config.init is missing"
        )
    if start_step > steps:
        raise ValueError(
            f"{workdir} is at step {start_step} already, beyond {steps} steps"
        )
    state = mesh.replicate(devices, experiment.new_state(*weights))
    state = resume.go_on(saved, state, description, workdir, say)

    # ------------------------------------------------------------------ steps
    train_step = experiment.train_step(devices, say)
    log = RunLog(
        workdir,
        step=start_step,
        steps=steps,
        log_steps=config.log_steps,
        chief=chief,
        steps_per_epoch=data.steps_per_epoch,
    )
    cleanup.callback(log.close)
    score = experiment.scorer(
        devices,
        protocol,
        data.open,
        stop=lambda: mesh.any_process(bool(stop)),
        say=log.say,
        **loading,
    )

    # ------------------------------------------------------------------- loop
    log.say(
        f"{config.model.backbone} with {config.model.temporal}: "
        f"{sum(p.size for p in state.params.values()):,} parameters, "
        f"{len(description.classes)} classes; {len(data.train.source)} clips, "
        f"batch {config.batch_size}, {steps} steps; "
        + optimizer.describe(config.optim, config.batch_size)
    )
    put = functools.partial(mesh.shard_batch, devices)
    batches = Prefetch(
        train_batches(
            data.train,
            config.data.view(),
            batch_size=config.batch_size,
            seed=config.seed,
            start_step=start_step,
            flip=config.data.flip,
            flip_paired=config.data.flip_paired,
            augment=config.data.augment,
            max_failed_share=config.data.max_failed_share,
            **loading,
        ),
        put,
    )
    cleanup.callback(batches.close)
    in_flight = InFlight(
        log, config.batch_size, batches.failures, leaving=mesh.any_process(bool(stop))
    )
    trace = StepTrace(config.profile.of_steps(steps), workdir, log, in_flight)
    cleanup.callback(trace.close)
    # Up to `start_step` only: another process may still be dropping the lines after it.
    validated = [step for step in validations(workdir) if step <= start_step]
    try:
        for step in range(start_step, steps + 1):
            trace.end_before(step)
            checkpoint_score = None
            validation_due = step == steps or (
                step > 0 and step % data.validate_steps == 0
            )
            if validation_due and config.data.validation_split:
                in_flight.finish(all_but=0)
                if step not in validated and not in_flight.leaving:
                    figures = score(config.data.validation_split, *state.evaluated())
                    in_flight.leaving |= figures is None
                    if figures:
                        checkpoint_score = {task.best_by: figures[task.best_by]}
                        if step in saved.steps():  # by a run that left before this
                            saved.add_score(step, checkpoint_score)
                        log.figures("validation", step, figures, task.metrics)
                log.restart_clock()
            every_steps = config.checkpoint.every_steps
            extra_due = every_steps and step % every_steps == 0
            if step > start_step and (validation_due or in_flight.leaving or extra_due):
                in_flight.finish(all_but=0)
                saved.save(step, state, description.to_json(), score=checkpoint_score)
            if in_flight.leaving or step == steps:
                break
            with trace.step(step), jax.transfer_guard("disallow"):
                began = time.perf_counter()
                batch = next(batches)
                waited = time.perf_counter() - began
                # Any process's wish to stop reaches all of them with the step's metrics.
                # Of this moment: the rest of the batch has been there for a while.
                clips_here = config.batch_size // jax.process_count()
                batch |= put({"stop": np.full(clips_here, bool(stop))})
                if step == start_step:
                    with compiling("the train step", log.say, begin=True):
                        state, metrics = train_step(step, state, batch)
                    log.restart_clock()
                else:
                    state, metrics = train_step(step, state, batch)
                in_flight.append(step + 1, metrics, waited)
                in_flight.finish(all_but=2)
    except NotFiniteError as error:
        saved.wait()
        last = saved.latest()
        good = "missing: none was saved" if last is None else f"that of step {last}"
        raise NotFiniteError(f"{error}; the last good checkpoint is {good}") from None
    saved.wait()
    if in_flight.leaving:
        log.say(f"stopped at step {step} of {workdir}; the same command goes on")
        return stop.exit_code
    log.line("end", steps, params_sha256=params_sha256(jax.device_get(state.params)))

    # ------------------------------------------------------------------- test
    if config.data.test_split:
        best = checkpoints.find(workdir)
        weights = mesh.replicate(devices, checkpoints.read_weights(best))
        figures = score(config.data.test_split, *weights)
        if not figures:
            return stop.exit_code
        figures |= {"checkpoint_step": int(best.name)}
        log.figures("test", steps, figures, task.metrics)
    return 0
