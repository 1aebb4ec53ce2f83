"""Files that compiled functions write and read."""

import io
import json
import os
import pathlib
import struct
import tempfile

import pytest
from fidelity_runner import check, parameters, tensor

X = (1.0, -2.0, 3.0)


def content(path):
    if not os.path.exists(path):
        return None
    with open(path) as file:
        return file.read()


def lines_added(compile, see):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.txt")

        @compile
        def f(x, n):
            y = x * n
            with open(path, "a") as log:
                log.write(f"n {n} ")
                print("sum", float(y.sum()), file=log)
            return y

        for n in (1, 1, 2, 2):
            see(f, tensor(*X), n)
            see.that(content(path))
        os.remove(path)
        see(f, tensor(*X), 2)
        see.that(content(path))


def files_written_in_ways(compile, see):
    with tempfile.TemporaryDirectory() as folder:

        @compile
        def f(x, name, n):
            path = folder + "/" + name
            file = open(path, mode="w", encoding="utf-8")  # noqa: SIM115
            written = file.write("é" * n)
            file.close()
            other = pathlib.Path(folder) / "other.txt"
            other.write_text(f"{name}\n{n}\n")
            return x * written, n

        for name, n in (("a", 2), ("a", 2), ("b", 2), ("b", 3), ("b", 3)):
            see(f, tensor(*X), name, n)
            see.that([(p, content(os.path.join(folder, p))) for p in sorted(os.listdir(folder))])


def files_read(compile, see):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "settings.json"

        @compile
        def f(x):
            with open(path) as file:
                settings = json.load(file)
            text = path.read_text()
            with open(path) as file:
                lines = [line.strip() for line in file]
            with open(path) as file:
                first = file.readline()
            return x * settings["gain"], len(text), lines, first

        for text in ('{"gain": 2}', '{"gain": 2}', '{\n"gain": 3.5}', '{\n"gain": 3.5}'):
            path.write_text(text)
            see(f, tensor(*X))


def files_that_cannot_be_opened(compile, see):
    with tempfile.TemporaryDirectory() as folder:
        inner = os.path.join(folder, "inner")
        os.mkdir(inner)

        @compile
        def f(x, kind):
            print("before")
            try:
                with open(os.path.join(inner, "a.txt"), kind) as file:
                    file.write("text") if kind == "w" else file.read()
            except OSError as error:
                return x, type(error).__name__
            return x * 2, None

        for step in (None, None, "gone", None, "made", None, None):
            if step == "gone":
                os.remove(os.path.join(inner, "a.txt"))
                os.rmdir(inner)
            elif step == "made":
                os.mkdir(inner)
            see(f, tensor(*X), "w")
            see(f, tensor(*X), "r")


def files_written_and_read(compile, see):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.json")

        @compile
        def f(x, name):
            with open(path, "w") as file:
                file.write(json.dumps({"name": name, "n": len(name)}))
            with open(path) as file:
                found = json.loads(file.read())
            return x * found["n"], found["name"], os.path.basename(path)

        for name in ("a", "a", "bc", "bc", "é"):
            see(f, tensor(*X), name)
            see.that(content(path))


def files_left_open(compile, see):
    with tempfile.TemporaryDirectory() as folder:
        kept = []

        @compile
        def f(x):
            file = open(os.path.join(folder, "a.txt"), "w")  # noqa: SIM115
            file.write("text")
            kept.append(file)
            return x

        for _ in range(3):
            see(f, tensor(*X))
            kept.pop().close()
            see.that(content(os.path.join(folder, "a.txt")))


def files_that_are_there(compile, see):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.txt")

        @compile
        def f(x):
            if os.path.exists(path):
                return x * os.path.getsize(path)
            return x, os.path.isdir(folder)

        for text in (None, None, "ab", "ab", "abc", None):
            if text is not None:
                pathlib.Path(path).write_text(text)
            elif os.path.exists(path):
                os.remove(path)
            see(f, tensor(*X))


def error_between(compile, see):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.txt")

        @compile
        def f(x, n):
            try:
                with open(path, "w") as file:
                    file.write(f"{n}")
                    if n > 1:
                        raise ValueError(n)
                    file.write("whole")
            except ValueError as error:
                return x, str(error)
            return x * 2, None

        for n in (1, 1, 2, 2):
            see(f, tensor(*X), n)
            see.that(content(path))


def appended_and_read(compile, see):
    path = os.path.join(tempfile.mkdtemp(), "log")

    @compile
    def f(x, note):
        with open(path, "a") as out:
            out.write(f"{note} {float(x.sum()):.1f}\n")
        with open(path) as source:
            lines = source.readlines()
        with open(path) as source:
            words = source.read().split()
        return x * len(lines), lines[-1], words[0], words

    for i in range(8):
        see(f, tensor(i, 1), "ab"[i % 2])
    os.remove(path)
    for i in range(2):
        see(f, tensor(i, 1), "a")


def binary_files(compile, see):
    path = os.path.join(tempfile.mkdtemp(), "data")

    @compile
    def f(x, n, data):
        with open(path, "wb") as out:
            out.write(struct.pack("<if", n, 1.5))
            out.write(data)
        with open(path, "rb") as source:
            count, half = struct.unpack("<if", source.read(8))
            rest = source.read()
        source = io.BytesIO(data)
        number = int.from_bytes(source.read(2), "big")
        return x * count + half, rest, number, source.read(), source.getvalue()

    for n, data in ((2, b"\x00\x02ab"), (2, b"\x00\x02ab"), (3, b"\x00\x02ab"), (3, b"\r\n")):
        see(f, tensor(1, 2), n, data)
        see.that(pathlib.Path(path).read_bytes())


@pytest.mark.parametrize(("program", "way"), parameters(globals()))
def test_program(program, way):
    check(program, way)
