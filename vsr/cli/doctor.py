"""``vsr doctor``: what works in this installation, what does not, and what to do."""

from __future__ import annotations

import typer

from vsr.cli import params


def doctor(json: params.Json = False) -> None:
    """Check devices, codecs, colour, models and a whole run; exit with 1 if something is wrong."""
    from vsr.cli.console import as_json
    from vsr.doctor import examine

    wrong = 0
    for check in examine():
        wrong += check.state == "wrong"
        if json:
            print(as_json(check), flush=True)
            continue
        print(f"{check.state:5}  {check.name}: {check.said}", flush=True)
        if check.hint:
            print(f"       {check.hint}", flush=True)
    if not json:
        print("something is wrong: see above" if wrong else "all that is needed works here")
    if wrong:
        raise typer.Exit(1)
