"""The container: its files name what is there, say what pyproject says, and install what runs.

Docker itself is not needed: a linter reads the Dockerfile, and the script that it runs is run here.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from packaging.specifiers import SpecifierSet

from tests.install import PROGRAM, make_picture, run
from vsr.cli.app import app

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
unix = pytest.mark.skipif(sys.platform == "win32", reason="a script for sh")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's, each as its word and the rest; comments and line ends are gone."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    whole = "\n".join(line for line in lines if not line.startswith("#")).replace("\\\n", " ")
    found = [line.partition(" ") for line in whole.splitlines() if line.strip()]
    return [(word, rest.strip()) for word, _, rest in found]


def of(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def copied() -> list[str]:
    """What is copied from the project."""
    return [path for rest in of("COPY") if "--from" not in rest for path in shlex.split(rest)[:-1]]


def test_a_linter_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    made = subprocess.run(
        [hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (made.returncode, made.stdout) == (0, "")


def test_its_python_is_one_of_ours() -> None:
    images = [rest.split()[0] for rest in of("FROM")]
    versions = {image.removeprefix("python:").removesuffix("-slim") for image in images}
    assert len(versions) == 1
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(versions.pop())


def test_what_is_copied_is_there_and_is_all_that_a_build_needs() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not set(copied()) & set(ignored)
    for path in copied():
        assert (ROOT / path).exists(), path
    build = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*build["packages"], *build["force-include"], "pyproject.toml", "constraints.txt"}
    needed |= {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]}
    assert needed <= set(copied())


def test_its_command_is_vsr_and_its_user_is_not_root() -> None:
    (command,) = (json.loads(rest) for rest in of("ENTRYPOINT"))
    assert set(command) == set(PROJECT["project"]["scripts"]) == {"vsr"}
    words = [word for word, _ in instructions()]
    assert words.index("USER") > max(n for n, word in enumerate(words) if word == "RUN")
    assert of("USER") == ["1000"]
    assert of("STOPSIGNAL") == ["SIGINT"]  # of all signals, the one that finishes a segment first


def service(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))["services"]["vsr"]


@pytest.mark.parametrize("name", ["compose.yaml", "compose.cuda.yaml"])
def test_compose_gives_arguments_that_the_build_has(name: str) -> None:
    arguments = {rest.partition("=")[0] for rest in of("ARG")}
    assert set(service(name)["build"]["args"]) <= arguments


def test_compose_watches_its_folder() -> None:
    found = service("compose.yaml")
    name, *words = found["command"]
    group: Any = typer.main.get_command(app)
    given = group.commands[name].make_context(name, list(words)).params
    assert (given["watch"], given["recursive"], given["skip_broken"]) == (True, True, True)
    targets = {bound["target"]: bound for bound in found["volumes"]}
    assert [str(path) for path in given["places"]] == ["/films"]
    assert str(given["to"]) == "/large"
    assert set(targets) == {"/films", "/large"}
    assert targets["/films"]["read_only"]
    assert not any(bound["bind"]["create_host_path"] for bound in targets.values())
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {Path(bound["source"]).name for bound in targets.values()} <= set(ignored)


PYTHON = """#!/bin/sh
# python3 -m venv PREFIX, whose pip writes down what it was asked
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "$@" >> "%s/asked"\\ncat "%s/would"\\n' "{0}" "{0}" > "$3/bin/pip"
printf '#!/bin/sh\\necho vsr 1\\n' > "$3/bin/vsr"
chmod +x "$3/bin/pip" "$3/bin/vsr"
"""


def install(folder: Path, *words: str, would: str = "Would install torch-2.13.0+cpu") -> Any:
    """The script, with a Python whose pip only writes down what it is asked."""
    (folder / "tools").mkdir()
    (folder / "tools" / "python3").write_text(PYTHON.format(folder))
    (folder / "tools" / "python3").chmod(0o755)
    (folder / "would").write_text(would + "\n")
    return subprocess.run(
        ["sh", str(ROOT / "docker" / "install.sh"), "/source", str(folder / "prefix"), *words],
        env={**os.environ, "PATH": f"{folder / 'tools'}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


@unix
@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("cpu",), "--constraint /source/constraints.txt /source"),
        (("cpu", "there"), "/source/constraints.txt --extra-index-url there /source"),
        (("cuda", "there", "hub"), "--constraint /source/constraints.txt /source[hub]"),
    ],
)
def test_what_the_script_installs(words: tuple[str, ...], asked: str, tmp_path: Path) -> None:
    made = install(tmp_path, *words)
    assert (made.returncode, made.stdout.splitlines()[-1]) == (0, "vsr 1"), made.stderr
    lines = (tmp_path / "asked").read_text().splitlines()
    assert ["--dry-run" in line for line in lines] == [True, False][-len(lines) :]
    assert len(lines) == (2 if words[0] == "cpu" else 1)
    assert lines[-1].endswith(asked)


@unix
def test_several_gigabytes_for_a_card_are_not_taken_by_mistake(tmp_path: Path) -> None:
    made = install(
        tmp_path, "cpu", would="Would install filelock-4 nvidia-cublas-13.1 torch-2.13.0"
    )
    assert made.returncode == 3
    assert "for CUDA only" in made.stderr
    assert "CPU_INDEX" in made.stderr
    assert not (tmp_path / "prefix").exists()


@unix
def test_another_kind_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    made = install(tmp_path, "tpu")
    assert (made.returncode, made.stderr) == (2, "error: TORCH is cpu or cuda, not tpu\n")
    assert not (tmp_path / "prefix").exists()


@unix
@pytest.mark.extended
def test_the_script_to_its_end_and_a_picture(tmp_path: Path) -> None:
    """From what the image gets, and nothing else, with the pip of this machine."""
    source = tmp_path / "source"
    source.mkdir()
    for path in copied():
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, source / path)
        elif path != "docker/install.sh":
            shutil.copy(ROOT / path, source / path)
    script = ("sh", ROOT / "docker" / "install.sh", source, tmp_path / "vsr", "cpu")
    try:
        run(*script, cwd=tmp_path)
    except subprocess.CalledProcessError as error:
        if error.returncode == 3:
            pytest.skip("pip finds no CPU build of torch here")
        raise
    scripts = tmp_path / "vsr" / "bin"
    picture = make_picture(tmp_path / "low.png")
    run(scripts / "vsr", "upscale", picture, "--model", "tiny", "-q", cwd=tmp_path)
    run(scripts / "python", "-c", PROGRAM, picture, tmp_path / "low_4x.png", cwd=tmp_path)
