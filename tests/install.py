"""Build the package, install it into an empty environment, and run a picture through it.

    python -m tests.install

Any Python that has pip will do. What is built lies in a temporary folder and is removed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import time
import venv
import zipfile
import zlib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
PROGRAM = """
import sys
import cv2, vsr
assert "site-packages" in vsr.__file__, vsr.__file__
low, high = (cv2.imread(path) for path in sys.argv[1:])
assert high.shape == (4 * low.shape[0], 4 * low.shape[1], 3), high.shape
back = cv2.resize(high, low.shape[1::-1], interpolation=cv2.INTER_AREA)
assert abs(back.astype(float) - low).mean() < 4, "it is not the picture that went in"
"""


def run(*words: str | Path, cwd: Path, path: Path | None = None) -> None:
    """A command, of whose environment Python's own variables are no part."""
    environment = {key: value for key, value in os.environ.items() if key[:6] != "PYTHON"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    subprocess.run([str(word) for word in words], cwd=cwd, env=environment, check=True)


def contents(wheel: Path) -> dict[str, int]:
    """What a wheel holds, but for its list of itself."""
    with zipfile.ZipFile(wheel) as file:
        items = file.infolist()
    return {item.filename: item.CRC for item in items if item.filename[-6:] != "RECORD"}


def build(folder: Path) -> Path:
    """The wheel, which is the same from the working tree and from the source distribution."""
    tools = folder / "tools"
    run(*PIP, "--target", tools, "-c", ROOT / "constraints.txt", "hatchling", cwd=folder)
    hatchling = (sys.executable, "-m", "hatchling", "build")
    run(*hatchling, "-t", "sdist", "-t", "wheel", "-d", folder / "dist", cwd=ROOT, path=tools)
    (source,), (wheel,) = ((folder / "dist").glob(end) for end in ("*.tar.gz", "*.whl"))
    with tarfile.open(source) as archive:
        archive.extractall(folder / "source", filter="data")
    (unpacked,) = (folder / "source").iterdir()
    run(*hatchling, "-t", "wheel", "-d", folder / "again", cwd=unpacked, path=tools)
    (again,) = (folder / "again").glob("*.whl")
    assert contents(again) == contents(wheel), contents(again).keys() ^ contents(wheel).keys()
    return wheel


def main() -> None:
    """Build, install, run."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vsr-install-") as name:
        folder = Path(name)
        wheel = build(folder)
        print(f"built {wheel.name}, {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
        venv.create(folder / "empty", with_pip=False)
        scripts = folder / "empty" / ("Scripts" if os.name == "nt" else "bin")
        # Not compiled: of torch's 5000 modules, one picture needs few.
        python = ("--python", scripts / "python")
        pip = (*PIP[:3], *python, *PIP[3:], "--no-compile", "-c", ROOT / "constraints.txt")
        run(*pip, wheel, cwd=folder)
        run(*PIP[:3], *python, "check", cwd=folder)
        print(f"installed after {time.monotonic() - begun:.0f} s", flush=True)
        picture = make_picture(folder / "low.png")
        run(scripts / "vsr", "--version", cwd=folder)
        run(scripts / "vsr", "upscale", picture, "high.png", "--model", "tiny", "-q", cwd=folder)
        run(scripts / "python", "-c", PROGRAM, picture, "high.png", cwd=folder)
    print(f"a picture was made after {time.monotonic() - begun:.0f} s")


def make_picture(path: Path) -> Path:
    """A small png, written without any package: waves of colour."""
    rows = b"".join(
        b"\0" + bytes(128 + (x * y * (c + 1)) % 64 // (c + 1) for x in range(40) for c in range(3))
        for y in range(30)
    )
    header = (40).to_bytes(4, "big") + (30).to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
            for kind, data in chunks
        )
    )
    return path


if __name__ == "__main__":
    main()
