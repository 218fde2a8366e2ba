"""Fields of an experiment. A file in `configs/` returns one `Config`.

Every field can be set from the command line: `--config.optim.lr=0.01`.
"""

import dataclasses
import math
import numbers
import re
import types
import typing

from vidshift import differences
from vidshift.data.device.augment import Augment
from vidshift.data.media.pixel_aspect import PIXEL_ASPECTS
from vidshift.data.parallel.workers import WORKER_KINDS
from vidshift.data.views.sampling import DENSE_WINDOW, SAMPLINGS
from vidshift.differences import Difference

if typing.TYPE_CHECKING:
    from vidshift.data.views.view import View

# Not float16, which would need loss scaling.
DTYPES = ("float32", "bfloat16")
ADAPTIVE_MODES = ("off", "mutual", "multi_resolution")
# Ranges of numbers, as an error message has them.
RANGES = {
    "above 0": lambda x: x > 0,
    "0 or more": lambda x: x >= 0,
    "in [0, 1)": lambda x: 0 <= x < 1,
    "in [0, 1]": lambda x: 0 <= x <= 1,
    "in [0, 2**32)": lambda x: 0 <= x < 2**32,
}


def _check_range(name: str, part, needed: str, *fields: str) -> None:
    """Refuses numbers out of a range of `RANGES`; None passes, where a field allows it."""
    for field in fields:
        value = getattr(part, field)
        if value is None:
            continue
        finite = isinstance(value, int) or math.isfinite(value)
        if not (finite and RANGES[needed](value)):
            raise ValueError(f"{name}.{field} must be {needed}, got {value}")
        if isinstance(value, int) and value >= 2**31 and "2**32" not in needed:
            raise ValueError(f"{name}.{field} must be below 2**31, got {value}")


def _check_choice(name: str, part, field: str, choices) -> None:
    value = getattr(part, field)
    if value not in choices:
        raise ValueError(
            f"{name}.{field} must be one of {tuple(choices)}, got {value!r}"
        )


@dataclasses.dataclass(slots=True)
class ModelConfig:
    # A name in vidshift.BACKBONES.
    backbone: str = "resnet50"
    # A name in vidshift.SCHEMES.
    temporal: str = "tsm"
    # Compute type: "float32" or "bfloat16". Parameters stay float32.
    dtype: str = "float32"
    # Fraction of the pooled features that are dropped in training.
    dropout: float = 0.5
    # Options of vidshift.create, documented at the scheme or backbone. None leaves the
    # default. A network refuses an option that it does not know.
    # TSN, TSM, GSM, GSF and RubiksNet: frames read only earlier ones (vidshift.stream).
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
    gate: int | None = None  # 1, -1 or 0 everywhere; None learns it
    fusion: str | None = None
    # Under any scheme, where the backbone has a site for it:
    non_local: bool | None = None
    temporal_pool: bool | None = None
    motion_squeeze: bool | None = None
    # I3D:
    layout: str | None = None
    # GST:
    alpha: int | None = None
    beta: int | None = None
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
    # Frames that a network or sub-network with fewer frames takes from a clip: a name in
    # vidshift.layers.resolution.FRAME_RULES.
    frame_rule: str | None = None
    # Slow and SlowFast:
    head_size: int | None = None

    def options(self) -> dict[str, typing.Any]:
        """Returns the options of `vidshift.create` that are not None, by name."""
        names = {field.name for field in dataclasses.fields(self)}
        names -= {"backbone", "temporal", "dtype"}
        options = {name: getattr(self, name) for name in sorted(names)}
        return {name: value for name, value in options.items() if value is not None}

    def check(self, name: str) -> None:
        _check_range(name, self, "in [0, 1)", "dropout")
        _check_choice(name, self, "dtype", DTYPES)


