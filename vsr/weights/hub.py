"""Weights by name from where people publish them: OpenModelDB, or a Hugging Face repository.

    hub:4x-Some                            a model of OpenModelDB, by its name or id there
    hub:owner/repository                   the one file of weights in a repository
    hub:owner/repository/file.pth@v1       one of several, of a branch, tag or commit

Both are reached by their own packages (the extra ``vsr[hub]``). A file is kept where it has the
SHA-256 that is asked for, or that the hub states, and is a network that can be used; it is looked
into as any third party's file is, without running code. From then on it is held to that hash.
"""

from __future__ import annotations

import errno
import importlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn
from urllib.error import HTTPError
from zipfile import BadZipFile

from vsr.errors import MissingExtra, OptionsError, WeightsError
from vsr.events import EventSink, Warned, ignore
from vsr.system import sha256_of
from vsr.weights.fetched import (
    SUFFIXES,
    VARIABLE,
    Fetched,
    add,
    by_reference,
    check_name,
    find_fetched,
    models_folder,
)
from vsr.weights.files import MAX_BYTES

PREFIX = "hub:"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO)
_FETCHING = ".fetching-"
_LEFT_SECONDS = 24 * 3600  # longer than anything is fetched
_LISTED = 6  # names in a hint
_SECONDS = 30  # for an answer of a hub


@dataclass(frozen=True, slots=True)
class Offer:
    """A file of weights that a hub has, and what it says of it."""

    name: str
    """The name that the model would have here."""
    source: str
    """The hub's own: an id, or owner/repository/file@commit."""
    suffix: str
    """The file's suffix, with the dot."""
    size: int | None
    """In bytes; ``None`` where the hub states none."""
    sha256: str | None
    """In hexadecimal; ``None`` where the hub states none."""
    download: Callable[[Path], Path]
    """Puts the file into a folder and returns its path."""
    card: dict[str, str] = field(default_factory=dict[str, str])
    """The licence, which is always there; the author and a description, where they are known."""

    def __str__(self) -> str:
        size = "" if self.size is None else f"{self.size / 1e6:.1f} MB, "
        author = f", by {self.card['author']}" if "author" in self.card else ""
        return f"hub:{self.source} ({size}licence: {self.card['licence']}{author})"


def fetch(
    reference: str,
    usable: Callable[[Path], object],
    *,
    taken: Collection[str] = (),
    name: str | None = None,
    sha256: str | None = None,
    overwrite: bool = False,
    on_event: EventSink = ignore,
) -> Fetched:
    """The model that a reference names, fetched unless it is here already.

    ``usable`` raises where a file is no network, ``taken`` are names that no fetched model may
    have. What is fetched, and under which licence, is told before. Raises
    :class:`MissingExtra`, :class:`OptionsError` or :class:`WeightsError`; nothing is then kept.
    """
    asked = reference.removeprefix(PREFIX)
    if sha256 is not None and _SHA256.fullmatch(sha256 := sha256.lower()) is None:
        raise OptionsError(f"a SHA-256 has 64 hexadecimal digits, got {sha256!r}")
    if name is not None:
        check_name(name, taken)
    here = None if overwrite else by_reference(asked)
    if here is not None and name in (None, here.name):
        if sha256 not in (None, here.sha256):
            raise WeightsError(
                f"{here.name} is here already, with the sha256 {here.sha256}",
                hint="--overwrite fetches it again",
            )
        return here
    try:
        with ExitStack() as stack:
            offer = _look_up(asked, Path(stack.enter_context(tempfile.TemporaryDirectory())))
            chosen = name or offer.name
            check_name(chosen, taken)
            expected = _expected(offer, sha256)
            here = None if overwrite else find_fetched(chosen)
            if here is not None:
                if here.sha256 == expected:
                    return here
                raise OptionsError(
                    f"there is a model {chosen} already, of hub:{here.source}",
                    hint="--name gives another name, --overwrite replaces it",
                )
            on_event(Warned(f"fetching {offer}"))
            file = chosen + offer.suffix
            model = Fetched(chosen, file, expected, asked, offer.source, offer.card)
            folder = models_folder()
            folder.mkdir(parents=True, exist_ok=True)
            _remove_left(folder)
            place = tempfile.TemporaryDirectory(prefix=_FETCHING, dir=folder)
            _download(offer, Path(stack.enter_context(place)), model, usable)
            return model
    except OSError as error:
        raise WeightsError(
            f"cannot keep hub:{asked}: {error}",
            hint=f"the variable {VARIABLE} names another folder",
        ) from error


