"""What people type: a source alone, quoted patterns, settings of a file, a tab."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import textwrap
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import av
import pytest
from typer.testing import CliRunner, Result

import vsr as vsr_package
from tests import fork_server
from tests.conftest import MakeClip
from vsr import api
from vsr.cli.app import app
from vsr.cli.places import Places, expanded, sources_and_target
from vsr.errors import MediaError, OptionsError
from vsr.geometry import Size
from vsr.jobs.estimate import trial_run
from vsr.options import UpscaleOptions

SAMPLES = Path(__file__).parent.parent.parent / "samples"
QUICK = ("--model", "bicubic", "--preset", "ultrafast")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, and a user's folder beside it that is empty."""
    (tmp_path / "user").mkdir()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("APPDATA", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def vsr(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_a_source_alone_has_a_target_beside_it_and_it_is_said(
    run: Path, make_clip: MakeClip
) -> None:
    shutil.move(make_clip(frames=3), run / "in.mp4")
    done = vsr("upscale", "in.mp4", *QUICK)
    assert done.exit_code == 0, done.stderr
    assert "target: in_4x.mp4 (the default" in done.stderr
    with av.open("in_4x.mp4") as container:
        assert container.streams.video[0].width == 256
    done = vsr("upscale", "in.mp4", *QUICK)
    assert done.exit_code == 2
    assert "in_4x.mp4 exists already" in done.stderr


@pytest.mark.parametrize(
    ("source", "options", "name"),
    [
        ("a.mp4", UpscaleOptions(), "a_4x.mp4"),
        ("a.mp4", UpscaleOptions(scale=2.5), "a_2.5x.mp4"),
        ("a.mp4", UpscaleOptions(height=1080), "a_1080p.mp4"),
        ("a.mp4", UpscaleOptions(width=1920), "a_1920w.mp4"),
        ("a.mp4", UpscaleOptions(size=Size(640, 480)), "a_640x480.mp4"),
        ("a.b.avi", UpscaleOptions(model="bicubic"), "a.b_4x.mkv"),
        ("p.jpg", UpscaleOptions(), "p_4x.jpg"),
        ("frames", UpscaleOptions(), "frames_4x"),
        ("frames", UpscaleOptions(fps="25"), "frames_4x.mp4"),
        (".", UpscaleOptions(), "../work_4x"),
    ],
)
def test_default_targets(run: Path, source: str, options: UpscaleOptions, name: str) -> None:
    (run / "frames").mkdir()
    for film in ("a.mp4", "a.b.avi", "p.jpg"):
        (run / film).touch()
    assert api.default_target(source, options).resolve() == (run / name).resolve()
    with pytest.raises(MediaError, match="no file nothing"):
        api.default_target("nothing.mp4", options)


def test_the_forms_of_the_command(run: Path) -> None:
    a, b, c = Path("a"), Path("b"), Path("c")
    assert sources_and_target([a], None) == Places([a], None, several=False)
    assert sources_and_target([a, b], None) == Places([a], b, several=False)
    assert sources_and_target([a, b], c) == Places([a, b], c, several=True)
    with pytest.raises(OptionsError, match="one target"):
        sources_and_target([a, b, c], None)
    for name in ("1.mp4", "2.mp4", "x[1].mp4"):
        (run / name).touch()
    pattern, films = Path("[12].mp4"), [Path("1.mp4"), Path("2.mp4")]
    assert sources_and_target([pattern, c], None) == Places(films, c, several=True)
    assert sources_and_target([pattern], c) == Places(films, c, several=True)
    assert sources_and_target([Path("1*.mp4"), c], None) == Places(films[:1], c, several=True)
    single = sources_and_target([Path("1*.mp4"), Path("c.mp4")], None)
    assert single == Places(films[:1], Path("c.mp4"), several=False)
    assert expanded([Path("x[1].mp4")]) == [Path("x[1].mp4")], "a file of that very name"
    with pytest.raises(OptionsError, match="matches 2 files"):
        sources_and_target([pattern], None)
    with pytest.raises(MediaError, match="no file matches"):
        expanded([Path("*.mkv")])
    (run / "deep" / "er").mkdir(parents=True)
    (run / "deep" / "er" / "3.mp4").touch()
    assert Path("deep/er/3.mp4") in expanded([Path("**/*.mp4")])


def test_a_quoted_pattern_makes_a_folder_of_them(run: Path, make_clip: MakeClip) -> None:
    (run / "films").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(make_clip(frames=2), run / "films" / name)
    done = vsr("upscale", "films/*.mp4", "large", *QUICK)
    assert done.exit_code == 0, done.stderr
    assert {path.name for path in (run / "large").glob("*.mp4")} == {"a.mp4", "b.mp4"}


def test_settings_stand_in_for_flags_and_a_flag_goes_before_them(
    run: Path, make_clip: MakeClip
) -> None:
    shutil.move(make_clip(frames=2), run / "in.mp4")
    (run / "vsr.toml").write_text(
        '[upscale]\nmodel = "bicubic"\nheight = 96\ntile = 64\n'
        'preset = "ultrafast"\non-error = "stop"\n'
        '[profile.big.upscale]\nheight = 144\nencoder_option = ["bf=0"]\noverwrite = true\n'
    )

    def height(*words: str) -> int:
        done = vsr("upscale", "in.mp4", "out.mp4", *words)
        assert done.exit_code == 0, done.stderr
        assert "settings: model, height" in done.stderr
        with av.open("out.mp4") as container:
            return container.streams.video[0].height

    assert height() == 96
    assert height("--profile", "big") == 144
    assert height("--overwrite", "--height", "120", "--profile=big") == 120
    shown = vsr("config", "big")
    assert "vsr upscale --height 144  (profile big in vsr.toml)" in shown.stdout
    assert "profiles: big" in shown.stdout
    told = json.loads(vsr("config", "--json").stdout)
    assert {"command": "upscale", "flag": "height", "value": 96, "file": "vsr.toml"}.items() <= (
        told["settings"][1].items()
    )
    assert "settings:" not in vsr("upscale", "in.mp4", "q.mp4", "-q").stderr


def test_the_settings_of_the_guide_work_as_they_stand(run: Path, make_clip: MakeClip) -> None:
    page = (SAMPLES.parent / "docs" / "guide" / "settings.md").read_text(encoding="utf-8")
    block = page.partition("## vsr.toml")[2].partition("\n    [")[2].partition("\n\nThe tables")[0]
    (run / "vsr.toml").write_text(textwrap.dedent(f"    [{block}\n"), encoding="utf-8")
    shutil.move(make_clip(frames=2), run / "in.mp4")
    for words in ((), ("--profile", "archive")):
        done = vsr("upscale", "in.mp4", "out.mkv", "--model", "bicubic", *words)
        assert done.exit_code == 0, done.stderr
        assert "settings: crf, on-error, encoder-option" in done.stderr


def test_the_working_folder_goes_before_the_user(run: Path) -> None:
    user = next(path for path in map(Path, [str(run.parent / "user")]))
    place = Path(vsr("config").stdout.splitlines()[0].partition(": ")[0])
    assert user in place.parents
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text('[upscale]\ncrf = 30\nmodel = "tiny"\n[models.list]\njson = true\n')
    (run / "vsr.toml").write_text("[upscale]\ncrf = 20\n")
    shown = vsr("config").stdout.splitlines()
    values = [line for line in shown if "--crf" in line]
    assert [value.split()[3] for value in values] == ["30", "20"], "the stronger later"
    assert json.loads(vsr("models", "list").stdout)[0]["name"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[upscale]\ncfr = 18\n", "cfr is no flag of `vsr upscale`"),
        ("[upscael]\ncrf = 18\n", "upscael is no command"),
        ("crf = 18\n", "crf is no command"),
        ("upscale = 18\n", "upscale is no table"),
        ('[upscale]\ncrf = "fine"\n', "crf of [upscale]: "),
        ("[upscale]\ncrf = true\n", "has to be one value, got True"),
        ('[upscale]\noverwrite = "yes"\n', "has to be true or false, got 'yes'"),
        ("[upscale]\ncrf = [1, 2]\n", "has to be one value"),
        ("[upscale]\nplaces = 1\n", "places is no flag"),
        ("[profile.x.upscale]\ncfr = 1\n", "cfr is no flag"),
        ("[profile]\nx = 1\n", "profile.x is no table"),
        ("[upscale\n", "cannot be read"),
    ],
)
def test_wrong_settings_are_one_error(run: Path, text: str, said: str) -> None:
    (run / "vsr.toml").write_text(text)
    for command in (("upscale", "a.mp4", "b.mp4"), ("config",)):
        done = vsr(*command)
        assert done.exit_code == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("upscale", "a.mp4", "--crf", "abc"), "'--crf': must be a number, got 'abc'"),
        (("plan", "a", "--workers", "1.5"), "'--workers': must be a whole number, got '1.5'"),
        (("eval", "--data", "a", "--frames", "0"), "'--frames': must be at least 1, got '0'"),
        (("train", "a", "--degrade", "foo"), "'--degrade': 'foo' is not one of 'clean'"),
    ],
)
def test_wrong_values_are_told_in_our_words(run: Path, words: tuple[str, ...], said: str) -> None:
    """The sentences of a validator showed through."""
    done = vsr(*words)
    assert done.exit_code == 2
    assert f"Error: Invalid value for {said}" in done.stderr
    (run / "vsr.toml").write_text('[upscale]\ncrf = "abc"\n')
    assert "crf of [upscale]: must be a number, got 'abc'" in vsr("config").stderr


