"""Executors of segment tasks: this process, processes on this machine, actors of a Ray cluster."""