@dataclasses.dataclass(slots=True)
class DataConfig:
    # A name in vidshift.data.DATASETS, its folder, and its own options.
    name: str = "ordered_motion"
    dir: str = "datasets"
    options: object | None = None
    # Splits. An empty name leaves that evaluation out.
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str = "test"
    # Sampling of a clip's frames, a name in vidshift.data.views.sampling.SAMPLINGS:
    # "segments", one frame from each of num_frames equal parts of the video (TSN);
    # "dense", evenly spaced out of 64 neighbouring frames (TSM);
    # "strided", frame_stride apart at stride_fps frames a second (SlowFast). With None,
    # stride_fps is the video's own rate.
    sampling: str = "segments"
    frame_stride: int = 8
    stride_fps: float | None = 30.0
    # Treatment of pixels that are not square, as in DV and anamorphic DVDs. "ignore"
    # takes frames as they are stored, as the official codes do; "square" scales their
    # width, as a player does.
    pixel_aspect: str = "ignore"
    # Frames of a clip, its short side after resizing, and the side of the crop, in pixels.
    num_frames: int = 8
    resize: int = 256
    crop: int = 224
    # Sides of TSM's multi-scale crop as fractions of the short side, such as
    # (1.0, 0.875, 0.75, 0.66). Empty: one crop of `crop` pixels anywhere.
    scales: tuple[float, ...] = ()
    # Smallest and largest fraction of the frame that a training crop covers, such as
    # (0.08, 1.0). The crop may be anywhere, between 3:4 and 4:3 in shape. Empty: as above.
    area: tuple[float, ...] = ()
    # Smallest and largest short side to which a training frame is resized before the
    # crop, such as (256, 320). Empty: `resize`. The side is drawn uniformly, or with
    # inverse_short_sides so that its inverse is uniform.
    short_sides: tuple[int, ...] = ()
    inverse_short_sides: bool = False
    # Augmentation of training clips' pixels, on the device.
    augment: Augment = dataclasses.field(default_factory=Augment)
    # Random horizontal flips, where the data set says how they change the labels. For a
    # user's own classes their names say it ("swipe left", "swipe right").
    flip: bool = True
    # Flips also clips whose class has another as its mirror image, and swaps their class.
    # Without it they stay as they are (VSN, section 3.4).
    flip_paired: bool = True
    # Mirrored classes that their names do not show: "A=B" for classes that are each
    # other's mirror image, "A=A" for a class that is its own.
    mirror: tuple[str, ...] = ()
    # Per-channel normalisation of RGB in [0, 1]. vidshift/pixels.py has the official
    # values of each backbone.
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    # Decoding workers per training process. Use `process` above about 8 cores, or to
    # survive decoder crashes. With 0 workers the training process decodes by itself.
    workers: int = 2
    worker_kind: str = "thread"
    # The run stops when a larger fraction of the videos read cannot be decoded.
    max_failed_share: float = 0.01

    def view(self) -> "View":
        """Returns the sampling and cropping of the network's clips."""
        # Here, because it decodes: a network is built and trained without a decoder.
        from vidshift.data.views.view import View

        return View(**{f.name: getattr(self, f.name) for f in dataclasses.fields(View)})

    def check(self, name: str) -> None:
        positive = ("num_frames", "resize", "frame_stride", "stride_fps", "crop")
        _check_range(name, self, "above 0", *positive)
        _check_range(name, self, "0 or more", "workers")
        _check_range(name, self, "in [0, 1]", "max_failed_share")
        self.augment.check(f"{name}.augment")
        self._check_crop(name)
        _check_choice(name, self, "sampling", SAMPLINGS)
        if self.sampling == "dense" and self.num_frames > DENSE_WINDOW:
            raise ValueError(
                f"{name}.num_frames must be at most {DENSE_WINDOW} where data.sampling "
                f"is dense, got {self.num_frames}"
            )
        _check_choice(name, self, "pixel_aspect", PIXEL_ASPECTS)
        _check_choice(name, self, "worker_kind", WORKER_KINDS)
        for field in ("mean", "std"):
            values = getattr(self, field)
            if len(values) not in (1, 3):
                raise ValueError(
                    f"{name}.{field} must have 3 numbers, or 1 for flow, got {values}"
                )
        if not self.dir:
            raise ValueError(f"{name}.dir must be a folder, got an empty name")

    def _check_crop(self, name: str) -> None:
        area, sides = self.area, self.short_sides
        if area and not (len(area) == 2 and 0 < area[0] <= area[1] <= 1):
            raise ValueError(
                f"{name}.area must be two shares in (0, 1], in order, got {area}"
            )
        if area and self.scales:
            raise ValueError(f"{name}.area and data.scales are two kinds of crop")
        if sides and not (len(sides) == 2 and self.crop <= sides[0] <= sides[1]):
            raise ValueError(
                f"{name}.short_sides must be two sides, in order, not below the crop of "
                f"{self.crop}, got {sides}"
            )
        if sides and (self.scales or area):
            raise ValueError(
                f"{name}.short_sides and data.scales or data.area are two kinds of crop"
            )
        if self.crop > self.resize and not self.scales:
            raise ValueError(
                f"{name}.crop={self.crop} does not fit in data.resize={self.resize}"
            )


