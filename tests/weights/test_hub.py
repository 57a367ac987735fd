"""Models by name, from a server on this machine that answers as the hubs do."""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

import vsr
from fuzz.mutate import mutate
from tests.marks import usually
from tests.models import published
from tests.weights.hubs import COMMIT, Hubs, serving
from vsr import api, weights
from vsr.cli.console import show_models
from vsr.errors import MissingExtra, OptionsError, VsrError, WeightsError
from vsr.events import Event, Warned

database: Any = pytest.importorskip("openmodeldb.client", reason="the extra vsr[hub] is missing")
constants: Any = pytest.importorskip("huggingface_hub.constants")


def network(seed: int = 0, **wrapped: Any) -> bytes:
    """A small network of SRVGGNetCompact's, as torch.save writes it."""
    made, state = io.BytesIO(), published.srvgg()
    shifted = {key: value + seed / 100 for key, value in state.items()}
    torch.save({"params": shifted, **wrapped}, made)
    return made.getvalue()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of fetched models, which is not there yet."""
    monkeypatch.setenv("VSR_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def place_hugging_face(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its package makes of the variable HF_ENDPOINT when it is imported."""
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + template)
    monkeypatch.setattr(constants, "ENDPOINT", url)


@pytest.fixture
def hubs(models: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Hubs]:
    del models
    with serving() as served:
        monkeypatch.setattr(database, "API_URL", f"{served.url}/api/v1/models.json")
        place_hugging_face(served.url, monkeypatch)
        yield served


def here(folder: Path) -> set[str]:
    """What lies in a folder, hidden things too."""
    return set(os.listdir(folder)) if folder.exists() else set()


def test_a_model_of_openmodeldb(hubs: Hubs, models: Path) -> None:
    data = network()
    hubs.publish("4x-Some", data)
    told: list[Event] = []
    found = weights.get("hub:4x some", on_event=told.append)
    assert [str(event) for event in told] == [str(Warned(
        f"fetching hub:4x-Some ({len(data) / 1e6:.1f} MB, licence: CC-BY-4.0, by someone)"
    ))]  # fmt: skip
    assert found.path == models / "4x-Some.pth"
    assert found.path.read_bytes() == data
    assert here(models) == {"4x-Some.pth", "4x-Some.json"}
    upscaler = vsr.load("4x-Some")
    assert (upscaler.name, upscaler.scale, upscaler.foreign) == ("4x-Some", 4, True)
    assert dict(upscaler.card) | {
        "licence": "CC-BY-4.0",
        "author": "someone",
        "about": "Sharpens photographs.",
        "source": "4x-Some",
        "sha256": hashlib.sha256(data).hexdigest(),
    } == dict(upscaler.card)
    assert "4x-Some" in weights.names()
    assert {row["name"]: row for row in api.list_models()}["4x-Some"]["licence"] == "CC-BY-4.0"


def test_what_is_here_needs_no_network(hubs: Hubs) -> None:
    hubs.publish("4x-Some", network())
    first = vsr.load("hub:4x-Some")
    assert len(hubs.asked) == 2  # the index and the file
    again = vsr.load("hub:4x-Some")
    assert vsr.load("4x-Some").fingerprint == again.fingerprint == first.fingerprint
    assert weights.get("4x-Some").name == "4x-Some"
    assert len(hubs.asked) == 2


@pytest.mark.parametrize(
    "reference", ["owner/nets", "owner/nets@main", f"owner/nets/deep/2x-net.pth@{COMMIT}"]
)
def test_a_repository_of_hugging_face(reference: str, hubs: Hubs, models: Path) -> None:
    data = network()
    hubs.push("owner/nets", {"README.md": b"# nets", "deep/2x-net.pth": data})
    told: list[Event] = []
    found = weights.get(reference, on_event=told.append)
    assert found.source == f"owner/nets/deep/2x-net.pth@{COMMIT}"
    assert found.name == ("2x-net" if "deep" in reference else "nets")
    assert "licence: apache-2.0, by owner" in str(told[0])
    assert here(models) == {f"{found.name}.pth", f"{found.name}.json"}
    assert found.path.read_bytes() == data
    asked = len(hubs.asked)
    assert vsr.load(f"hub:{reference}").card["licence"] == "apache-2.0"
    assert len(hubs.asked) == asked


