"""``python -m vsr`` and the ``vsr`` command."""

from __future__ import annotations

from vsr.cli.app import app
from vsr.runtime import keep_freed_memory


def main() -> None:
    """Run the command line."""
    keep_freed_memory()
    app(prog_name="vsr")


if __name__ == "__main__":
    main()