@dataclasses.dataclass(slots=True)
class ShiftConfig:
    """Training of RubiksNet's learned shifts, which have no weight decay."""

    # Learning rate relative to the other parameters', after warmup_epochs (lr) and before
    # (warmup_lr). The paper (A6) has 1:100 "after a warm-up period", and leaves open how
    # long that is and what holds before. Here shifts then stay at their initial values.
    lr: float = 0.01
    warmup_epochs: float = 0.0
    warmup_lr: float = 0.0
    # Form of each channel's gradient: a name in vidshift.training.shift_gradient.FORMS.
    gradient: str = "paper"
    # Factor of time in the gradient, lambda in the paper's equation 9. A6 has 0.1, but
    # calls it Z, which equation 10 computes. The official code's default is 1.
    time_factor: float = 0.1

    def check(self, name: str) -> None:
        fields = ("lr", "warmup_epochs", "warmup_lr", "time_factor")
        _check_range(name, self, "0 or more", *fields)


@dataclasses.dataclass(slots=True)
class AttentionConfig:
    """Training of RubiksNet's attention over frames, which has no weight decay."""

    # The softmax temperature falls exponentially, step by step, from the first to the
    # second over anneal_epochs. None: over the whole run.
    temperature_start: float = 2.0
    temperature_end: float = 1e-3
    anneal_epochs: float | None = None
    # Learning rate relative to the other parameters'. The paper names none.
    lr: float = 1.0
    # Fraction of channels that may move, as the mean over layers (equation 8). None: no
    # budget loss. The paper leaves open the loss's weight and its norm, "absolute" or
    # "squared".
    budget: float | None = None
    budget_weight: float = 1.0
    budget_norm: str = "absolute"

    def check(self, name: str) -> None:
        positive = ("temperature_start", "temperature_end", "anneal_epochs")
        _check_range(name, self, "above 0", *positive)
        _check_range(name, self, "0 or more", "lr", "budget_weight")
        _check_range(name, self, "in [0, 1]", "budget")


@dataclasses.dataclass(slots=True)
class OptimConfig:
    # Peak learning rate of SGD. With lr_batch_size, it is the rate for a batch of
    # lr_batch_size clips, and is scaled linearly to batch_size (Goyal et al., 2017).
    lr: float = 0.01
    lr_batch_size: int | None = None
    # "cosine": to zero, from the end of the warm-up.
    # "cosine_from_start": to zero from the start; the warm-up replaces its first part
    # (SlowFast).
    # "step": times step_factor at each of step_epochs.
    schedule: str = "cosine"
    step_epochs: tuple[float, ...] = (20.0, 40.0)
    step_factor: float = 0.1
    # Linear warm-up from warmup_lr, which is scaled by the batch as lr is. From zero, the
    # first step has one step's rise.
    warmup_epochs: float = 0.0
    warmup_lr: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 5e-4
    # Largest L2 norm of the whole gradient, without shifts whose gradient is normalised.
    # None (also on the command line) does not clip.
    clip_norm: float | None = 20.0
    # Multipliers of learning rate and weight decay by kind of parameter: a name in
    # vidshift.training.optimizer.GROUPS.
    groups: str = "plain"
    # Parts of a batch. Their gradients are averaged before the update.
    accumulate: int = 1
    label_smoothing: float = 0.0
    # Decay of the moving average of weights and statistics, which is evaluated in place
    # of the last ones. None keeps no average.
    ema: float | None = None
    # RubiksNet's own:
    shift: ShiftConfig = dataclasses.field(default_factory=ShiftConfig)
    attention: AttentionConfig = dataclasses.field(default_factory=AttentionConfig)

    def check(self, name: str) -> None:
        positive = ("lr_batch_size", "step_factor", "clip_norm", "accumulate")
        _check_range(name, self, "above 0", *positive)
        least_zero = ("lr", "warmup_epochs", "warmup_lr", "weight_decay")
        _check_range(name, self, "0 or more", *least_zero)
        _check_range(name, self, "in [0, 1)", "momentum", "label_smoothing", "ema")
        self.shift.check(f"{name}.shift")
        self.attention.check(f"{name}.attention")


