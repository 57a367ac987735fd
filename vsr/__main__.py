"""``python -m vsr`` and the ``vsr`` command."""

from __future__ import annotations

from vsr.cli.app import app


def main() -> None:
    """Run the command line."""
    app(prog_name="vsr")


if __name__ == "__main__":
    main()
