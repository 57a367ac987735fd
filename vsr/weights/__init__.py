"""Weights on disk: what is shipped, what others published, what is written. Knows no video."""

from vsr.weights.files import FORMAT as FORMAT
from vsr.weights.files import Stored as Stored
from vsr.weights.files import fitted as fitted
from vsr.weights.files import identify as identify
from vsr.weights.files import read as read
from vsr.weights.files import read_file as read_file
from vsr.weights.store import Entry as Entry
from vsr.weights.store import find as find
from vsr.weights.store import folder as folder
from vsr.weights.store import index as index
from vsr.weights.store import load as load
from vsr.weights.store import names as names
from vsr.weights.store import save as save
from vsr.weights.store import save_stored as save_stored