@dataclasses.dataclass(slots=True)
class AdaptiveConfig:
    """A3D: the sub-networks that are trained with the network."""

    # "off".
    # "mutual": each step also trains the narrowest sub-network and random ones, on the
    # full network's answers.
    # "multi_resolution": no sub-networks, but each step at one random resolution (the
    # baseline of A3D's Table 7).
    mode: str = "off"
    # Fractions of the channels, sides in pixels and numbers of frames, each drawn on its
    # own (in a SlowFast, the Slow pathway's). The narrowest is in every step. A program
    # is compiled for each combination.
    widths: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    sides: tuple[int, ...] = (128, 160, 192, 224)
    frames: tuple[int, ...] = (2, 4, 6, 8)
    # Widths of random sub-networks: "grid", one of `widths`; "uniform", anywhere between
    # the first and the last of them (A3D). The program of the next width of the grid
    # runs a width between two, with its other channels at zero.
    width_draw: str = "grid"
    # Random sub-networks a step besides the narrowest.
    random_networks: int = 1
    # Temperature of both softmaxes in distillation.
    temperature: float = 1.0
    # Most programs that are compiled. A run that needs more is refused.
    max_programs: int = 128
    # Training batches for a sub-network's batch-norm statistics before it is evaluated.
    # A3D names no number; SlowFast's "precise BN" takes 200.
    calibration_batches: int = 200

    def check(self, name: str) -> None:
        positive = ("random_networks", "temperature", "max_programs")
        _check_range(name, self, "above 0", *positive, "calibration_batches")
        _check_choice(name, self, "mode", ADAPTIVE_MODES)
        _check_choice(name, self, "width_draw", ("grid", "uniform"))


@dataclasses.dataclass(slots=True)
class NormConfig:
    # Frozen batch norms: "none", "partial" (all but the first) or "all".
    freeze: str = "none"
    # Clips of a batch statistic; None is the global batch. The batch size over the number
    # of devices gives each device its own statistics.
    group_clips: int | None = None

    def check(self, name: str) -> None:
        _check_range(name, self, "above 0", "group_clips")


@dataclasses.dataclass(slots=True)
class CheckpointConfig:
    # Newest checkpoints that are kept, besides the best by validation top-1 (or mAP,
    # where a clip has several labels).
    keep_last: int = 2
    # Steps between checkpoints besides those after a validation. None adds none.
    every_steps: int | None = None

    def check(self, name: str) -> None:
        _check_range(name, self, "above 0", "keep_last", "every_steps")


@dataclasses.dataclass(slots=True)
class DistributedConfig:
    # "off", "auto" (TPU pods, Slurm, MPI) or "explicit", which needs the three fields
    # below.
    mode: str = "off"
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    # Time for the processes to find each other before the run gives up.
    timeout_seconds: int = 300

    def check(self, name: str) -> None:
        _check_range(name, self, "above 0", "timeout_seconds")


