"""The folder of a measurement: facts of the device, and rows of each part as they came."""

import json
import pathlib

# Not the same from call to call.
OF_A_CALL = ("date", "command")


class Folder:
    """Rows of a part stand in `PART.jsonl`, a JSON object a line.

    A line with `key` is a row, and a later one with the same key replaces it; `jobs` is
    the number of rows that the part makes; `note` is a sentence about a call of the part,
    and the last one counts.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path

    def open(self, about: dict, *, restart: bool) -> None:
        """Makes the folder, or goes on in it.

        Args:
          about: device, versions and options; `OF_A_CALL` of them may differ.
          restart: remove the rows that are there.

        Raises:
          ValueError: the rows in the folder are of another device, version or option.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if restart:
            for file in self.path.glob("*.jsonl"):
                file.unlink()
        elif any(self.path.glob("*.jsonl")):
            before = self.about()
            differing = [
                f"{name} {before.get(name)!r} there and {about.get(name)!r} here"
                for name in before | about
                if name not in OF_A_CALL and before.get(name) != about.get(name)
            ]
            if differing:
                raise ValueError(
                    f"--out={self.path} has rows of another measurement: "
                    f"{'; '.join(differing)}; take another folder, or --restart"
                )
        write_json(self.path / "device.json", about)

    def about(self) -> dict:
        """Reads the facts of the last call.

        Raises:
          ValueError: there are none.
        """
        file = self.path / "device.json"
        if not file.is_file():
            raise ValueError(f"--out={self.path}: nothing has been measured there")
        return json.loads(file.read_text())

    def file(self, part: str) -> pathlib.Path:
        return self.path / f"{part}.jsonl"

    def add(self, part: str, line: dict) -> None:
        """Appends a line; one that was cut off before it ends there."""
        with self.file(part).open("a+b") as file:
            if file.tell():
                file.seek(-1, 2)
                if file.read() != b"\n":
                    file.write(b"\n")
            file.write(json.dumps(line).encode() + b"\n")

    def read(self, part: str) -> dict:
        """Returns a part's `rows`, `jobs` and `note`, of the file that there is."""
        return read(self.file(part))


def read(file: pathlib.Path) -> dict:
    """Reads a part's file, which may end in the middle of a line, or not be there."""
    rows, result = {}, {"jobs": None, "note": None}
    for text in file.read_text().splitlines() if file.is_file() else ():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue  # cut off, or a library's own word
        if isinstance(line, dict) and "key" in line:
            rows[line["key"]] = line
        elif isinstance(line, dict):
            result |= {name: line[name] for name in result if name in line}
    return result | {"rows": list(rows.values())}


def done(file: pathlib.Path) -> set[str]:
    """Returns the keys of rows that need no second try."""
    return {row["key"] for row in read(file)["rows"] if not row.get("failed")}


def write_json(path: pathlib.Path, value) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
