"""Programs for those who make vsr: trainings in a row, and tables of figures."""
