"""The fields of an experiment. A file in `configs/` returns one `Config`.

Every field can be set from the command line: `--config.optim.lr=0.01`.
"""

import dataclasses
import math
import numbers
import types
import typing

from vidshift.data.device.augment import Augment
from vidshift.data.loading.workers import WORKER_KINDS
from vidshift.data.media.pixel_aspect import PIXEL_ASPECTS
from vidshift.data.views.sampling import DENSE_WINDOW, SAMPLINGS
from vidshift.data.views.view import View

# Half precision would need loss scaling, which bfloat16 does not.
DTYPES = ("float32", "bfloat16")
ADAPTIVE_MODES = ("off", "mutual", "multi_resolution")


@dataclasses.dataclass(slots=True)
class ModelConfig:
    # A name in vidshift.BACKBONES.
    backbone: str = "resnet50"
    # A name in vidshift.SCHEMES.
    temporal: str = "tsm"
    # "float32" or "bfloat16": compute type; parameters stay float32.
    dtype: str = "float32"
    # Share of pooled features dropped in training.
    dropout: float = 0.5
    # Options of vidshift.create, documented at the scheme or backbone. None leaves the
    # default, and a network that does not know an option refuses it.
    # TSN, TSM, GSM, GSF and RubiksNet: no frame reads a later one (vidshift.stream).
    causal: bool | None = None
    # TSM:
    fold_div: int | None = None
    placement: str | None = None
    # VSN:
    shuffle_block: str | None = None
    shuffle_stages: tuple[int, ...] | None = None
    other_blocks: str | None = None
    inverse: str | None = None
    # GSM and GSF:
    ratio: float | None = None
    place: str | None = None
    modules: int | None = None
    gate: int | None = None  # 1, -1 or 0 at every place; None learns it
    fusion: str | None = None
    # Under any scheme, where the backbone has the place:
    non_local: bool | None = None
    temporal_pool: bool | None = None
    # RubiksNet:
    variant: str | None = None
    space: str | None = None
    time: str | None = None
    time_init: str | None = None
    taps: int | None = None
    attention_init: str | None = None
    max_shift: float | None = None
    # MobileNetV2:
    width_mult: float | None = None
    # Slimming and lower resolution (A3D) of one network; see also `Config.adaptive`.
    width: float | None = None
    side: int | None = None
    frames: int | None = None
    # Which frames of a clip a network of fewer sees, also a sub-network: a name in
    # vidshift.layers.resolution.FRAME_RULES.
    frame_rule: str | None = None
    # Slow and SlowFast:
    head_size: int | None = None

    def options(self) -> dict:
        """What `vidshift.create` takes besides the names and the type."""
        own = {f.name for f in dataclasses.fields(self)}
        own -= {"backbone", "temporal", "dtype"}
        given = {name: getattr(self, name) for name in sorted(own)}
        return {name: value for name, value in given.items() if value is not None}


