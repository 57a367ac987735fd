"""Names and titles are of strangers: nothing in them commands a terminal."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import av
import pytest

from tests import fork_server
from tests.conftest import MakeClip
from vsr.cli.streams import one_line, printable

EVIL = "\x1b]0;owned\x07\x1b[2J\u202egpj\x9b31m\nerror: not ours\r"
RAW = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]")
FAST = ("--model", "nearest", "--device", "cpu", "--preset", "ultrafast")


def vsr(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """A command, whose output holds no control but those that a bar needs."""
    done = fork_server.vsr(*words)
    for said in (done.stdout, done.stderr):
        bare = said.replace("\x1b[A", "")  # tqdm's: up by a line
        assert not RAW.search(bare), bare
        assert "\nerror: not ours" not in said
    return done


@pytest.fixture
def evil(make_clip: MakeClip, tmp_path: Path) -> Path:
    """A video whose name and whose tags are commands to a terminal."""
    plain = make_clip(frames=4, sound=True)
    folder = tmp_path / "films"
    folder.mkdir()
    path = folder / f"a{EVIL}.mkv"
    with av.open(str(plain)) as source, av.open(str(folder / "b.mkv"), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        target.metadata.update({"title": EVIL, f"k{EVIL}": "value"})
        for stream in streams.values():
            stream.metadata["title"] = EVIL
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    shutil.move(folder / "b.mkv", path)
    return path


def test_names_and_titles_are_printed_as_text(evil: Path, tmp_path: Path) -> None:
    assert "\\u001b]0;owned\\u0007" in vsr("probe", evil).stdout
    target = tmp_path / f"out{EVIL}.mp4"
    done = vsr("upscale", evil, target, *FAST)
    assert done.returncode == 0
    assert "a\\u001b]0;owned" in done.stderr
    assert target.exists()
    assert vsr("upscale", evil, target, *FAST).returncode == 2


def test_a_batch_and_wrong_words_are_printed_as_text(evil: Path, tmp_path: Path) -> None:
    (evil.parent / f"broken{EVIL}.mkv").write_text("no frames")
    done = vsr("upscale", evil.parent, tmp_path / "out", *FAST)
    assert done.returncode == 8
    assert "broken\\u001b" in done.stderr
    for words in ((f"--{EVIL}",), (EVIL,), ("upscale", evil, "x.mkv", "--codec", EVIL)):
        assert vsr(*words).returncode == 2


def test_json_stays_json_and_says_the_very_name(evil: Path, tmp_path: Path) -> None:
    path = evil.with_name(f"\x7f{evil.name}")
    os.rename(evil, path)
    assert json.loads(vsr("probe", path, "--json").stdout)["path"] == str(path)
    lines = vsr("upscale", path, tmp_path / "out.mkv", *FAST, "--json", "-q").stdout.splitlines()
    assert {json.loads(line)["source"] for line in lines} >= {str(path)}


def test_what_is_printable_stays() -> None:
    assert printable("Größe\t漢字 😀\n") == "Größe\t漢字 😀\n"
    assert one_line("a\nb\tc\x1b\r\u2066\x85") == r"a\u000ab\u0009c\u001b\u000d\u2066\u0085"
