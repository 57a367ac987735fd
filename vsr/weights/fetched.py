"""Models that were fetched by name. Each is two files in one folder of this user's:

4x-Some.pth     the weights, byte for byte as they were published
4x-Some.json    their SHA-256, to which every loading holds them, their source, licence, author
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vsr.errors import OptionsError, WeightsError
from vsr.system import name_problem, replace_file, sha256_of, user_data_folder

VARIABLE = "VSR_MODELS"
SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt")
"""Of files of weights, the ones that cannot hold code first."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
AGAIN = "`vsr models get NAME --overwrite` fetches it again"


@dataclass(frozen=True, slots=True)
class Fetched:
    """One fetched model."""

    name: str
    """Its name here."""
    file: str
    """Its file's name in the folder of fetched models: that name with a suffix."""
    sha256: str
    """What the file is held to, in hexadecimal."""
    asked: str
    """The reference that it was asked for by, without ``hub:``."""
    source: str
    """The hub's own reference: an id, or owner/repository/file@commit."""
    card: Mapping[str, str]
    """Licence, author and the like, in words."""

    @property
    def path(self) -> Path:
        """The file of weights."""
        return models_folder() / self.file

    def whole_card(self) -> dict[str, str]:
        """What is to be known of it wherever it goes: the card, its source and its hash."""
        return {**self.card, "source": self.source, "sha256": self.sha256}


def models_folder() -> Path:
    """Where fetched models lie: the user's data folder, or what the variable VSR_MODELS names.

    Raises :class:`FileNotFoundError` for a user without a home.
    """
    place = os.environ.get(VARIABLE)
    return Path(place).absolute() if place else user_data_folder() / "models"


def find_fetched(name: str) -> Fetched | None:
    """A fetched model by its name here. Raises :class:`WeightsError` at damaged facts."""
    if _NAME.fullmatch(name) is None:
        return None
    path = Path(f"{name}.json")
    try:
        path = models_folder() / path
        row: Any = json.loads(path.read_bytes())
        found = Fetched(name=name, **row)
        texts: list[Any] = [found.file, found.sha256, found.asked, found.source]
        texts += found.card.values()
        if not all(isinstance(text, str) for text in texts) or Path(found.file).stem != name:
            raise ValueError("it has other contents")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"what is known of the model {name} cannot be read: {path}: {error}", hint=AGAIN
        ) from error
    return found


def all_fetched() -> Iterator[Fetched]:
    """All fetched models whose facts can be read, by name."""
    try:
        paths = sorted(models_folder().glob("*.json"))
    except FileNotFoundError:
        return
    for path in paths:
        try:
            found = find_fetched(path.stem)
        except WeightsError:  # told when it is asked for by its name
            continue
        if found is not None:
            yield found


def by_reference(reference: str) -> Fetched | None:
    """The model that was fetched by this reference, or whose source is this."""
    return next((m for m in all_fetched() if reference in (m.asked, m.source)), None)


def checked_path(model: Fetched) -> Path:
    """Its file, after a look at whether it still is what was fetched.

    Raises :class:`WeightsError`.
    """
    try:
        digest = sha256_of(model.path)
    except OSError as error:
        raise WeightsError(
            f"the weights of {model.name} are missing: {error}", hint=AGAIN
        ) from error
    if digest != model.sha256:
        raise WeightsError(
            f"{model.path} is not the file that was fetched (sha256 {digest[:12]}…, "
            f"expected {model.sha256[:12]}…)",
            hint=f"{AGAIN}; or give the file by its path to use it as it is",
        )
    return model.path


def add(path: Path, model: Fetched) -> None:
    """Move a file into the folder, in place of what has its name. Raises :class:`OSError`.

    At every instant the name stands for the old model, for the new one, or for none.
    """
    facts = models_folder() / f"{model.name}.json"
    facts.unlink(missing_ok=True)
    for suffix in SUFFIXES:
        facts.with_name(model.name + suffix).unlink(missing_ok=True)
    replace_file(path, model.path)
    row = {key: value for key, value in asdict(model).items() if key != "name"}
    part = path.with_name(facts.name)
    part.write_text(json.dumps(row, indent=2) + "\n", encoding="utf-8")
    replace_file(part, facts)


def check_name(name: str, taken: Collection[str]) -> None:
    """Refuse what cannot be a model's name, or is that of one of ours."""
    if _NAME.fullmatch(name) is None:
        raise OptionsError(
            f"a model cannot have the name {name!r}",
            hint="letters, digits, dots, dashes, underscores and plus signs; --name gives another",
        )
    problem = name_problem(Path(f"{name}.json"))
    if problem is not None:
        raise OptionsError(f"a model cannot have the name {name!r}: {problem}", hint="--name")
    if name in taken:
        raise OptionsError(
            f"{name} is the name of a model of vsr's own", hint="--name gives another"
        )