def _download(offer: Offer, place: Path, model: Fetched, usable: Callable[[Path], object]) -> None:
    """Download, check, and only then keep."""
    path = place / model.file
    offer.download(place).replace(path)
    digest = sha256_of(path)
    if digest != model.sha256:
        raise WeightsError(
            f"what came for hub:{offer.source} is not the file that was meant: "
            f"sha256 {digest}, expected {model.sha256}",
            hint="nothing was kept; try again, and if it stays so, ask who publishes it",
        )
    try:
        usable(path)
    except WeightsError as error:
        said = error.message.replace(str(path), f"hub:{offer.source}")
        raise WeightsError(f"{said}; nothing was kept", hint=error.hint) from error
    add(path, model)


def _remove_left(folder: Path) -> None:
    """Remove what a process that was killed while it fetched left there."""
    for place in folder.glob(f"{_FETCHING}*"):
        with suppress(OSError):  # somebody else's, or gone
            if time.time() - place.stat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(place)


def _expected(offer: Offer, sha256: str | None) -> str:
    """The hash that the file must have."""
    if offer.size is not None and offer.size > MAX_BYTES:
        raise WeightsError(f"hub:{offer.source} has {offer.size >> 20} MB: no weights for this")
    stated = (offer.sha256 or "").lower()
    if sha256 is not None and stated not in ("", sha256):
        raise WeightsError(
            f"hub:{offer.source} has the sha256 {stated}, not {sha256}",
            hint="it was published anew, or the hash is another file's",
        )
    expected = sha256 or stated
    if _SHA256.fullmatch(expected) is None:
        raise WeightsError(
            f"no sha256 of hub:{offer.source} is stated where it is published",
            hint="--sha256 gives the one that it must have",
        )
    return expected


def _look_up(asked: str, cache: Path) -> Offer:
    """What there is for a reference; ``cache`` is a folder for the meantime."""
    if "/" not in asked:
        return _of_openmodeldb(asked, cache)
    place, at, revision = asked.partition("@")
    owner, repository, *path = place.split("/")
    if not (owner and repository and all(path)) or (at and not revision):
        raise OptionsError(
            f"hub:{asked} names no file",
            hint="hub:NAME, or hub:OWNER/REPOSITORY[/FILE][@REVISION]",
        )
    return _of_hugging_face(f"{owner}/{repository}", "/".join(path), revision or None)


def _of_openmodeldb(name: str, cache: Path) -> Offer:
    package = _package("openmodeldb")
    failures = (package.OpenModelDBError, OSError, *_ODD_ANSWERS)
    database = package.OpenModelDB(cache_dir=str(cache))
    try:
        wanted = name.casefold()
        ids = {str(text).casefold(): m for m in database.models for text in (m.name, m.id)}
        if wanted not in ids:
            near = sorted({str(m.id) for text, m in ids.items() if wanted in text})
            raise WeightsError(
                f"OpenModelDB has no model {name!r}",
                hint=f"it has {_some(near)}" if near else "openmodeldb.info shows what it has",
            )
        model = ids[wanted]
        kinds = {f".{row['type']}": dict(row) for row in reversed(model.resources) if row["urls"]}
        suffix = next((suffix for suffix in SUFFIXES if suffix in kinds), "")
        if not suffix:
            raise WeightsError(
                f"OpenModelDB has {model.id} not as weights of PyTorch",
                hint=f"it has {_some(sorted(kinds)) or 'no file'}",
            )
        row = kinds[suffix]
        urls = [str(url) for url in row["urls"]]
        size, stated = row.get("size"), row.pop("sha256", None)  # that is checked here
        said = {
            "about": " ".join(str(model.description).split())[:300],
            "author": str(model.author),
            "licence": str(model.license or "not stated"),
        }
    except failures as error:
        _give_up("OpenModelDB", error)

    def download(folder: Path) -> Path:
        for url in urls:
            one = replace(model, resources=[{**row, "urls": [url]}])
            try:
                return Path(
                    database.download(one, dest=str(folder), format=row["type"], quiet=True)
                )
            except failures as error:
                if url == urls[-1] or _is_disk(error):
                    _give_up(url, error)
        raise AssertionError  # the last one returns or raises

    return Offer(
        name=_as_name(str(model.id)),
        source=str(model.id),
        suffix=suffix,
        size=size if isinstance(size, int) else None,
        sha256=str(stated or "") or None,
        download=download,
        card={key: text for key, text in said.items() if text},
    )


