"""Reads the files of a folder with 1 GB more memory than it has, for hostile ones.

A line a file: its name, seconds of the processor's time, names of arrays, the error.
"""

import json
import pathlib
import resource
import sys
import time

from vidshift.torch_weights import files, unpickle

if __name__ == "__main__":
    # To be there sooner.
    unpickle.MAX_INSTRUCTIONS //= 2
    files.MAX_PICKLE_BYTES >>= 2
    status = pathlib.Path("/proc/self/status").read_text()
    (there,) = [line for line in status.splitlines() if line.startswith("VmSize")]
    most = (int(there.split()[1]) << 10) + (1 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    # Beyond it the process is killed, wherever it is.
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        began, names, error = time.process_time(), [], ""
        try:
            names = list(files.read_torch(path))
        except files.TorchFileError as refused:
            error = str(refused)
        seconds = time.process_time() - began
        print(json.dumps([path.name, seconds, names, error]), flush=True)