@dataclasses.dataclass(slots=True)
class DataConfig:
    # A name in vidshift.data.DATASETS, where it lies, and its own options.
    name: str = "ordered_motion"
    dir: str = "datasets"
    options: object | None = None
    # Splits; an empty name leaves that evaluation out.
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    # Which frames a clip takes, a name in vidshift.data.views.sampling.SAMPLINGS: "segments",
    # one of each of num_frames equal parts (TSN); "dense", evenly out of 64 neighbours
    # (TSM); "strided", frame_stride apart at stride_fps frames a second, or at the
    # video's own rate with None (SlowFast).
    sampling: str = "segments"
    frame_stride: int = 8
    stride_fps: float | None = 30.0
    # What is done about pixels that are not square, as DV and anamorphic DVDs have them:
    # "ignore" takes frames as they are stored, as the official codes do; "square" scales
    # their width, as a player shows them.
    pixel_aspect: str = "ignore"
    # Frames a clip; the short side after resizing and the crop's side, in pixels.
    num_frames: int = 8
    resize: int = 256
    crop: int = 224
    # Sides of TSM's multi-scale crop as shares of the short side, such as
    # (1.0, 0.875, 0.75, 0.66); empty takes one crop of `crop` pixels anywhere.
    scales: tuple[float, ...] = ()
    # Smallest and largest share of the frame that a training crop covers, at any place
    # and between 3:4 and 4:3 in shape, such as (0.08, 1.0); empty: as above.
    area: tuple[float, ...] = ()
    # Smallest and largest short side that a training frame is resized to before the
    # crop, such as (256, 320); empty: `resize`. Drawn uniformly, or so that its inverse
    # is uniform.
    short_sides: tuple[int, ...] = ()
    inverse_short_sides: bool = False
    # What is done to the pixels of training clips, on the device.
    augment: Augment = dataclasses.field(default_factory=Augment)
    # Random horizontal flips, where the dataset says what they do to the labels; the
    # names of a user's own classes do ("swipe left", "swipe right").
    flip: bool = True
    # What they do not say: "A=B", classes that are each other's mirror image, or "A=A".
    mirror: tuple[str, ...] = ()
    # Per-channel normalisation of RGB in [0, 1]. A backbone's official values are in
    # vidshift/pixels.py.
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    # What decodes beside the training, in each of its processes: so many threads, or
    # processes ("process"), which more than some eight cores take and which a decoder
    # that crashes ends alone. 0: nothing does, the training waits.
    workers: int = 2
    worker_kind: str = "thread"
    # The run stops when a larger share of the videos seen cannot be decoded.
    max_failed_share: float = 0.01

    def view(self) -> View:
        """What the network is shown."""
        return View(**{f.name: getattr(self, f.name) for f in dataclasses.fields(View)})


@dataclasses.dataclass(slots=True)
class ShiftConfig:
    """How learned shifts are trained; only a RubiksNet has some. They do not decay."""

    # Learning rate over that of the other parameters, from warmup_epochs on, and before.
    # The paper (A6): 1:100 "after a warm-up period"; how long, and what holds before, it
    # leaves open. Here shifts then stay where they were drawn.
    lr: float = 0.01
    warmup_epochs: float = 0.0
    warmup_lr: float = 0.0
    # What is made of each channel's gradient: a name in
    # vidshift.training.shift_gradient.FORMS.
    gradient: str = "paper"
    # The factor of time in it. The paper's lambda of equation 9; A6 has 0.1, by the name
    # of Z, which equation 10 computes. The official code's default is 1.
    time_factor: float = 0.1


@dataclasses.dataclass(slots=True)
class AttentionConfig:
    """How RubiksNet's attention over frames is trained. Its weights do not decay."""

    # The softmax' temperature falls exponentially from the first to the last, step by
    # step, over so many epochs; None: over the whole run.
    temperature_start: float = 2.0
    temperature_end: float = 1e-3
    anneal_epochs: float | None = None
    # Learning rate over that of the other parameters; the paper names none.
    lr: float = 1.0
    # Share of channels, the mean over layers, that may move (equation 8); None: no such
    # loss. The paper leaves open its weight and its norm, "absolute" or "squared".
    budget: float | None = None
    budget_weight: float = 1.0
    budget_norm: str = "absolute"


@dataclasses.dataclass(slots=True)
class OptimConfig:
    # Peak learning rate of SGD. With lr_batch_size, that of a batch of lr_batch_size
    # clips, scaled linearly to the batch that is used (Goyal et al., 2017).
    lr: float = 0.01
    lr_batch_size: int | None = None
    # "cosine" to zero from the warm-up's end; "cosine_from_start" to zero from the start,
    # of which the warm-up hides the first part (SlowFast); or "step": times step_factor at
    # each of step_epochs.
    schedule: str = "cosine"
    step_epochs: tuple[float, ...] = (20.0, 40.0)
    step_factor: float = 0.1
    # Linear warm-up, from warmup_lr of a batch of lr_batch_size.
    warmup_epochs: float = 0.0
    warmup_lr: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    # Largest L2 norm of the whole gradient, less that of shifts whose gradient is
    # normalised; None (also on the command line) does not clip.
    clip_norm: float | None = 20.0
    # Learning-rate and decay multipliers by kind of parameter: a name in
    # vidshift.training.optimizer.GROUPS.
    groups: str = "plain"
    # Parts a batch is cut into; their gradients are averaged before the update.
    accumulate: int = 1
    label_smoothing: float = 0.0
    # Decay of the moving average of weights and statistics, which is then what is
    # evaluated; None keeps no average.
    ema: float | None = None
    # RubiksNet's own:
    shift: ShiftConfig = dataclasses.field(default_factory=ShiftConfig)
    attention: AttentionConfig = dataclasses.field(default_factory=AttentionConfig)