@pytest.mark.usefixtures("run")
def test_settings_in_a_folder_that_may_not_be_entered_are_one_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("vsr.cli.settings.is_special", refused)
    done = vsr("upscale", "a.mp4", "b.mp4")
    assert done.exit_code == 2
    assert "vsr.toml cannot be read: " in done.stderr
    assert "Permission denied" in done.stderr


def test_a_profile_that_is_not_there_is_one_error(run: Path) -> None:
    (run / "vsr.toml").write_text("[profile.big.upscale]\nheight = 144\n")
    done = vsr("upscale", "a.mp4", "b.mp4", "--profile", "huge")
    assert done.exit_code == 2
    assert "there is no profile 'huge': there are big" in done.stderr
    assert vsr("upscale", "a.mp4", "--profile").exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_and_flags(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The shell is named, and not looked for among the processes that started this one.
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")

    def completed(words: str) -> str:
        variables = {
            "_VSR_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1),
            "_TYPER_COMPLETE_ARGS": words,
        }  # fmt: skip
        return fork_server.vsr(env={**os.environ, **variables}).stdout

    assert "upscale" in completed("vsr upsc")
    assert "--deinterlace" in completed("vsr upscale --dein")
    script = vsr("--show-completion", shell)
    assert script.exit_code == 0, script.output
    assert "_VSR_COMPLETE" in script.stdout


def test_options_of_one_target_size_are_one_name() -> None:
    both = replace(UpscaleOptions(), width=640, height=360)
    assert str(both.target_size(Size(1, 1), 4)) == "640x360"


def test_a_broken_file_does_not_fail_every_night(run: Path, make_clip: MakeClip) -> None:
    (run / "films").mkdir()
    shutil.copy(make_clip(frames=2), run / "films" / "good.mp4")
    (run / "films" / "bad.mp4").write_bytes(b"no video at all")
    command = ("upscale", "films", "large", "--skip-broken", *QUICK)
    first = vsr(*command)
    assert first.exit_code == 8
    assert "--skip-broken" in first.stderr
    second = vsr(*command)
    assert second.exit_code == 0, second.stderr
    assert "it failed before:" in second.stderr
    assert vsr(*(word for word in command if word != "--skip-broken")).exit_code == 8
    shutil.copy(run / "films" / "good.mp4", run / "films" / "bad.mp4")
    assert vsr(*command).exit_code == 0
    assert (run / "large" / "bad.mp4").exists(), "it changed, and is tried"


def test_a_dry_run_ends_its_measuring_in_time(
    run: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.move(make_clip(frames=100), run / "in.mp4")
    engine = vsr_package.Engine(vsr_package.load("bicubic"))
    plan = api.plan(source, run / "out.mkv", UpscaleOptions(preset="ultrafast"))
    monkeypatch.setattr(trial_run, "BUDGET_SECONDS", inf)
    assert trial_run.trial_run(plan, engine).frames == 20
    monkeypatch.setattr(trial_run, "BUDGET_SECONDS", 0.0)
    measured = trial_run.trial_run(plan, engine)
    assert 1 <= measured.frames <= trial_run.GROUP
    assert measured.seconds > 0


def test_a_dry_run_begins_no_frames_for_which_a_slow_network_has_no_time(
    run: Path, make_clip: MakeClip, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = shutil.move(make_clip(frames=100), run / "in.mp4")
    engine = vsr_package.Engine(vsr_package.load("bicubic"))
    plan = api.plan(source, run / "out.mkv", UpscaleOptions(preset="ultrafast"))
    passed, enlarger = 0.0, trial_run.enlarger

    def slow(*arguments: Any) -> Any:
        stage = enlarger(*arguments)

        def begin(clip: Any) -> Any:
            finish = stage(clip)

            def end() -> Any:
                nonlocal passed
                passed += trial_run.BUDGET_SECONDS / 2
                return finish()

            return end

        return begin

    def now() -> float:
        return passed

    monkeypatch.setattr(trial_run, "enlarger", slow)
    monkeypatch.setattr(trial_run.time, "perf_counter", now)
    # The first clip once more for its memory, and then no time is left, not even for another place.
    assert trial_run.trial_run(plan, engine).frames == trial_run.GROUP
    assert passed == trial_run.BUDGET_SECONDS


def test_a_log_line_has_a_time(run: Path, make_clip: MakeClip) -> None:
    shutil.move(make_clip(frames=2), run / "in.mp4")
    script = (
        "import logging, sys\n"
        "from vsr.cli.console import Console\n"
        "with Console(json=False, quiet=False, verbose=True): logging.getLogger('vsr').info('said')"
    )
    done = fork_server.run([sys.executable, "-c", script], check=True)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ INFO vsr: said\n", done.stderr)


def test_fewer_pictures_than_asked_for_are_explained(run: Path) -> None:
    done = vsr("extract", str(SAMPLES / "harbour.mkv"), str(run / "frames"), "--max", "50")
    assert done.exit_code == 0, done.stderr
    assert "1 frames, and up to 50 were asked for: one of each scene" in done.stderr
    again = vsr("extract", str(SAMPLES / "harbour.mkv"), "other", "--max", "1")
    assert "were asked for" not in again.stderr


LONG = "n" * 300


@pytest.mark.parametrize(
    "words",
    [
        ("upscale", LONG, "out.mkv"),
        ("upscale", "in.mp4", f"{LONG}.mkv"),
        ("upscale", "in.mp4", f"{'n' * 250}.mkv"),  # its work folder's name is too long
        ("upscale", "in.mp4", f"{LONG}/out.mkv"),
        ("upscale", "in.mp4", "--to", LONG),
        ("upscale", "in.mp4", "out.mkv", "--compare", LONG),
        ("probe", LONG),
        ("plan", LONG),
        ("extract", "in.mp4", LONG),
        ("compare", "in.mp4", LONG),
        ("compare", "in.mp4", "in.mp4", "--html", LONG),
        ("eval", "bicubic", "--data", LONG),
        ("train", LONG, "--out", "trained"),
    ],
)
def test_paths_that_the_system_does_not_look_up_are_one_error(
    run: Path, make_clip: MakeClip, words: tuple[str, ...]
) -> None:
    """So are files in folders that may not be entered; ``Path.exists`` raises for both."""
    make_clip("in.mp4", frames=2).rename(run / "in.mp4")
    done = vsr(*words)
    assert done.exit_code == 3
    assert "File name too long\nhint: give a shorter name" in done.stderr
    assert [path.name for path in run.iterdir()] == ["in.mp4"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("models", "info", LONG), "there is no model"),
        (("models", "inspect", LONG), "there is no model"),
        (("eval", "bicubic", "--data", ".", "--vgg", LONG), "there is no VGG file"),
        (("upscale", f"{LONG}/*.mp4", "out"), "no file matches"),
    ],
)
def test_names_that_no_file_can_have_are_of_none(words: tuple[str, ...], said: str) -> None:
    done = vsr(*words)
    assert done.exit_code in (3, 4)
    assert said in done.stderr


def test_links_that_lead_in_a_circle_are_one_error(run: Path, make_clip: MakeClip) -> None:
    source = make_clip("in.mp4", frames=2)
    circle = run / "out.mkv"
    circle.symlink_to(circle)
    assert "out.mkv exists already" in vsr("upscale", str(source), "out.mkv").stderr
    assert vsr("upscale", str(source), "out.mkv", *QUICK, "--overwrite").exit_code == 0
    assert circle.is_file()
    assert not circle.is_symlink()
    (run / "films").mkdir()
    (run / "films" / "circle.mp4").symlink_to("circle.mp4")
    source.rename(run / "films" / "in.mp4")
    done = vsr("upscale", "films", "large", *QUICK)
    assert done.exit_code == 8
    assert (run / "large" / "in.mp4").is_file()
