"""PyTorch's files: read exactly, without PyTorch, and nothing that they say is run."""

import collections
import io
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import safetensors

from tests.support.files import TORCH_FILES
from vidshift.torch_weights import files, read_torch
from vidshift.torch_weights.files import MAGIC, TorchFileError

FILES = TORCH_FILES


def counting(*shape, dtype=np.float32):
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("form", ["zip", "stream"])
def test_a_training_programs_checkpoint(form):
    found = files.read(FILES / f"checkpoint_{form}.pth")
    assert found.rest == ["epoch", "arch", "optimizer", "best_prec1", "args"]
    shapes = {
        "conv1.weight": (3, 2, 3, 3),
        **{
            f"bn1.{leaf}": (3,)
            for leaf in ("weight", "bias", "running_mean", "running_var")
        },
        "bn1.num_batches_tracked": (),
        "fc.weight": (2, 3),
        "fc.bias": (2,),
    }
    assert list(found.arrays) == [f"module.{name}" for name in shapes]
    for name, shape in shapes.items():
        array = found.arrays[f"module.{name}"]
        np.testing.assert_array_equal(array, counting(*shape))
        assert array.dtype == (np.int64 if "batches" in name else np.float32)


BASE = counting(4, 6)
ODD = {
    "whole": BASE,
    "transposed": BASE.T,
    "part": BASE[1:3, ::2],
    "row": BASE[3],
    "scalar": BASE[2, 5],
    "expanded": np.stack([BASE[0, :3]] * 2),
    "empty": np.zeros((0, 3), np.float32),
    "parameter": counting(2, 2),
    "uint8": counting(5, dtype=np.uint8),
    "bool": np.array([True, False, True]),
    "float16": counting(2, 3),
    "bfloat16": counting(2, 3),
    **{
        name: counting(2, 3, dtype=name)
        for name in ("float64", "int64", "int32", "int16", "int8")
    },
}


@pytest.mark.parametrize("name", ["odd_zip.pth", "odd_stream.pth", "odd.safetensors"])
def test_views_and_types(name):
    found = read_torch(FILES / name)
    assert found.keys() == ODD.keys()
    for key, wanted in ODD.items():
        np.testing.assert_array_equal(found[key], wanted, err_msg=key)
        assert found[key].dtype == wanted.dtype and found[key].shape == wanted.shape


def test_reads_without_pytorch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it raises
    assert len(read_torch(FILES / "checkpoint_stream.pth")) == 8


class Named:
    """Pickled as the name of something, whether that is there or not."""

    def __init__(self, module: str, name: str):
        self.written = f"c{module}\n{name}\n".encode()


class Stored(tuple):
    """Pickled as a persistent id, as storages are."""


class Call:
    """Pickled as a call."""

    def __init__(self, function: Named | Stored, *arguments):
        self.function = function
        self.arguments = arguments


class Pickler(pickle._Pickler):
    """Writes names that cannot be imported here; the pickler in C refuses to."""

    def persistent_id(self, value):
        return tuple(value) if isinstance(value, Stored) else None

    def save(self, value, *rest, **options):
        if isinstance(value, Named):
            self.write(value.written)
        elif isinstance(value, Call):
            self.save(value.function)
            self.save(value.arguments)
            self.write(pickle.REDUCE)
        else:
            super().save(value, *rest, **options)


def pickled(value) -> bytes:
    file = io.BytesIO()
    Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def storage(kind="FloatStorage", key="0", size=6, *view) -> Stored:
    return Stored(("storage", Named("torch", kind), key, "cpu", size, *view))


def tensor(stored, shape=(2, 3), strides=(3, 1), offset=0) -> Call:
    hooks = collections.OrderedDict()
    arguments = (stored, offset, shape, strides, False, hooks)
    return Call(Named("torch._utils", "_rebuild_tensor_v2"), *arguments)


DATA = {"0": counting(6)}


def write_zip(path, content, data=DATA) -> pathlib.Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(content))
        for key, array in data.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return path