@dataclasses.dataclass(slots=True)
class AdaptiveConfig:
    """A3D: the sub-networks that are trained with the network."""

    # "off"; "mutual": a step also trains the narrowest sub-network and random ones, by
    # the full one's answers; "multi_resolution": no sub-network, but every step at one
    # random resolution (the baseline of A3D's Table 7).
    mode: str = "off"
    # Shares of the channels, sides in pixels and numbers of frames that are drawn from,
    # each apart (of a SlowFast, its Slow pathway's). The narrowest is in every step.
    widths: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    sides: tuple[int, ...] = (128, 160, 192, 224)
    frames: tuple[int, ...] = (2, 4, 6, 8)
    # Random sub-networks a step besides the narrowest.
    random_networks: int = 1
    # Of the softmax of both sides in distillation.
    temperature: float = 1.0
    # Most programs that are compiled; fewer pairs of width and resolution are then drawn.
    max_programs: int = 40
    # Training batches over which a sub-network's batch-norm statistics are taken before
    # it is evaluated. A3D names no number; SlowFast's "precise BN" takes 200.
    calibration_batches: int = 200


@dataclasses.dataclass(slots=True)
class NormConfig:
    # "none", "partial" (all but the first batch norm frozen) or "all".
    freeze: str = "none"
    # Clips a batch statistic is taken over; None is the global batch. The batch size
    # over the number of devices gives each device its own statistics.
    group_clips: int | None = None


@dataclasses.dataclass(slots=True)
class CheckpointConfig:
    # Newest checkpoints kept, besides the best by validation top-1 (mAP where a clip has
    # several labels).
    keep_last: int = 2
    # Steps between checkpoints besides those after a validation; None adds none.
    every_steps: int | None = None


@dataclasses.dataclass(slots=True)
class DistributedConfig:
    # "off", "auto" (TPU pods, Slurm, MPI) or "explicit", which takes the three below.
    mode: str = "off"
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    # Give up when the processes have not met after so long.
    timeout_seconds: int = 300


@dataclasses.dataclass(slots=True)
class Config:
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    norm: NormConfig = dataclasses.field(default_factory=NormConfig)
    adaptive: AdaptiveConfig = dataclasses.field(default_factory=AdaptiveConfig)
    checkpoint: CheckpointConfig = dataclasses.field(default_factory=CheckpointConfig)
    distributed: DistributedConfig = dataclasses.field(
        default_factory=DistributedConfig
    )
    # Clips a step, over all devices.
    batch_size: int = 64
    eval_batch_size: int = 64
    epochs: float = 50.0
    # Steps of the whole run instead of epochs; None counts epochs.
    steps: int | None = None
    # Epochs between validations.
    validate_epochs: float = 1.0
    # The protocol of validation and of the test at the end.
    protocol: str = "1x1"
    # A run or checkpoint whose weights the network starts from; an image network's (TSN)
    # are for every scheme. The head is replaced when the classes differ.
    init: str = ""
    seed: int = 0
    # Steps between lines on the terminal; the metrics file has every step.
    log_steps: int = 50


