"""``vsr config``: which flags ``vsr.toml`` sets, and where it is looked for."""

from __future__ import annotations

from typing import Annotated

import typer

from vsr.cli import params, settings
from vsr.cli.console import as_json

Profile = Annotated[
    str | None, typer.Argument(metavar="PROFILE", help="With this profile's, as --profile has it.")
]


def config(ctx: typer.Context, profile: Profile = None, json: params.Json = False) -> None:
    """Show the flags that vsr.toml sets, for every run or in a profile."""
    found = settings.settings(ctx.find_root(), profile or ctx.find_root().params.get("profile"))
    places = settings.places()
    names = {path: settings.profiles(settings.read(path)) for path in places}
    if json:
        rows = [
            {
                "command": " ".join(item.command), "flag": item.flag, "value": item.value,
                "file": str(item.path), "profile": item.profile,
            }
            for item in found
        ]  # fmt: skip
        print(as_json({"files": {str(path): names[path] for path in places}, "settings": rows}))
        return
    for path in places:
        said = f"profiles: {', '.join(names[path]) or 'none'}" if path.exists() else "not there"
        print(f"{path}: {said}")
    for item in found:
        origin = f"profile {item.profile} in {item.path}" if item.profile else item.path
        print(f"vsr {' '.join(item.command)} --{item.flag} {as_json(item.value)}  ({origin})")
