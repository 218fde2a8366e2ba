"""Times PyTorch's TSN and TSM on this machine's device, in the form of vidshift.speed.

    python vidshift/measure/pytorch.py
    python vidshift/measure/pytorch.py --how eager --how max-autotune --dtype bfloat16
    python vidshift/measure/pytorch.py --backbone resnet18 --side 32 --how eager   # a CPU

Needs PyTorch and torchvision, which vidshift does not: `pip install torch torchvision`, or
what https://pytorch.org says for your CUDA. It imports neither vidshift nor JAX, which may
be in another environment. `vidshift measure` runs it where both are in one.

The network is torchvision's, with a head of 174 classes after dropout, and the mean of the
frames' logits; batch norm is not folded. Everything is channels_last. TSM's shift stands
before the first convolution of each block, in one of two forms:

  tsm           as in the official code: zeros of the features' form, three assignments of
                slices of [N, T, C, H, W]
  tsm-cat       the same values as concatenations of [N, T, H, W, C], as the features lie
                in memory

  eager         as it is
  compile       torch.compile of the network, static shapes; in training its backward pass
                too, and the optimiser stays eager (its multi-tensor form)
  max-autotune  the same in that mode, which records CUDA graphs

In bfloat16 the forward pass has weights cast to bfloat16 before; training has float32
weights under autocast. In float32, convolutions and products may use TF32, as JAX does by
default. cuDNN looks for its fastest algorithms. SGD is that of vidshift's defaults:
momentum 0.9, weight decay 5e-4, the gradient clipped to a norm of 20.

Measures and columns are those of `vidshift speed --help`, but for: compile, the
seconds of the first two calls; MB, the largest that was allocated then, weights included
(on CUDA). TSN and TSM take turns, under each `--how` by itself.
"""

import argparse
import contextlib
import json
import pathlib
import statistics
import sys
import time
from collections.abc import Callable

try:
    import torch
    import torchvision
except ImportError as missing:
    print(
        f"pytorch.py: error: {missing}; pip install torch torchvision", file=sys.stderr
    )
    sys.exit(2)

from torch import nn

HOW = {"eager": None, "compile": "default", "max-autotune": "max-autotune"}
DTYPES = ("float32", "bfloat16")
BACKBONES = ("resnet18", "resnet34", "resnet50")  # every block is shifted in these
RESULTS = ("seconds", "seconds_quartiles", "blocks", "clips_per_second", "times_tsn")
RESULTS += ("compile_seconds", "program_bytes", "error")
CLASSES = 174
FOLD_DIV = 8
# As in vidshift/kernels/analysis/timing.py: shorter than this, what is timed is the call.
BLOCK_SECONDS = 0.01
LEAST_BLOCKS = 3


class ShiftedConv(nn.Module):
    """A convolution of features whose first fold is a frame on, the second one back."""

    def __init__(self, conv: nn.Conv2d, frames: int, shift: Callable):
        super().__init__()
        self.conv, self.frames, self.shift = conv, frames, shift
        self.fold = conv.in_channels // FOLD_DIV

    def forward(self, x):  # [B*T, C, H, W]
        return self.conv(self.shift(x, self.frames, self.fold))


def assigned(x: torch.Tensor, frames: int, fold: int) -> torch.Tensor:
    """TSM's shift (Lin et al., 2019, Section 3) of `[B*T, C, H, W]`; zero outside."""
    x = x.unflatten(0, (-1, frames))
    y = torch.zeros_like(x)  # of x's strides: channels stay last
    on, back, rest = slice(0, fold), slice(fold, 2 * fold), slice(2 * fold, None)
    y[:, :-1, on] = x[:, 1:, on]
    y[:, 1:, back] = x[:, :-1, back]
    y[:, :, rest] = x[:, :, rest]
    return y.flatten(0, 1)


def concatenated(x: torch.Tensor, frames: int, fold: int) -> torch.Tensor:
    """The same values."""
    x = x.permute(0, 2, 3, 1).unflatten(0, (-1, frames))  # [B, T, H, W, C]
    zero = torch.zeros_like(x[:, :1, ..., :fold])
    on = torch.cat([x[:, 1:, ..., :fold], zero], 1)
    back = torch.cat([zero, x[:, :-1, ..., fold : 2 * fold]], 1)
    y = torch.cat([on, back, x[..., 2 * fold :]], -1)
    return y.flatten(0, 1).permute(0, 3, 1, 2)


SHIFTS = {"tsn": None, "tsm": assigned, "tsm-cat": concatenated}