def _check_types(name: str, value) -> None:
    """Refuses values of another type than their field's, which a config file may set."""
    for field, hint in typing.get_type_hints(type(value)).items():
        part = getattr(value, field)
        if dataclasses.is_dataclass(hint):
            if not isinstance(part, hint):
                raise ValueError(
                    f"{name}.{field} must be a {hint.__name__}, got {part!r}"
                )
            _check_types(f"{name}.{field}", part)
        elif not _is_of(part, hint):
            shown = hint.__name__ if isinstance(hint, type) else hint
            raise ValueError(
                f"{name}.{field} must be of the type {shown}, got {part!r}"
            )


def _is_of(value, hint) -> bool:
    """Whether a value is of a type; an integer is a float, and a list a tuple."""
    kinds = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_is_of(value, kind) for kind in kinds)
    if origin is tuple:
        # All of one kind, whatever their number: `check` says which numbers are right.
        return isinstance(value, tuple | list) and all(
            _is_of(part, kinds[0]) for part in value
        )
    if hint in (int, float):
        number = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, origin or hint)


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)


def check(config: Config) -> None:
    """Refuses values that no run could mean; names are checked where they are used.

    Raises:
      ValueError: naming the field, the value and what is needed.
    """
    _check_types("config", config)
    data, optim = config.data, config.optim
    shift, attention = optim.shift, optim.attention
    adaptive = config.adaptive
    share, positive = "in [0, 1)", "above 0"
    needs = {  # field: (value, what is needed); None is left to fields that allow it
        "batch_size": (config.batch_size, positive),
        "eval_batch_size": (config.eval_batch_size, positive),
        "epochs": (config.epochs, positive),
        "steps": (config.steps, positive),
        "validate_epochs": (config.validate_epochs, positive),
        "log_steps": (config.log_steps, positive),
        "seed": (config.seed, "in [0, 2**32)"),
        "model.dropout": (config.model.dropout, share),
        "data.num_frames": (data.num_frames, positive),
        "data.resize": (data.resize, positive),
        "data.frame_stride": (data.frame_stride, positive),
        "data.stride_fps": (data.stride_fps, positive),
        "data.crop": (data.crop, positive),
        "data.workers": (data.workers, "0 or more"),
        "data.max_failed_share": (data.max_failed_share, "in [0, 1]"),
        "optim.lr": (optim.lr, "0 or more"),
        "optim.lr_batch_size": (optim.lr_batch_size, positive),
        "optim.step_factor": (optim.step_factor, positive),
        "optim.warmup_epochs": (optim.warmup_epochs, "0 or more"),
        "optim.warmup_lr": (optim.warmup_lr, "0 or more"),
        "optim.momentum": (optim.momentum, share),
        "optim.weight_decay": (optim.weight_decay, "0 or more"),
        "optim.clip_norm": (optim.clip_norm, positive),
        "optim.accumulate": (optim.accumulate, positive),
        "optim.label_smoothing": (optim.label_smoothing, share),
        "optim.ema": (optim.ema, share),
        "optim.shift.lr": (shift.lr, "0 or more"),
        "optim.shift.warmup_epochs": (shift.warmup_epochs, "0 or more"),
        "optim.shift.warmup_lr": (shift.warmup_lr, "0 or more"),
        "optim.shift.time_factor": (shift.time_factor, "0 or more"),
        "optim.attention.temperature_start": (attention.temperature_start, positive),
        "optim.attention.temperature_end": (attention.temperature_end, positive),
        "optim.attention.anneal_epochs": (attention.anneal_epochs, positive),
        "optim.attention.lr": (attention.lr, "0 or more"),
        "optim.attention.budget": (attention.budget, "in [0, 1]"),
        "optim.attention.budget_weight": (attention.budget_weight, "0 or more"),
        "adaptive.random_networks": (adaptive.random_networks, positive),
        "adaptive.temperature": (adaptive.temperature, positive),
        "adaptive.max_programs": (adaptive.max_programs, positive),
        "adaptive.calibration_batches": (adaptive.calibration_batches, positive),
        "norm.group_clips": (config.norm.group_clips, positive),
        "checkpoint.keep_last": (config.checkpoint.keep_last, positive),
        "checkpoint.every_steps": (config.checkpoint.every_steps, positive),
        "distributed.timeout_seconds": (config.distributed.timeout_seconds, positive),
    }
    holds = {
        positive: lambda x: x > 0,
        "0 or more": lambda x: x >= 0,
        share: lambda x: 0 <= x < 1,
        "in [0, 1]": lambda x: 0 <= x <= 1,
        "in [0, 2**32)": lambda x: 0 <= x < 2**32,
    }
    for field, (value, need) in needs.items():
        if value is not None and not (_is_finite(value) and holds[need](value)):
            raise ValueError(f"config.{field} must be {need}, got {value}")
        if field != "seed" and isinstance(value, int) and value >= 2**31:
            raise ValueError(f"config.{field} must be below 2**31, got {value}")
    data.augment.check("config.data.augment")
    if data.area and not (
        len(data.area) == 2 and 0 < data.area[0] <= data.area[1] <= 1
    ):
        raise ValueError(
            f"config.data.area must be two shares in (0, 1], in order, got {data.area}"
        )
    if data.area and data.scales:
        raise ValueError("config.data.area and data.scales are two kinds of crop")
    if data.short_sides and not (
        len(data.short_sides) == 2
        and data.crop <= data.short_sides[0] <= data.short_sides[1]
    ):
        raise ValueError(
            "config.data.short_sides must be two sides, in order, not below the crop of "
            f"{data.crop}, got {data.short_sides}"
        )
    if data.short_sides and (data.scales or data.area):
        raise ValueError(
            "config.data.short_sides and data.scales or data.area are two kinds of crop"
        )
    if data.sampling not in SAMPLINGS:
        raise ValueError(
            f"config.data.sampling must be one of {tuple(SAMPLINGS)}, got "
            f"{data.sampling!r}"
        )
    if data.sampling == "dense" and data.num_frames > DENSE_WINDOW:
        raise ValueError(
            f"config.data.num_frames must be at most {DENSE_WINDOW} where data.sampling "
            f"is dense, got {data.num_frames}"
        )
    if data.pixel_aspect not in PIXEL_ASPECTS:
        raise ValueError(
            f"config.data.pixel_aspect must be one of {PIXEL_ASPECTS}, got "
            f"{data.pixel_aspect!r}"
        )
    if data.worker_kind not in WORKER_KINDS:
        raise ValueError(
            f"config.data.worker_kind must be one of {WORKER_KINDS}, got "
            f"{data.worker_kind!r}"
        )
    if data.crop > data.resize and not data.scales:
        raise ValueError(
            f"config.data.crop={data.crop} does not fit in data.resize={data.resize}"
        )
    for field, values in (("mean", data.mean), ("std", data.std)):
        if len(values) not in (1, 3):
            raise ValueError(
                f"config.data.{field} must have 3 numbers, or 1 for flow, got {values}"
            )
    if not data.dir:
        raise ValueError("config.data.dir must be a folder, got an empty name")
    if config.model.dtype not in DTYPES:
        raise ValueError(
            f"config.model.dtype must be one of {DTYPES}, got {config.model.dtype!r}"
        )
    if adaptive.mode not in ADAPTIVE_MODES:
        raise ValueError(
            f"config.adaptive.mode must be one of {ADAPTIVE_MODES}, got {adaptive.mode!r}"
        )
    if adaptive.mode != "off":
        if optim.accumulate > 1:
            raise ValueError("config.adaptive.mode does not go with optim.accumulate")
        for field in ("width", "side", "frames"):
            if getattr(config.model, field) is not None:
                raise ValueError(
                    f"config.model.{field} is one sub-network's; adaptive.mode trains them "
                    f"all, with adaptive.{field.rstrip('s')}s"
                )
    parts = optim.accumulate * (config.norm.group_clips or 1)
    if config.batch_size % parts:
        raise ValueError(
            f"config.batch_size={config.batch_size} does not divide by "
            f"optim.accumulate x norm.group_clips = {parts}"
        )