def write_stream(path, content, data=DATA) -> pathlib.Path:
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
    parts = [MAGIC, *map(pickled, (1001, system, content, list(data)))]
    for array in data.values():
        parts += [struct.pack("<q", array.size), array.tobytes()]
    path.write_bytes(b"".join(parts))
    return path


WRITERS = pytest.mark.parametrize("write", [write_zip, write_stream])


@WRITERS
@pytest.mark.parametrize("key", [*files.KEYS, None])
def test_finds_the_state_dict(write, key, tmp_path):
    weights = {"conv1.weight": tensor(storage()), "cfg": None}
    content = weights if key is None else {"epoch": 1, "loss": tensor(storage())}
    if key is not None:
        content[key] = weights
    found = files.read(write(tmp_path / "a.pth", content))
    assert list(found.arrays) == ["conv1.weight"]
    np.testing.assert_array_equal(found.arrays["conv1.weight"], counting(2, 3))
    assert found.rest == ([] if key is None else ["epoch", "loss"])


@WRITERS
def test_what_no_tensor_is_made_of_is_left_out(write, tmp_path):
    content = {
        "cfg": Call(Named("yacs.config", "CfgNode"), {"a": 1}),
        "array": Call(Named("numpy.core.multiarray", "_reconstruct"), 0),
        "dtype": Named("torch", "float32"),
        "model": {
            "weight": tensor(storage()),
            "quantised": Call(Named("torch._utils", "_rebuild_qtensor"), storage(), 0),
            "complex": tensor(storage("ComplexFloatStorage", "1", 3)),
            "cfg": Call(Named("yacs.config", "CfgNode")),
        },
    }
    found = files.read(write(tmp_path / "a.pth", content))
    assert list(found.arrays) == ["weight"]
    assert found.rest == ["cfg", "array", "dtype"]


def test_a_storage_that_is_a_part_of_another(tmp_path):
    part = storage("FloatStorage", "0", 6, ("its own key", 2, 3))
    path = write_stream(tmp_path / "a.pth", {"a": tensor(part, (3,), (1,))})
    np.testing.assert_array_equal(read_torch(path)["a"], [2.0, 3.0, 4.0])


class Harm:
    """Unpickled by `pickle`, it makes a file."""

    def __init__(self, marker, call):
        self.reduced = call(str(marker))

    def __reduce__(self):
        return self.reduced


HARMS = {
    "system": lambda marker: (os.system, (f"touch {marker}",)),
    "open": lambda marker: (open, (marker, "w")),
    "exec": lambda marker: (exec, (f"open({marker!r}, 'w')",)),
    "eval": lambda marker: (eval, (f"open({marker!r}, 'w')",)),
    "run": lambda marker: (subprocess.run, (["touch", marker],)),
}


@WRITERS
@pytest.mark.parametrize("harm", HARMS)
def test_nothing_is_run(write, harm, tmp_path):
    marker = tmp_path / "marker"
    harmful = Harm(marker, HARMS[harm])
    pickle.loads(pickled({"a": harmful}))
    assert marker.exists()  # it is harmful indeed
    marker.unlink()
    for content in (
        {"state_dict": {"weight": tensor(storage())}, "args": harmful},
        {"weight": tensor(storage()), "other": harmful},
    ):
        assert list(read_torch(write(tmp_path / "a.pth", content))) == ["weight"]
    for content in (harmful, [harmful], {"weight": tensor(harmful)}):
        with pytest.raises(TorchFileError):
            read_torch(write(tmp_path / "a.pth", content))
    assert not marker.exists()


