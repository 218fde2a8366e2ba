"""Compares vidshift with PyTorch on this machine's CPU, in rounds that take turns.

    python benchmarks/cpu.py --torch-python ENV/bin/python
    python benchmarks/cpu.py --torch-python ENV/bin/python --rounds 9 --json

Each library runs in a process of its own and computes only when it is its turn: A B A B.
PyTorch and torchvision may be in another environment; its network is that of
`vidshift/measure/pytorch.py`, eager and channels_last, in float32. On a machine that others use too,
compare the CPU seconds, which hardly depend on them.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

# name -> (backbone, measure, side, clips)
ROWS = {
    "quick_start_train": ("resnet_tiny", "train", 32, 16),
    "resnet50_latency": ("resnet50", "latency", 224, 1),
    "resnet50_train": ("resnet50", "train", 224, 2),
}
FRAMES, CLASSES = 8, 174
# Calls a turn: a quick step is shorter than a process needs to wake up.
CALLS = {"quick_start_train": 20}


def of_vidshift(backbone: str, measure: str, side: int, clips: int):
    import jax
    from flax import nnx

    import vidshift
    from vidshift.speed import step_programs

    def create():
        options = {"num_classes": CLASSES, "num_frames": FRAMES, "rngs": nnx.Rngs(0)}
        return vidshift.create(backbone, "tsm", **options)

    shape = clips, FRAMES, side, side, 3
    batch = jax.random.normal(jax.random.key(0), shape)
    program, _ = step_programs.compiled(nnx.eval_shape(create), measure, batch)
    return lambda: jax.block_until_ready(program())


def of_torch(backbone: str, measure: str, side: int, clips: int):
    import torchvision
    from torch import nn
    from torchvision.models.resnet import BasicBlock

    class Tiny(nn.Module):
        """vidshift's `resnet_tiny`, with torchvision's names."""

        def __init__(self, weights=None):
            super().__init__()

            def block(cin, cout):
                shortcut = nn.Conv2d(cin, cout, 1, 2, bias=False)
                shortcut = nn.Sequential(shortcut, nn.BatchNorm2d(cout))
                return nn.Sequential(BasicBlock(cin, cout, 2, shortcut))

            stem = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
            self.stem = nn.Sequential(stem, nn.BatchNorm2d(16), nn.ReLU(inplace=True))
            self.layer1 = nn.Sequential(BasicBlock(16, 16))
            self.layer2, self.layer3 = block(16, 32), block(32, 64)
            self.layer4 = nn.Sequential()
            self.fc = nn.Linear(64, CLASSES)

        def forward(self, x):
            x = self.layer3(self.layer2(self.layer1(self.stem(x))))
            return self.fc(x.mean((2, 3)))

    # By its path: PyTorch's environment need not have vidshift.
    file = pathlib.Path(__file__).parents[1] / "vidshift" / "measure" / "pytorch.py"
    spec = importlib.util.spec_from_file_location("pytorch_network", file)
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    torchvision.models.resnet_tiny = Tiny
    options = argparse.Namespace(backbone=backbone, frames=FRAMES, side=side)
    return networks.make_program(options, "tsm", "eager", measure, "float32", clips)


LIBRARIES = {"vidshift": of_vidshift, "torch": of_torch}


def take_turns(library: str, row: str) -> None:
    """Answers each line of the input with the seconds of a call, wall and CPU."""
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr
    program, calls = LIBRARIES[library](*ROWS[row]), CALLS.get(row, 1)
    for _ in range(3):
        program()
    print("ready", file=replies, flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(calls):
            program()
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        print(json.dumps([s / calls for s in seconds]), file=replies, flush=True)


def compare(row: str, rounds: int, pythons: dict[str, str]) -> dict:
    """Runs both libraries' programs of a row; what it prints."""
    here = pathlib.Path(__file__)
    processes = {}
    times = {name: [] for name in LIBRARIES}
    try:
        for name, python in pythons.items():
            command = [python, str(here), "--turns", name, "--row", row]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            processes[name] = subprocess.Popen(command, **pipes)
            answer(processes[name], name)
        for _ in range(rounds):
            for name, process in processes.items():
                print("go", file=process.stdin, flush=True)
                times[name].append(json.loads(answer(process, name)))
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    backbone, measure, side, clips = ROWS[row]
    result = {"row": row, "backbone": backbone, "measure": measure, "side": side}
    result |= {"batch": clips, "rounds": rounds}
    for kind, place in (("wall", 0), ("cpu", 1)):
        both = {}
        for name, pairs in times.items():
            both[name] = [pair[place] for pair in pairs]
            result[f"{name}_{kind}_median"] = statistics.median(both[name])
            result[f"{name}_{kind}_least"] = min(both[name])
        ratios = [a / b for a, b in zip(both["vidshift"], both["torch"], strict=True)]
        result[f"{kind}_ratio"] = statistics.median(ratios)
    return result


def answer(process: subprocess.Popen, name: str) -> str:
    line = process.stdout.readline()
    if not line:
        sys.exit(f"cpu.py: {name} ended with status {process.wait()}")
    return line


def line_of(result: dict) -> str:
    figures = " ".join(
        f"{1e3 * result[f'{name}_{kind}_{which}']:11.1f}"
        for kind in ("wall", "cpu")
        for name in LIBRARIES
        for which in ("median", "least")
    )
    ratios = f"{result['wall_ratio']:10.2f} {result['cpu_ratio']:9.2f}"
    return f"{result['row']:18} {figures} {ratios}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--torch-python", default=sys.executable, help="that has PyTorch; this one")
    add("--row", nargs="+", choices=ROWS, default=list(ROWS), help="all")
    add("--rounds", type=int, default=7, help="turns of each; 7")
    add("--json", action="store_true", help="one JSON object a row, in seconds")
    add("--turns", choices=LIBRARIES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.turns:
        take_turns(options.turns, options.row[0])
        return
    if not options.json:
        print("milliseconds: median and least of the rounds; the rounds' median ratio")
        heads = [
            f"{name[:4]} {kind}{which}"
            for kind in ("wall", "cpu")
            for name in LIBRARIES
            for which in ("", " <")
        ]
        heads = " ".join(f"{head:>11}" for head in heads)
        print(f"{'row':18} {heads} {'wall ratio':>10} {'cpu ratio':>9}")
    pythons = {"vidshift": sys.executable, "torch": options.torch_python}
    for row in options.row:
        result = compare(row, options.rounds, pythons)
        print(json.dumps(result) if options.json else line_of(result), flush=True)


if __name__ == "__main__":
    main()
