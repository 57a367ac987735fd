"""The command line: parse, draw progress, map errors to exit codes. The only floor that prints."""
