"""Tables of the guide that follow from the code: every message, and every option.

``python -m tests.guide_tables`` writes both.
"""

from __future__ import annotations

import ast
from pathlib import Path

from vsr import errors
from vsr.cli.flags import described

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "docs" / "guide" / "errors.md"
OPTIONS = ROOT / "docs" / "guide" / "options.md"
OPTIONS_HEAD = """# Every option

What `vsr upscale` can be told; [upscaling](upscale.md) tells when to. The same names, with `_` for
`-`, are arguments of `UpscaleOptions` and `BatchOptions` ([from Python](python.md)) and keys of
[`vsr.toml`](settings.md). What changes the target's bytes is part of a run's identity: a run that
was interrupted goes on with the same of these alone, on the same kind of device, in the same
precision and with the same versions."""
HEADING = "## Every message"
HEAD = (
    "| code | class | message | hint |",
    "|---|---|---|---|",
)


def rows() -> list[str]:
    """A row for every :class:`~vsr.errors.VsrError` that is made, each once, in order of code."""
    found: set[tuple[int, str, str, str]] = set()
    for path in sorted((ROOT / "vsr").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            row = _row(node) if isinstance(node, ast.Call) else None
            if row is not None:
                found.add(row)
    return [f"| {code} | `{kind}` | {said} | {hint} |" for code, kind, said, hint in sorted(found)]


def _row(call: ast.Call) -> tuple[int, str, str, str] | None:
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.VsrError)):
        return None
    hints = [keyword.value for keyword in call.keywords if keyword.arg == "hint"]
    return kind.exit_code, name, _text(call.args[0]), _text(hints[0]) if hints else ""


def _text(node: ast.expr) -> str:
    """A string as people read it, with … for what is only known when it happens."""
    if isinstance(node, ast.Constant):
        text = "" if node.value is None else str(node.value)
    elif isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    else:
        return "…"
    escaped = text.replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")
    return " ".join(escaped.split(" "))


def guide() -> str:
    """The guide with the table as it should be now."""
    text, _, _ = GUIDE.read_text(encoding="utf-8").partition(HEADING)
    about = "`…` stands for what is only known when it happens: a path, a number, a name."
    return "\n".join([f"{text}{HEADING}", "", about, "", *HEAD, *rows(), ""])


def options() -> str:
    """The guide's page of every option of ``vsr upscale``, as it should be now."""
    lines: list[str] = [*OPTIONS_HEAD.split("\n")]
    subject = ""
    for each in described():
        if each.subject != subject:
            subject = each.subject
            lines += [
                "",
                f"## {subject}",
                "",
                "| flag | default | | changes bytes |",
                "|---|---|---|---|",
            ]
        cells = (f"`{each.flag}`", each.default, each.sentence, "yes" if each.changes else "no")
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    OPTIONS.write_text(options(), encoding="utf-8")
    GUIDE.write_text(guide(), encoding="utf-8")
