"""The command as a person meets it: help, exit codes, one sentence and a hint, data on stdout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import fork_server
from tests.conftest import MakeClip
from tests.marks import usually
from vsr.cli.tables import named_colors


def vsr(*arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return fork_server.vsr(*arguments, cwd=folder)


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    run = vsr("--help")
    assert run.returncode == 0
    for name in ("upscale", "probe", "models"):
        assert name in run.stdout
    program = (
        "import sys\nfrom vsr.__main__ import main\nsys.argv = ['vsr', 'upscale', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'av', 'cv2', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert vsr("--version").stdout.startswith("vsr ")
    assert vsr("upscale", "--help").stdout.count("--") >= 26


BAD = {
    "missing file": (["none.mp4", "out.mp4"], 3, "no file none.mp4"),
    "folder without pictures": (["hollow", "out.mp4"], 3, "no pictures"),
    "not a video": (["text.mp4", "out.mp4"], 3, "not a video"),
    "empty file": (["empty.mp4", "out.mp4"], 3, "empty"),
    "no video stream": (["sound.mp4", "out.mp4"], 3, "only audio"),
    "target is source": (["in.mp4", "in.mp4", "--overwrite"], 2, "is the source"),
    "target folder missing": (["in.mp4", "nowhere/out.mp4"], 3, "no folder nowhere"),
    "target exists": (["in.mp4", "there.mp4"], 2, "exists already"),
    "target is a pipe": (["in.mp4", "pipe", "--overwrite"], 2, "a device, a pipe"),
    "target of pictures is a pipe": (["still.png", "pipe", "--overwrite"], 2, "a device, a pipe"),
    "unknown suffix": (["in.mp4", "out.avi"], 2, ".avi"),
    "codec not for container": (["in.mp4", "out.webm", "--codec", "h264"], 2, "cannot hold h264"),
    "tile too small": (["in.mp4", "out.mp4", "--tile", "4"], 2, "tile must be at least"),
    "tile within overlap": (
        ["in.mp4", "out.mp4", "--tile", "20", "--overlap", "30", "--model", "lanczos"],
        2,
        "tile must be at least",
    ),
    "tile no number": (["in.mp4", "out.mp4", "--tile", "big"], 2, "tile must be auto or"),
    "no such device": (["in.mp4", "out.mp4", "--device", "tpu"], 2, "no device 'tpu'"),
    "no such model": (["in.mp4", "out.mp4", "--model", "best"], 4, "no model 'best'"),
    "weights no weights": (["in.mp4", "out.mp4", "--model", "text.mp4"], 4, "safetensors"),
    "bad preset": (["in.mp4", "out.mp4", "--preset", "warp"], 2, "has no preset 'warp'"),
    "bad encoder option": (["in.mp4", "out.mp4", "--encoder-option", "a=b"], 2, "no option a"),
    "encoder option no pair": (["in.mp4", "out.mp4", "--encoder-option", "a"], 2, "key=value"),
    "bad pixel format": (["in.mp4", "out.mp4", "--pix-fmt", "yuv999"], 2, "yuv999"),
    "no nvenc": (["in.mp4", "out.mp4", "--codec", "h264_nvenc"], 5, "cannot be opened"),
    "start behind the end": (["in.mp4", "out.mp4", "--start", "99"], 2, "behind the end"),
    "bad time": (["in.mp4", "out.mp4", "--end", "soon"], 2, "not a time"),
    "two sizes": (["in.mp4", "out.mp4", "--scale", "2", "--size", "9x9"], 2, "more than once"),
    "fps for a video": (["in.mp4", "out.mp4", "--fps", "25"], 2, "folder of frames"),
    "picture to video": (["still.png", "out.mp4"], 2, "cannot become"),
    "broken picture": (["broken.png", "out.png"], 3, "not a picture"),
    "preview of a picture": (["still.png", "o.png", "--preview", "1"], 2, "is for a video"),
    "two places too many": (["in.mp4", "b.mp4", "c.mp4"], 2, "3 places were given"),
    "folder with nothing to do": (["hollow", "large", "--recursive"], 2, "nothing to do"),
    "cut before a frame": (
        ["in.mp4", "o.mp4", "--start", "0.001", "--end", "0.002"],
        3,
        "no frame",
    ),
}


@pytest.fixture
def folder(make_clip: MakeClip, tmp_path: Path) -> Path:
    import av
    import cv2
    import numpy as np

    source = make_clip(sound=True, size=(80, 60))
    with av.open(str(tmp_path / "sound.mp4"), "w") as silent, av.open(str(source)) as full:
        stream = silent.add_stream_from_template(full.streams.audio[0])
        for packet in full.demux(audio=0):
            if packet.size:
                packet.stream = stream
                silent.mux(packet)
    (tmp_path / "text.mp4").write_text("no frames here" * 99)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "there.mp4").write_bytes(b"precious")
    (tmp_path / "hollow").mkdir()
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    cv2.imwrite(str(tmp_path / "still.png"), np.zeros((9, 9, 3), np.uint8))
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize("third", usually([0], [0, 1, 2]))
def test_every_bad_input_is_one_sentence_a_hint_and_its_exit_code(third: int, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    wrong: list[str] = []
    for name, (arguments, code, said) in list(BAD.items())[third::3]:
        run = vsr("upscale", *arguments, "--quiet", folder=folder)
        lines = [line for line in run.stderr.splitlines() if line.startswith("error:")]
        if run.returncode != code or len(lines) != 1 or said not in lines[0] or run.stdout:
            wrong.append(f"{name}: {run.returncode} {run.stderr} {run.stdout}")
        assert "Traceback" not in run.stderr, name
    assert not wrong, "\n".join(wrong)
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert after == before
    assert (folder / "pipe").is_fifo()


def test_upscale_reports_on_stderr_and_in_json_on_stdout(folder: Path) -> None:
    run = vsr("upscale", "in.mp4", "out.mp4", "--preset", "ultrafast", folder=folder)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert "model video: a video, compressed (h264" in run.stderr
    assert "12 frames, 80x60 to 320x240" in run.stderr
    assert "slowest: " in run.stderr
    run = vsr(
        "upscale", "in.mp4", "out.mp4", "--overwrite", "--json", "--quiet", "--preset", "ultrafast",
        folder=folder,
    )  # fmt: skip
    last = json.loads(run.stdout.splitlines()[-1])
    assert (last["event"], last["report"]["frames"]) == ("finished", 12)
    assert run.stderr == ""


def test_a_dry_run_of_pictures_says_their_sizes(folder: Path) -> None:
    run = vsr("upscale", "still.png", "large.png", "--dry-run", "--json", "-q", folder=folder)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1])["plan"]["target_size"] == {
        "width": 36,
        "height": 36,
    }
    run = vsr("upscale", "in.mp4", "frames", "--dry-run", "--json", "-q", folder=folder)
    assert run.returncode == 0, run.stderr
    chosen, row = map(json.loads, run.stdout.splitlines())
    assert chosen["message"].startswith("model video: a video")
    assert row["plan"]["target_size"] == {"width": 320, "height": 240}
    assert not (folder / "large.png").exists()


def test_a_dry_run_and_a_probe_say_what_is_kept_and_write_nothing(
    samples: Path, tmp_path: Path
) -> None:
    source, target = samples / "harbour.mkv", tmp_path / "o.mp4"
    run = vsr("upscale", source, target, "--dry-run", "--json", "-q", "--model", "video-tiny")
    (row,) = map(json.loads, run.stdout.splitlines())
    assert row["event"] == "planned"
    plan = row["plan"]
    assert plan["target_size"] == {"width": 1280, "height": 720}
    assert 0 < plan["measured_frames"] <= 20  # as many as there is time for
    assert plan["expected_seconds"] > 0
    assert 0 < plan["target_bytes"] < plan["disk_bytes"] < plan["disk_free_bytes"]
    assert any("to mov_text" in line for line in plan["converted"])
    assert list(tmp_path.iterdir()) == []
    facts = json.loads(vsr("probe", samples / "harbour.mkv", "--json").stdout)
    assert facts["chapters"] == 3
    assert facts["drop_in_mkv"] == []
    shown = vsr("probe", samples / "chart.mp4").stdout
    assert "320x180" in shown
    rows = dict(line.split(maxsplit=1) for line in shown.splitlines() if line[:1].strip())
    assert (rows["matrix"], rows["range"]) == ("1 (bt709)", "1 (tv)")
    assert facts["matrix"] == 1


def test_models_are_listed_and_described() -> None:
    rows = json.loads(vsr("models", "list", "--json").stdout)
    assert {"nearest", "bilinear", "bicubic", "lanczos"} <= {row["name"] for row in rows}
    facts = json.loads(vsr("models", "info", "bicubic", "--json").stdout)
    assert (facts["scale"], facts["receptive_field_px"]) == (4, 5)
    assert "5 px (2 px around a pixel)" in vsr("models", "info", "bicubic").stdout
    assert vsr("models", "info", "nothing").returncode == 4


def test_frames_are_extracted_and_trained_on_by_command(samples: Path, tmp_path: Path) -> None:
    frames, out = tmp_path / "frames", tmp_path / "run"
    run = vsr("extract", samples / "harbour_x4.mkv", samples / "chart_x4.mp4", frames, "--json")
    assert run.returncode == 0, run.stderr
    assert len(list(frames.glob("*.png"))) >= 2
    assert (frames / "frames.jsonl").exists()
    small = ("--steps", "3", "--net", "features=8,layers=1", "--batch", "2", "--device", "cpu")
    run = vsr("train", frames, "--out", out, *small)
    assert run.returncode == 0, run.stderr
    source = samples / "harbour.mkv"
    fast = ("--end", "0.2", "--preset", "ultrafast", "--model", out / "best.safetensors")
    run = vsr("upscale", source, tmp_path / "large.mkv", *fast)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr


def test_colors_of_later_versions_of_the_standard_have_their_names() -> None:
    """They were called reserved."""
    rows = named_colors({"matrix": 15, "primaries": 22, "transfer": 18})
    assert rows == {
        "matrix": "15 (ipt-c2)",
        "primaries": "22 (ebu3213)",
        "transfer": "18 (arib-std-b67)",
    }
    assert named_colors({"primaries": 13}) == {"primaries": "13 (reserved)"}