def test_safetensors_are_preferred(hubs: Hubs) -> None:
    made = weights.path_of("tiny")
    assert made is not None
    hubs.publish("Tiny-Like", network())
    hubs.files["/files/one.safetensors"] = made.read_bytes()
    resource = hubs.models["Tiny-Like"]["resources"][0]
    other = {"type": "safetensors", "urls": [f"{hubs.url}/files/one.safetensors"]}
    other["sha256"] = hashlib.sha256(made.read_bytes()).hexdigest()
    hubs.models["Tiny-Like"]["resources"].append({**resource, **other})
    assert weights.get("Tiny-Like").file == "Tiny-Like.safetensors"
    assert vsr.load("Tiny-Like").parameters == vsr.load("tiny").parameters


def test_a_second_address_is_tried(hubs: Hubs) -> None:
    hubs.publish("Some", network())
    urls = hubs.models["Some"]["resources"][0]["urls"]
    urls.insert(0, f"{hubs.url}/files/gone.pth")
    assert weights.get("Some").name == "Some"
    assert f"{hubs.url}/files/gone.pth" not in [f"{hubs.url}{path}" for path in hubs.asked[-1:]]


def test_an_archive_is_unpacked_and_its_file_held_to_the_hash(hubs: Hubs, models: Path) -> None:
    data, packed = network(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("read me.txt", "hello")
        archive.writestr("inside/../../net.pth", data)
    hubs.publish("Packed", data)
    hubs.files["/files/all.zip"] = packed.getvalue()
    hubs.models["Packed"]["resources"][0]["urls"] = [f"{hubs.url}/files/all.zip"]
    assert weights.get("Packed").path.read_bytes() == data
    assert here(models) == {"Packed.pth", "Packed.json"}


class Program:
    """Unpickled carelessly, it makes a folder."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def test_no_code_of_a_file_is_run(hubs: Hubs, models: Path, tmp_path: Path) -> None:
    trace = tmp_path / "it ran"
    hubs.publish("wrapped", network(extra=Program(trace)))
    hubs.publish("bare", pickle.dumps(Program(trace)))
    hubs.push("owner/bad", {"net.pth": network(extra=Program(trace))})
    for name in ("wrapped", "bare", "owner/bad"):
        with pytest.raises(WeightsError, match=r"hub:\S+ is not a readable .*nothing was kept"):
            weights.get(name)
    assert not trace.exists()
    assert here(models) == set()


def altered(hubs: Hubs) -> str:
    hubs.publish("Some", network())
    hubs.files["/files/Some.pth"] = network(1)
    return "Some"


def altered_repository(hubs: Hubs) -> str:
    hubs.push("owner/nets", {"net.pth": network()})
    hubs.files[f"/owner/nets/resolve/{COMMIT}/net.pth"] = network(1)
    return "owner/nets"


def cut_short(hubs: Hubs) -> str:
    hubs.publish("Some", network())
    hubs.files["/files/Some.pth"] = hubs.files["/files/Some.pth"][:-100]
    return "Some"


def no_network_at_all(hubs: Hubs) -> str:
    other = io.BytesIO()
    torch.save({"a.weight": torch.zeros(3, 3)}, other)
    hubs.publish("Some", other.getvalue())
    return "Some"


def another_format(hubs: Hubs) -> str:
    hubs.publish("Some", b"onnx", kind="onnx")
    return "Some"


def without_hash(hubs: Hubs) -> str:
    hubs.publish("Some", network(), resource={"sha256": None})
    return "Some"


def plain_git_file(hubs: Hubs) -> str:
    hubs.push("owner/nets", {"net.pth": network()})
    hubs.repositories["owner/nets"]["siblings"][0]["lfs"] = None
    return "owner/nets"


def file_is_gone(hubs: Hubs) -> str:
    hubs.publish("Some", network())
    del hubs.files["/files/Some.pth"]
    return "Some"


def local_file(hubs: Hubs) -> str:
    hubs.publish("Some", network(), resource={"urls": [Path(__file__).as_uri()]})
    return "Some"


def huge(hubs: Hubs) -> str:
    hubs.publish("Some", network(), resource={"size": 5 << 30})
    return "Some"


def odd_index(hubs: Hubs) -> str:
    hubs.models["Some"] = ["what is this"]
    return "Some"


def odd_resources(hubs: Hubs) -> str:
    hubs.publish("Some", network())
    hubs.models["Some"]["resources"] = [3]
    return "Some"


def unknown(hubs: Hubs) -> str:
    hubs.publish("4x-Some", network())
    return "some"


def unknown_repository(hubs: Hubs) -> str:
    del hubs
    return "owner/nothing"


def unknown_revision(hubs: Hubs) -> str:
    hubs.push("owner/nets", {"net.pth": network()})
    return "owner/nets@v9"


def unknown_file(hubs: Hubs) -> str:
    hubs.push("owner/nets", {"net.pth": network()})
    return "owner/nets/other.pth"


def several_files(hubs: Hubs) -> str:
    hubs.push("owner/nets", {"a.pth": network(), "b.pth": network(1)})
    return "owner/nets"


def no_weights(hubs: Hubs) -> str:
    hubs.push("owner/nets", {"README.md": b"soon"})
    return "owner/nets"


REFUSED = {
    altered: ("is not the file that was meant: sha256", "nothing was kept"),
    altered_repository: ("owner/nets/net.pth.* is not the file that was meant", "nothing was kept"),
    cut_short: ("cannot fetch from|not the file that was meant", ""),
    no_network_at_all: ("hub:Some holds no network.*nothing was kept", "spandrel"),
    another_format: ("not as weights of PyTorch", "onnx"),
    without_hash: ("no sha256 of hub:Some is stated", "--sha256"),
    plain_git_file: ("no sha256 of hub:owner/nets/net.pth", "--sha256"),
    file_is_gone: ("cannot fetch from http.*Some.pth: .*404", "network"),
    local_file: ("cannot fetch from file:.*Unsupported URL scheme", ""),
    huge: ("has 5120 MB: no weights", ""),
    odd_index: ("cannot fetch from OpenModelDB", ""),
    odd_resources: ("cannot fetch from OpenModelDB", ""),
    unknown: ("OpenModelDB has no model 'some'", "4x-Some"),
    unknown_repository: ("shows no repository owner/nothing", "hf auth login"),
    unknown_revision: ("owner/nets has no revision v9", ""),
    unknown_file: ("has no file of weights other.pth", "net.pth"),
    several_files: ("has no one file of weights alone", "a.pth, b.pth"),
    no_weights: ("has no one file of weights alone", "none"),
}


@pytest.mark.parametrize("publish", REFUSED, ids=lambda publish: publish.__name__)
def test_one_clear_error_and_nothing_kept(publish: Any, hubs: Hubs, models: Path) -> None:
    message, hint = REFUSED[publish]
    with pytest.raises(WeightsError, match=message) as caught:
        weights.get(publish(hubs))
    assert hint in (caught.value.hint or "")
    assert here(models) == set()


@pytest.mark.parametrize("reference", ["", "a/", "/b", "a/b/", "a//b", "a/b@"])
def test_references_that_name_nothing(reference: str, hubs: Hubs) -> None:
    with pytest.raises((OptionsError, WeightsError), match=r"names no file|has no model"):
        weights.get(f"hub:{reference}")
    assert set(hubs.asked) <= {"/api/v1/models.json"}


def test_a_pinned_hash(hubs: Hubs, models: Path) -> None:
    data, other = network(), "ab" * 32
    hubs.publish("Some", data)
    with pytest.raises(WeightsError, match=f"has the sha256 .*, not {other}"):
        weights.get("Some", sha256=other)
    with pytest.raises(OptionsError, match="64 hexadecimal digits"):
        weights.get("Some", sha256="abc")
    assert here(models) == set()
    digest = hashlib.sha256(data).hexdigest()
    assert weights.get("Some", sha256=digest.upper()).sha256 == digest
    with pytest.raises(WeightsError, match="is here already, with the sha256"):
        weights.get("Some", sha256=other)
    without_hash(hubs)
    assert weights.get("Some", sha256=digest, overwrite=True).sha256 == digest


def test_names_that_are_taken(hubs: Hubs, models: Path) -> None:
    hubs.publish("Some", network())
    hubs.push(
        "owner/nets", {"Some.pth": network(1), "tiny.pth": network(), "same/Some.pth": network()}
    )
    kept = weights.get("Some").path.read_bytes()
    assert weights.get("owner/nets/same/Some.pth").source == "Some"  # the same bytes
    with pytest.raises(OptionsError, match="there is a model Some already, of hub:Some") as caught:
        weights.get("owner/nets/Some.pth")
    assert "--name" in (caught.value.hint or "")
    with pytest.raises(OptionsError, match="tiny is the name of a model of vsr's own"):
        weights.get("owner/nets/tiny.pth")
    for name in ("../up", "", ".hidden", "a/b", "compact", "auto", "bicubic"):
        with pytest.raises(OptionsError, match=r"cannot have the name|vsr's own"):
            weights.get("Some", name=name)
    assert (models / "Some.pth").read_bytes() == kept
    other = weights.get("owner/nets/Some.pth", name="Other")
    assert vsr.load("hub:owner/nets/Some.pth").name == "Other"
    assert weights.get("owner/nets/Some.pth", name="Some", overwrite=True).sha256 == other.sha256
    assert {path.stem for path in models.iterdir()} == {"Some", "Other"}


def test_odd_names_become_names_of_files(hubs: Hubs, models: Path) -> None:
    hubs.publish("..4x (best) é", network())
    hubs.files["/files/it.pth"] = network()
    hubs.models["..4x (best) é"]["resources"][0]["urls"] = [f"{hubs.url}/files/it.pth"]
    assert weights.get("..4x (best) é").name == "4x_best_"
    assert here(models) == {"4x_best_.pth", "4x_best_.json"}


def test_overwriting_leaves_one_file(hubs: Hubs, models: Path) -> None:
    hubs.publish("Some", network())
    weights.get("Some")
    tiny = weights.path_of("tiny")
    assert tiny is not None
    hubs.publish("Some", tiny.read_bytes(), kind="safetensors")
    weights.get("Some", overwrite=True)
    assert here(models) == {"Some.safetensors", "Some.json"}
    assert vsr.load("Some").parameters == vsr.load("tiny").parameters


def test_what_is_here_is_held_to_its_hash(hubs: Hubs, models: Path) -> None:
    hubs.publish("Some", network())
    found = weights.get("Some")
    found.path.write_bytes(network(1))
    for use in (vsr.load, weights.find, weights.path_of):
        with pytest.raises(WeightsError, match="is not the file that was fetched") as caught:
            use("Some")
        assert "--overwrite" in (caught.value.hint or "")
    found.path.unlink()
    with pytest.raises(WeightsError, match="the weights of Some are missing"):
        vsr.load("Some")
    for facts in ("{", "[]", '{"file": "../x.pth"}', json.dumps({"file": 3}), "[" * 100_000):
        (models / "Some.json").write_text(facts)
        with pytest.raises(WeightsError, match="what is known of the model Some cannot be read"):
            vsr.load("Some")
        assert "Some" not in weights.names()
    weights.get("Some", overwrite=True)
    assert vsr.load("Some").name == "Some"


def test_licence_and_source_go_where_the_weights_go(hubs: Hubs, tmp_path: Path) -> None:
    from vsr.weights.blend import blend
    from vsr.weights.export import export

    hubs.publish("One", network())
    hubs.publish("Two", network(1), license="MIT")
    for name in ("One", "Two"):
        weights.get(name)
    export("One", "safetensors", tmp_path / "one.safetensors")
    card = vsr.load(str(tmp_path / "one.safetensors")).card
    assert (card["licence"], card["source"]) == ("CC-BY-4.0", "One")
    mixed = blend(weights.find("One"), weights.find("Two"), 0.5)
    assert mixed.card["licence"] == "CC-BY-4.0 and MIT"


def test_a_licence_that_nobody_states(hubs: Hubs) -> None:
    hubs.push("owner/nets", {"net.pth": network()}, licence=None)
    assert weights.get("owner/nets").card["licence"] == "not stated"


def test_the_folder_cannot_be_written(hubs: Hubs, models: Path) -> None:
    models.write_text("a file")
    hubs.publish("Some", network())
    with pytest.raises(WeightsError, match="cannot keep hub:Some: ") as caught:
        weights.get("Some")
    assert "VSR_MODELS" in (caught.value.hint or "")


def test_there_is_no_room_for_temporary_files(
    hubs: Hubs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hubs.publish("Some", network())
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nothing"))
    with pytest.raises(WeightsError, match="cannot keep hub:Some: "):
        weights.get("Some")


@pytest.mark.parametrize("name", ["Some", "owner/nets"])
def test_without_a_network(name: str, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as gone:
        pass  # nobody listens at its port any more
    monkeypatch.setattr(database, "API_URL", f"{gone.url}/api/v1/models.json")
    place_hugging_face(gone.url, monkeypatch)
    with pytest.raises(WeightsError, match=r"cannot fetch from (OpenModelDB|Hugging Face): ") as e:
        vsr.load(f"hub:{name}")
    assert "needs a network" in (e.value.hint or "")
    assert here(models) == set()


@pytest.mark.parametrize("name", ["Some", "owner/nets"])
def test_without_the_extra(name: str, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = importlib.import_module

    def missing(place: str) -> Any:
        if place.partition(".")[0] in ("openmodeldb", "huggingface_hub"):
            raise ImportError(f"it is broken: {place}")
        return imported(place)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(
        MissingExtra, match=r"models by name need the package \w+: it is broken"
    ) as caught:
        weights.get(name)
    assert caught.value.hint == "pip install 'vsr[hub]'"
    assert here(models) == set()


def command(hubs: Hubs, *words: object) -> list[str]:
    """``vsr``, at these hubs: OpenModelDB's address is given by no variable."""
    program = (
        "import sys, openmodeldb.client as client; client.API_URL = sys.argv.pop(1);"
        "from vsr.__main__ import main; main()"
    )
    return [sys.executable, "-c", program, f"{hubs.url}/api/v1/models.json", *map(str, words)]


def run(hubs: Hubs, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(hubs, *words),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HF_ENDPOINT": hubs.url},
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", usually([signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]))
def test_stopped_while_it_fetches(number: signal.Signals, hubs: Hubs, models: Path) -> None:
    hubs.publish("Some", network())
    hubs.stuck["/files/Some.pth"] = threading.Event()
    process = subprocess.Popen(
        command(hubs, "models", "get", "Some"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(models.glob(".fetching-*/*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    hubs.stuck["/files/Some.pth"].set()
    assert process.returncode == 128 + number
    assert "Traceback" not in told
    assert "stopped at once" in told
    assert here(models) == set()


def test_what_a_killed_process_left_is_removed(hubs: Hubs, models: Path) -> None:
    for name, hours in (("old", 25), ("new", 1)):
        place = models / f".fetching-{name}"
        place.mkdir(parents=True)
        (place / "half.pth").write_bytes(b"half")
        then = time.time() - hours * 3600
        os.utime(place, (then, then))
    hubs.publish("Some", network())
    weights.get("Some")
    assert here(models) == {".fetching-new", "Some.pth", "Some.json"}


@pytest.mark.extended
def test_the_commands(
    hubs: Hubs, models: Path, make_clip: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hubs.publish("4x-Some", network(), description="It\x1b]0;bad\x07 sharpens.")
    hubs.push("owner/nets", {"net.pth": network(1)}, licence="MIT\x1b[2J")
    got = run(hubs, "models", "get", "4x-Some", "--json")
    assert got.returncode == 0, got.stderr
    assert "fetching hub:4x-Some" in got.stderr
    row = json.loads(got.stdout)
    assert (row["path"], row["licence"]) == (str(models / "4x-Some.pth"), "CC-BY-4.0")
    clip = make_clip(frames=2)
    words = ("upscale", clip, "--preset", "ultrafast", "--no-check-model", "--model")
    made = run(hubs, *words, "hub:owner/nets")
    assert made.returncode == 0, made.stderr
    assert made.stderr.count("licence: MIT\\u001b[2J, by owner") == 1
    assert (tmp_path / "in_4x.mp4").exists()
    show_models(api.list_models())
    listed = capsys.readouterr().out
    assert f"(hub:owner/nets/net.pth@{COMMIT}, licence: MIT" in listed
    assert "\x1b" not in listed


def test_every_error_is_one_of_vsr_s(hubs: Hubs, models: Path) -> None:
    """Whatever comes for the index, changed anywhere, is used or told in one sentence."""
    hubs.publish("Some", network())
    whole, answer, refused = json.dumps(hubs.models).encode(), hubs.answer, 0
    for seed in range(40):
        damaged, _ = mutate(whole, random.Random(seed))

        def changed(path: str, damaged: bytes = damaged) -> tuple[int, bytes, dict[str, str]]:
            return (200, damaged, {}) if path.endswith("models.json") else answer(path)

        hubs.answer = changed
        try:
            weights.get("Some", overwrite=True)
        except VsrError:
            refused += 1
    assert refused > 10
    assert here(models) <= {"Some.pth", "Some.json"}