def _of_hugging_face(repository: str, path: str, revision: str | None) -> Offer:
    package, errors, utils = (
        _package(f"huggingface_hub.{name}") for name in ("hf_api", "errors", "utils")
    )
    failures = (errors.HTTPError, errors.XetDownloadError, OSError, *_ODD_ANSWERS)
    hub = package.HfApi(library_name="vsr")
    utils.logging.set_verbosity_error()  # its notes of each try
    utils.disable_progress_bars()
    try:
        facts = hub.model_info(repository, revision=revision, files_metadata=True, timeout=_SECONDS)
        files: dict[str, Any] = {file.rfilename: file for file in facts.siblings}
        card: Any = facts.card_data or {}
        licence = card.get("license_name") or card.get("license") or "not stated"
        commit = str(facts.sha)
    except errors.RevisionNotFoundError as error:
        raise WeightsError(f"{repository} has no revision {revision}") from error
    except errors.RepositoryNotFoundError as error:  # gated ones, too
        raise WeightsError(
            f"Hugging Face shows no repository {repository}",
            hint="its name is another, or it asks to log in: `hf auth login`",
        ) from error
    except failures as error:
        _give_up("Hugging Face", error)
    weights = sorted(file for file in files if PurePosixPath(file).suffix in SUFFIXES)
    if path not in weights and (path or len(weights) != 1):
        what = f"file of weights {path}" if path else "one file of weights alone"
        raise WeightsError(f"{repository} has no {what}", hint=f"it has {_some(weights) or 'none'}")
    name = PurePosixPath(path).stem if path else repository.split("/")[1]
    path = path or weights[0]

    def download(folder: Path) -> Path:
        try:
            return Path(
                hub.hf_hub_download(repository, path, revision=commit, local_dir=str(folder))
            )
        except failures as error:
            _give_up(f"{repository}/{path}", error)

    stored = files[path].lfs
    return Offer(
        name=_as_name(name),
        source=f"{repository}/{path}@{commit}",
        suffix=PurePosixPath(path).suffix,
        size=files[path].size,
        sha256=None if stored is None else stored.sha256,
        download=download,
        card={"author": repository.split("/")[0], "licence": str(licence)},
    )


# What the packages raise of themselves where an answer is not what it should be.
_ODD_ANSWERS = (ValueError, TypeError, LookupError, AttributeError, HTTPException, BadZipFile)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(
            f"models by name need the package {name.partition('.')[0]}: {_first_line(error)}",
            hint="pip install 'vsr[hub]'",
        ) from error


def _is_disk(error: Exception) -> bool:
    """Whether it is of the disk here, which :func:`fetch` tells."""
    return isinstance(error, OSError) and error.errno in _DISK


def _give_up(what: str, error: Exception) -> NoReturn:
    """Raise what a package raised as an error of ours, or as what the disk says."""
    if isinstance(error.__cause__, HTTPError):
        error.__cause__.close()  # its connection, which openmodeldb leaves open
    if _is_disk(error):
        raise error
    raise WeightsError(
        f"cannot fetch from {what}: {_first_line(error)}",
        hint="it needs a network; models that are here already, and files, need none",
    ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _as_name(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", text).lstrip("._+-")


def _some(items: list[str]) -> str:
    return ", ".join(items[:_LISTED]) + (" …" if len(items) > _LISTED else "")