class FrameNetwork(nn.Module):
    """Frames `[B*T, 3, H, W]` to the mean of a clip's logits, `[B, CLASSES]`."""

    def __init__(self, backbone: str, temporal: str, frames: int):
        super().__init__()
        self.frames = frames
        self.net = getattr(torchvision.models, backbone)(weights=None)
        head = nn.Linear(self.net.fc.in_features, CLASSES)
        self.net.fc = nn.Sequential(nn.Dropout(0.5), head)
        if shift := SHIFTS[temporal]:
            for stage in range(1, 5):
                for block in getattr(self.net, f"layer{stage}"):
                    block.conv1 = ShiftedConv(block.conv1, frames, shift)

    def forward(self, x):
        return self.net(x).unflatten(0, (-1, self.frames)).mean(1)


def make_program(options, temporal: str, how: str, measure: str, dtype: str, rows: int):
    """A function without arguments: one call of what is measured."""
    torch.manual_seed(0)
    device, kind = _device(), getattr(torch, dtype)
    model = FrameNetwork(options.backbone, temporal, options.frames)
    model = model.to(device, memory_format=torch.channels_last)
    size = rows * options.frames, 3, options.side, options.side
    clips = torch.randn(size, device=device)
    clips = clips.to(kind, memory_format=torch.channels_last)
    training = measure == "train"
    model.train(training)
    if not training:
        model.to(kind)
    run = model
    if HOW[how]:
        run = torch.compile(model, mode=HOW[how], dynamic=False)

    def forward():
        with torch.inference_mode():
            return run(clips)

    def waited_for():
        result = forward()
        wait()
        return result

    if not training:
        return waited_for if measure == "latency" else forward
    labels = torch.randint(CLASSES, (rows,), device=device)
    sgd = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def step():
        sgd.zero_grad(set_to_none=True)
        half = dtype == "bfloat16"
        with torch.autocast(device.type, kind) if half else contextlib.nullcontext():
            loss = nn.functional.cross_entropy(run(clips).float(), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 20.0)
        sgd.step()
        return loss

    return step


def key(options, temporal, how, measure, dtype, rows) -> str:
    return f"{options.backbone}/{temporal} {how} {measure} {rows} {dtype}"


def groups(options) -> list[tuple]:
    """Returns (how, measure, dtype, clips) of what takes turns, most valuable first."""
    first, *others = options.batch
    measures = [("throughput", first)]
    measures += [] if options.no_train else [("train", options.train_batch)]
    measures += [("latency", 1), *(("throughput", rows) for rows in others)]
    dtypes = DTYPES if options.dtype == "both" else [options.dtype]
    return [
        (how, measure, dtype, rows)
        for dtype in dtypes
        for measure, rows in measures
        for how in options.how
    ]


def keys_in(file: pathlib.Path) -> set[str]:
    """Returns the keys of rows in a file that may end in the middle of a line."""
    found = set()
    for text in file.read_text().splitlines() if file.is_file() else ():
        with contextlib.suppress(json.JSONDecodeError):
            row = json.loads(text)
            if not row.get("failed"):
                found.add(row.get("key"))
    return found


def measure_group(options, how: str, measure: str, dtype: str, rows: int) -> list[dict]:
    """Returns the rows of TSN and TSM; one that does not fit in memory says so."""
    torch.compiler.reset()  # a new batch is a new program, not one for any batch
    programs, found = {}, {}
    for temporal in SHIFTS:
        name = f"{options.backbone}/{temporal}"
        found[name] = row = {
            "key": key(options, temporal, how, measure, dtype, rows),
            "name": f"{name} {how}",
            "backbone": options.backbone,
            "temporal": temporal,
            "how": how,
            "measure": measure,
            "dtype": dtype,
            "batch": rows,
            "frames": options.frames,
            "side": options.side,
            **dict.fromkeys(RESULTS),
        }
        print(f"compiling {row['name']} {measure} {dtype} ...", file=sys.stderr)
        try:
            before = _allocated(reset=True)
            program = make_program(options, temporal, how, measure, dtype, rows)
            row["compile_seconds"] = block_seconds(program, 1) + block_seconds(
                program, 1
            )
            if before is not None:
                row["program_bytes"] = _allocated() - before
            programs[name] = program
        except Exception as error:  # noqa: BLE001  the compiler's are of many types
            row |= error_of(error)
    try:
        times = side_by_side(programs, options.seconds)
    except RuntimeError as error:
        times = {}
        for name in programs:
            found[name] |= error_of(error)
    tsn = times.get(f"{options.backbone}/tsn")
    for name, blocks in times.items():
        low, median, high = statistics.quantiles(blocks, n=4, method="inclusive")
        found[name] |= {
            "seconds": median,
            "seconds_quartiles": (low, high),
            "blocks": len(blocks),
            "clips_per_second": rows / median,
            "times_tsn": median / statistics.median(tsn) if tsn else None,
        }
    return list(found.values())


