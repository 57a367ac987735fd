"""Several workers on this machine, one process a device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vsr.jobs.devices import Seat
from vsr.jobs.executors.crew import Crew
from vsr.jobs.executors.process import Process
from vsr.jobs.executors.worker import Setup
from vsr.models.arch import Upscaler
from vsr.options import EngineOptions


def parallel(upscaler: Upscaler, options: EngineOptions, places: Sequence[Seat]) -> Crew:
    """A process for each place, started when there is work for it."""
    setups = [
        Setup(upscaler, replace(options, device=seat.device), seat.name, seat.threads)
        for seat in places
    ]
    return Crew(setups, Process)
