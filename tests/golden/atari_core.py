#!/usr/bin/env python3
"""Records what ALE makes of the generated cartridges of tests/atari/romgen.h, for tests/atari/test_atari_core.c.

    python3 tests/golden/atari_core.py build/test_atari_core > tests/golden/atari_core.txt

Needs ale-py (0.12.1 recorded these). `test_atari_core --write FOLDER` writes the cartridges; ALE plays each under the
name amidar.bin, whose resets press RESET and nothing else. A run:

    cartridge KIND SEED crc=CRC height=H     zlib's crc32 of its bytes; lines of the screen
    ACTIONS RAM SCREEN                       up to 10 records: a letter each, and crc32 of their RAM and of their screens

Letters are ALE's actions from a = 0; ! is a reset, the first one that of loadROM.
"""
import io
import os
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "atari"))
import ale_py
from ale_trace import trace

FRAMES, PER_LINE, RAM = 60, 10, 128


def record(kind, seed, path):
    out = io.BytesIO()
    trace(out, path, FRAMES, seed)
    data = out.getvalue()
    height, width, records = struct.unpack_from("<iii", data)
    size = 1 + RAM + height * width
    rows = [data[12 + i * size : 12 + (i + 1) * size] for i in range(records)]
    with open(path, "rb") as rom:
        print(f"cartridge {kind} {seed} crc={zlib.crc32(rom.read()):08x} height={height}")
    for at in range(0, records, PER_LINE):
        part = rows[at : at + PER_LINE]
        letters = "".join("!" if r[0] == 255 else chr(ord("a") + r[0]) for r in part)
        ram = zlib.crc32(b"".join(r[1 : 1 + RAM] for r in part))
        screen = zlib.crc32(b"".join(r[1 + RAM :] for r in part))
        print(f"{letters} {ram:08x} {screen:08x}")


def main():
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    with tempfile.TemporaryDirectory() as folder:
        written = subprocess.run([sys.argv[1], "--write", folder], check=True, capture_output=True, text=True).stdout
        for line in written.splitlines():
            kind, seed, path = line.split()
            record(kind, int(seed), path)


if __name__ == "__main__":
    main()