def error_of(error: Exception) -> dict:
    """Returns fields of a row without times; what is `failed` is tried again."""
    text = str(error).lower()
    if any(said in text for said in ("out of memory", "can't allocate memory")):
        return {"error": "out of memory"}
    said = f"{type(error).__name__}: {error}"[:300]
    return {"error": said, "failed": said}


def side_by_side(programs: dict[str, Callable], seconds: float) -> dict[str, list]:
    """Seconds a call of each, in blocks that take turns."""
    start = time.perf_counter()
    runs = {
        name: max(1, round(BLOCK_SECONDS / block_seconds(program, 1)))
        for name, program in programs.items()
    }
    times = {name: [] for name in programs}
    while min(
        map(len, times.values()), default=LEAST_BLOCKS
    ) < LEAST_BLOCKS or time.perf_counter() - start < seconds * len(programs):
        for name, program in programs.items():
            times[name].append(block_seconds(program, runs[name]) / runs[name])
    return times


def block_seconds(program: Callable, runs: int) -> float:
    wait()
    start = time.perf_counter()
    for _ in range(runs):
        program()
    wait()
    return time.perf_counter() - start


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _allocated(*, reset: bool = False) -> int | None:
    """Bytes at the highest since the last reset; None where nobody counts."""
    if not torch.cuda.is_available():
        return None
    if reset:
        torch.cuda.reset_peak_memory_stats()
    return torch.cuda.max_memory_allocated()


def main() -> int:
    options = _parser().parse_args()
    options.how = options.how or ["eager", "compile"]
    options.batch = options.batch or [16]
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("high")
    cuda = torch.cuda.is_available()
    here = {
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "platform": _device().type,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "cuda": torch.version.cuda if cuda else None,
        "cudnn": torch.backends.cudnn.version() if cuda else None,
    }
    if not options.json:
        print(", ".join(f"{k} {v}" for k, v in here.items() if v), end="; ")
        print(f"{options.frames} frames of {options.side} x {options.side}")
    todo = groups(options)
    skipped = keys_in(options.rows) if options.rows else set()
    if options.json:
        print(json.dumps({"jobs": len(todo) * len(SHIFTS)}), flush=True)
    else:
        print(f"\n{HEADING}", flush=True)
    for how, measure, dtype, rows in todo:
        if {key(options, t, how, measure, dtype, rows) for t in SHIFTS} <= skipped:
            continue
        for row in measure_group(options, how, measure, dtype, rows):
            row |= here
            print(json.dumps(row) if options.json else _line(row), flush=True)
    return 0


HEADING = (
    f"{'network':24} {'dtype':8} {'measure':10} {'batch':>5} {'ms':>9} {'(quartiles)':>19} "
    f"{'clips/s':>8} {'x TSN':>6} {'MB':>7} {'compile':>7}"
)


def _line(row: dict) -> str:
    start = f"{row['name']:24} {row['dtype']:8} {row['measure']:10} {row['batch']:5} "
    if row["error"]:
        return start + row["error"]
    low, high = (1e3 * s for s in row["seconds_quartiles"])
    ratio = "-" if row["times_tsn"] is None else f"{row['times_tsn']:.3f}"
    size = "-" if row["program_bytes"] is None else f"{row['program_bytes'] / 1e6:.0f}"
    return start + (
        f"{1e3 * row['seconds']:9.3f} {f'({low:.3f}..{high:.3f})':>19} "
        f"{row['clips_per_second']:8.1f} {ratio:>6} {size:>7} "
        f"{row['compile_seconds']:7.1f}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pytorch.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--backbone", choices=BACKBONES, default="resnet50", help="resnet50")
    add("--how", action="append", choices=HOW, help="eager and compile; repeatable")
    add("--num-frames", type=int, dest="frames", default=8, help="of a clip; 8")
    add("--side", type=int, default=224, help="of a frame, pixels; 224")
    add("--batch", type=int, action="append", help="clips, of throughput; 16")
    add("--train-batch", type=int, default=16, help="clips, of a train step; 16")
    add("--dtype", choices=(*DTYPES, "both"), default="both", help="both")
    add("--seconds", type=float, default=1, help="of timing a row, about; 1")
    add("--no-train", action="store_true", help="leave the train step out")
    add("--json", action="store_true", help="one JSON object a row")
    add("--rows", type=pathlib.Path, metavar="FILE", help="leave out rows in it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