def test_nothing_is_imported(tmp_path, monkeypatch):
    (tmp_path / "harmful.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    content = {"a": tensor(storage()), "b": Named("harmful", "name")}
    assert list(read_torch(write_zip(tmp_path / "a.pth", content))) == ["a"]
    assert "harmful" not in sys.modules


@WRITERS
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (tensor(storage(size=7)), "storage 0 has 6 values, the pickle says 7"),
        (tensor(storage(), (2, 4)), "ends at value 6 of storage 0, which has 6"),
        (tensor(storage(), offset=1), "ends at value 6 of storage 0, which has 6"),
        (tensor(storage(), strides=(6, 1)), "ends at value 8 of storage 0"),
        (tensor(storage(), strides=(-3, 1)), "no tensor has such sizes"),
        (tensor(storage(), offset=-1), "no tensor has such sizes"),
        (tensor(storage(), (2, "3")), "no tensor has such sizes"),
        (tensor(storage(), (2, 3, 1)), "a tensor has 3 sizes, 2 strides"),
        (tensor(storage(), (2**50, 1)), "no tensor has such sizes"),
    ],
)
def test_a_tensor_outside_its_storage(write, changed, message, tmp_path):
    path = write(tmp_path / "a.pth", {"a": changed})
    with pytest.raises(TorchFileError, match=message) as error:
        read_torch(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_storage_that_is_not_there(tmp_path):
    path = write_zip(tmp_path / "a.pth", {"a": tensor(storage(key="7"))})
    with pytest.raises(TorchFileError, match=r"is damaged \(KeyError: .*data/7"):
        read_torch(path)


@pytest.mark.parametrize(
    "name",
    [
        "checkpoint_zip.pth",
        "checkpoint_stream.pth",
        "odd_stream.pth",
        "odd.safetensors",
    ],
)
def test_a_file_cut_short_anywhere_is_one_line(name, tmp_path):
    whole = (FILES / name).read_bytes()
    path = tmp_path / "cut.pth"
    for size in range(0, len(whole) - 1, 97):
        path.write_bytes(whole[:size])
        with pytest.raises(TorchFileError) as error:
            read_torch(path)
        assert str(error.value).startswith(str(path))


def test_a_stream_cut_in_its_last_storage(tmp_path):
    path = write_stream(tmp_path / "a.pth", {"a": tensor(storage())})
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(TorchFileError) as error:
        read_torch(path)
    size = len(whole)
    assert str(error.value) == (
        f"{path}: it is cut short: {size - 1} of at least {size} bytes"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"<!DOCTYPE html><html>",
            "neither PyTorch nor safetensors wrote it: it begin",
        ),
        (b"", "begins with b''"),
        (pickle.dumps({"state_dict": {}}), "neither PyTorch nor safetensors"),
    ],
)
def test_another_file(content, message, tmp_path):
    path = tmp_path / "page.pth"
    path.write_bytes(content)
    with pytest.raises(TorchFileError, match=message):
        read_torch(path)


def test_another_archive(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(3))
    with pytest.raises(TorchFileError, match=r"not one of torch.save: no data.pkl"):
        read_torch(tmp_path / "a.npz")


def test_big_endian(tmp_path):
    path = write_zip(tmp_path / "a.pth", {"a": tensor(storage())})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/byteorder", "big")
    with pytest.raises(TorchFileError, match="big-endian"):
        read_torch(path)


def test_no_state_dict(tmp_path):
    net = {"weight": tensor(storage())}
    content = {"net": net, "epoch": 3, "model": Call(Named("models.resnet", "ResNet"))}
    path = write_stream(tmp_path / "a.pth", content)
    with pytest.raises(TorchFileError) as error:
        read_torch(path)
    assert str(error.value) == (
        f"{path}: it has no state dict under state_dict, model_state, model_state_dict, "
        "model, nor is it one; it has: net (dict), epoch (int), "
        "model (models.resnet.ResNet)"
    )


@pytest.mark.parametrize("made", [True, False])
def test_a_whole_module(made, tmp_path):
    with pytest.raises(TorchFileError, match="holds a whole __main__.Net, not a state"):
        read_torch(FILES / "module_zip.pt")
    # In streams a module's class comes with its source.
    net = Stored(("module", Named("models", "Net"), "models.py", "class Net: ..."))
    path = write_stream(tmp_path / "a.pth", Call(net) if made else net, {})
    with pytest.raises(TorchFileError, match="holds a whole models.Net, not a state"):
        read_torch(path)


def test_a_type_of_safetensors_that_is_not_read(tmp_path):
    path = tmp_path / "a.safetensors"
    header = b'{"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0")
    assert safetensors.deserialize(path.read_bytes())
    with pytest.raises(TorchFileError, match="a is of type F8_E4M3"):
        read_torch(path)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_torch(tmp_path / "nowhere.pth")
