"""Writes the files of this folder: `python make.py`, with PyTorch and safetensors.

Every tensor holds 0, 1, 2, ... or a part of it, so that what must be read is known.
"""

import argparse
import collections
import pathlib

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


def counting(*shape: int, dtype=torch.float32) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).reshape(shape).to(dtype)


class Net(torch.nn.Module):
    """A convolution, a norm and a head, as under `DataParallel`."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(2, 3, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(3)
        self.fc = torch.nn.Linear(3, 2)
        with torch.no_grad():
            for tensor in self.state_dict().values():
                tensor.copy_(counting(*tensor.shape))


def checkpoint() -> dict:
    """What a training program saves, with what is no array in it."""
    net = torch.nn.DataParallel(Net())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    sum(p.sum() for p in net.parameters()).backward()
    optimizer.step()
    net.load_state_dict(torch.nn.DataParallel(Net()).state_dict())
    return {
        "epoch": 3,
        "arch": "resnet50",
        "state_dict": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best_prec1": torch.tensor(45.5),
        "args": argparse.Namespace(lr=0.1, gpus=[0, 1], crop=torch.Size([2, 3])),
    }


def odd() -> dict:
    """Tensors that are no whole storage, and every type, in a bare state dict."""
    base = counting(4, 6)
    types = ("float16", "bfloat16", "float64", "int64", "int32", "int16", "int8")
    return collections.OrderedDict(
        whole=base,
        transposed=base.T,
        part=base[1:3, ::2],
        row=base[3],
        scalar=base[2, 5],
        expanded=base[0, :3].expand(2, 3),
        empty=torch.zeros(0, 3),
        parameter=torch.nn.Parameter(counting(2, 2)),
        uint8=counting(5, dtype=torch.uint8),
        bool=torch.tensor([True, False, True]),
        **{name: counting(2, 3, dtype=getattr(torch, name)) for name in types},
    )


if __name__ == "__main__":
    print(torch.__version__)
    for name, content in (("checkpoint", checkpoint()), ("odd", odd())):
        for form in ("zip", "stream"):
            torch.save(
                content,
                HERE / f"{name}_{form}.pth",
                _use_new_zipfile_serialization=form == "zip",
            )
    # As a stream it would hold the text of PyTorch's own modules.
    torch.save(Net(), HERE / "module_zip.pt")
    save_file(
        {
            name: tensor.detach().clone(memory_format=torch.contiguous_format)
            for name, tensor in odd().items()
        },
        HERE / "odd.safetensors",
    )