@dataclasses.dataclass(slots=True)
class ProfileConfig:
    # Steps to record for the JAX profiler, such as "100:110": the ten steps that follow
    # 100 updates. None records none.
    steps: str | None = None

    def of_steps(self, steps: int) -> range:
        """Returns those of a run's steps, by the number of updates before them."""
        first, _, last = (self.steps or "0:0").partition(":")
        return range(int(first), int(last))[: max(0, steps - int(first))]

    def check(self, name: str) -> None:
        if self.steps is None:
            return
        numbers = re.fullmatch(r"(\d+):(\d+)", self.steps)
        if not numbers or int(numbers[1]) >= int(numbers[2]):
            raise ValueError(
                f"{name}.steps must be FIRST:LAST with FIRST below LAST, such as "
                f"100:110, got {self.steps!r}"
            )


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
    profile: ProfileConfig = dataclasses.field(default_factory=ProfileConfig)
    # Source of the values in which a paper and its official code differ: "paper" or
    # "code". A value that is set by its own field comes first. Where the paper is silent
    # both are the same. "": neither, or a recipe of ours.
    recipe: str = ""
    # Those values, as a recipe in vidshift/recipes/ declares them. No field to set.
    differences: tuple[Difference, ...] = dataclasses.field(
        default=(), compare=False, repr=False
    )
    # Clips a step, over all devices.
    batch_size: int = 64
    eval_batch_size: int = 64
    epochs: float = 50.0
    # Steps of the whole run in place of epochs. None counts epochs.
    steps: int | None = None
    # Epochs between validations.
    validate_epochs: float = 1.0
    # Protocol of the validations and of the test at the end.
    protocol: str = "1x1"
    # A run or checkpoint with the network's initial weights. An image network's (TSN)
    # suit every scheme. The head is replaced when the classes differ.
    init: str = ""
    seed: int = 0
    # Folder for compiled programs, which the next start need not compile. "auto" is
    # vidshift/compiled in the user's cache ($XDG_CACHE_HOME or ~/.cache), None is none.
    # JAX_COMPILATION_CACHE_DIR and JAX_ENABLE_COMPILATION_CACHE=false come first.
    compilation_cache: str | None = "auto"
    # Steps between lines on the terminal. The metrics file has every step.
    log_steps: int = 50

    def check(self, name: str) -> None:
        positive = ("batch_size", "eval_batch_size", "epochs", "steps")
        _check_range(name, self, "above 0", *positive, "validate_epochs", "log_steps")
        _check_range(name, self, "in [0, 2**32)", "seed")
        if self.recipe or self.differences:
            differences.check(f"{name}.recipe", self.recipe)
        for field in dataclasses.fields(self):
            part = getattr(self, field.name)
            if dataclasses.is_dataclass(part):
                part.check(f"{name}.{field.name}")
        self._check_adaptive(name)
        parts = self.optim.accumulate * (self.norm.group_clips or 1)
        if self.batch_size % parts:
            raise ValueError(
                f"{name}.batch_size={self.batch_size} does not divide by "
                f"optim.accumulate x norm.group_clips = {parts}"
            )

    def _check_adaptive(self, name: str) -> None:
        if self.adaptive.mode == "off":
            return
        if self.optim.accumulate > 1:
            raise ValueError(f"{name}.adaptive.mode does not go with optim.accumulate")
        for field in ("width", "side", "frames"):
            if getattr(self.model, field) is not None:
                raise ValueError(
                    f"{name}.model.{field} is one sub-network's; adaptive.mode trains "
                    f"them all, with adaptive.{field.rstrip('s')}s"
                )


def check(config: Config) -> None:
    """Refuses values that are wrong in every run; names are checked where they are used.

    Raises:
      ValueError: naming the field, the value and what is needed.
    """
    _check_types("config", config)
    config.check("config")


def _check_types(name: str, value) -> None:
    """Refuses values whose type is not their field's; a config file may set any."""
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
    """Returns True if a value is of a type; integers pass as floats, lists as tuples."""
    kinds = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if origin in (types.UnionType, typing.Union):
        return any(_is_of(value, kind) for kind in kinds)
    if origin is tuple:
        # The number of elements is not checked here.
        return isinstance(value, tuple | list) and all(
            _is_of(part, kinds[0]) for part in value
        )
    if hint in (int, float):
        number = numbers.Integral if hint is int else numbers.Real
        return isinstance(value, number) and not isinstance(value, bool)
    return isinstance(value, origin or hint)
