#!/usr/bin/env python3
"""Builds prebuilt/weir.fatbin, the device code that Weir brings along, and looks at what is in it.

    prebuilt.py build    writes it
    prebuilt.py check    builds it anew and compares it byte for byte with what is there

Both hold each kernel to limits.txt, read the loop over the messages' weights in the machine code, and see in the intermediate code that each
sum and product is rounded as the model's arithmetic has it, which neither the emulator nor a compiler says by itself. The compiler comes from PyPI, as the
wheels that compiler.txt and disassembler.txt name with their hashes; it needs no card and no driver, but a C++ compiler beside it.
"""

import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
WHEELS = HERE.parent / "target" / "kernels"
FATBIN = HERE / "prebuilt" / "weir.fatbin"
ARCHITECTURES = ["75", "80", "90"]
# Machine code for these, and for what comes after them the intermediate code of the oldest.
TARGETS = [f"arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES] + [f"arch=compute_{ARCHITECTURES[0]},code=compute_{ARCHITECTURES[0]}"]
FLAGS = ["-O3", "-std=c++17", "--fmad=false", "-Xptxas", "-v"]
SHARED_BYTES_DYNAMIC = re.compile(r"static_assert\(FORWARD_SHARED_BYTES == (\d+)")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def wheels(name):
    """The folder of a list of wheels, installed where it is not yet."""
    wanted = (HERE / f"{name}.txt").read_text()
    folder = WHEELS / name
    said = folder / "installed.txt"
    if not said.exists() or said.read_text() != wanted:
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--require-hashes", "--only-binary", ":all:"]
        run(*pip, "--upgrade", "--target", folder, "-r", HERE / f"{name}.txt")
        said.write_text(wanted)
    return folder / "nvidia" / "cu13"


def build(path):
    """Writes the fatbin. Returns what its kernels take, as kernel and architecture: registers, shared bytes, bytes of spills."""
    nvcc = wheels("compiler") / "bin" / "nvcc"
    for tool in (nvcc.parent, nvcc.parent.parent / "nvvm" / "bin"):
        for file in tool.iterdir():
            file.chmod(file.stat().st_mode | 0o111)
    generate = [word for target in TARGETS for word in ("-gencode", target)]
    told = run(nvcc, *FLAGS, "-fatbin", *generate, "-o", path, "weir.cu")
    dynamic = {"forward": int(SHARED_BYTES_DYNAMIC.search((HERE / "layout.cuh").read_text())[1])}
    taken, kernel, spills = {}, None, 0
    for line in told.splitlines():
        if found := re.search(r"Compiling entry function '(\w+)' for '(\w+)'", line):
            kernel = (found[1], found[2])
        elif found := re.search(r"(\d+) bytes spill stores, (\d+) bytes spill loads", line):
            spills = int(found[1]) + int(found[2])
        elif found := re.search(r"Used (\d+) registers", line):
            static = re.search(r"(\d+) bytes smem", line)
            taken[kernel] = (int(found[1]), (int(static[1]) if static else 0) + dynamic.get(kernel[0], 0), spills)
    return taken


def over_limits(taken):
    """What is wrong with what kernels take."""
    limits = {}
    for line in (HERE / "limits.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            kernel, architecture, registers, shared = line.split()
            limits[kernel, architecture] = (int(registers), int(shared), 0)
    wrong = [f"limits.txt: expected the kernels {sorted(taken)}, found {sorted(limits)}"] if taken.keys() != limits.keys() else []
    print(f"{'kernel':10}{'':8}{'registers':>10}{'shared bytes':>14}{'spills':>8}")
    for key, found in sorted(taken.items()):
        print(f"{key[0]:10}{key[1]:8}{found[0]:10}{found[1]:14}{found[2]:8}")
        for what, value, limit in zip(("registers", "shared bytes", "bytes of spills"), found, limits.get(key, found)):
            if value > limit:
                wrong.append(f"{key[0]} for {key[1]}: found {value} {what}, expected {limit} at most")
    return wrong


def instructions(path, architecture):
    """The forward pass in machine code: address, operation, operands."""
    tools = wheels("disassembler") / "bin"
    for tool in tools.iterdir():
        tool.chmod(tool.stat().st_mode | 0o111)
    os.environ["PATH"] = f"{tools}{os.pathsep}{os.environ['PATH']}"
    kernel, found = None, []
    for line in run(tools / "cuobjdump", "-sass", "-arch", f"sm_{architecture}", path).splitlines():
        if name := re.search(r"Function : (\w+)", line):
            kernel = name[1]
        elif (code := re.match(r"\s+/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)(.*?);", line)) and kernel == "forward":
            found.append((int(code[1], 16), code[2], code[3]))
    return found


def loops(code):
    """Each loop that holds no other, as counts of what moves or reckons floats in it."""
    ranges = []
    for address, operation, operands in code:
        target = re.search(r"0x([0-9a-f]+)", operands) if operation.startswith("BRA") else None
        if target and int(target[1], 16) < address:
            ranges.append((int(target[1], 16), address))
    innermost = [a for a in ranges if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in ranges)]
    counted = re.compile(r"LDG|LDS|LDL|STL|STG|STS|MUFU|F(FMA|MUL|ADD|MNMX|SEL)")
    # The marks of a cached read and of its scope are of no matter here.
    name = lambda operation: re.sub(r"\.(CONSTANT|SYS|U)\b", "", operation)
    return [collections.Counter(name(o) for at, o, _ in code if start <= at <= end and counted.match(o)) for start, end in innermost]


def unlike_the_text(path):
    """What is wrong with the machine code of the forward pass."""
    wrong = []
    for architecture in ARCHITECTURES:
        code = instructions(path, architecture)
        if any(operation.startswith(("LDL", "STL")) for _, operation, _ in code):
            wrong.append(f"sm_{architecture}: found reads or writes of local memory, expected all in registers")
        ratio = lambda loop: {"LDG.E.128": loop["LDG.E.128"], "LDS.128": loop["LDG.E.128"], "FFMA": 4 * loop["LDG.E.128"]}
        messages = [loop for loop in loops(code) if loop["LDG.E.128"] > 0 and loop == ratio(loop)]
        if len(messages) != 1:
            told = "; ".join(str(dict(loop)) for loop in loops(code))
            wrong.append(f"sm_{architecture}: expected one loop of a read of 16 bytes of weights, one of sums and four FFMA, found {told}")
        for loop in messages:
            print(f"messages  sm_{architecture}   {', '.join(f'{count} {operation}' for operation, count in sorted(loop.items()))} a turn")
    return wrong


FLOATS = re.compile(r"\b((?:add|sub|mul|fma|div|sqrt|rcp|rsqrt|ex2|lg2|sin|cos|tanh|mad)(?:\.\w+)*\.f32)\b")


def loosely_rounded(flags):
    """The operations on singles that the compiler may still contract, approximate or flush, in what `flags` make of the kernels."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "weir.ptx"
        run(wheels("compiler") / "bin" / "nvcc", *flags, "-ptx", f"-arch=compute_{ARCHITECTURES[0]}", "-o", path, "weir.cu")
        found = collections.Counter(FLOATS.findall(path.read_text()))
    bad = lambda operation: ".rn." not in operation or any(mark in operation for mark in (".ftz", ".approx", ".full", ".sat"))
    return found, {operation: count for operation, count in found.items() if bad(operation)}


def unlike_the_arithmetic():
    """What is wrong with how the kernels round."""
    found, loose = loosely_rounded(FLAGS)
    print(f"rounded   {', '.join(f'{count} {operation}' for operation, count in sorted(found.items()))}")
    wrong = [f"found {loose} in the intermediate code, expected each rounded to nearest by itself"] if loose else []
    # A test of the test: what is left without the flags must be seen.
    for planted in (["-O3", "-std=c++17"], ["-O3", "-std=c++17", "--fmad=false", "--use_fast_math"]):
        if not loosely_rounded(planted)[1]:
            wrong.append(f"nothing was found of what {planted} leave open: this check sees nothing")
    return wrong


def main():
    if sys.argv[1:] not in (["build"], ["check"]):
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "weir.fatbin"
        wrong = over_limits(build(path)) + unlike_the_text(path) + unlike_the_arithmetic()
        if sys.argv[1] == "check" and (not FATBIN.exists() or FATBIN.read_bytes() != path.read_bytes()):
            wrong.append(f"{FATBIN} is not what the kernels make now: run kernels/prebuilt.py build, and commit it")
        if wrong:
            sys.exit("\n".join(wrong))
        if sys.argv[1] == "build":
            FATBIN.parent.mkdir(exist_ok=True)
            FATBIN.write_bytes(path.read_bytes())
        print(f"{FATBIN.relative_to(HERE.parent)}: {len(path.read_bytes())} bytes")


main()
