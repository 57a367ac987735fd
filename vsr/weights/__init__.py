"""Weights on disk: shipped, published by others, fetched, or written here. Knows no video."""

from vsr.weights.fetched import Fetched as Fetched
from vsr.weights.fetched import all_fetched as all_fetched
from vsr.weights.files import FORMAT as FORMAT
from vsr.weights.files import Stored as Stored
from vsr.weights.files import fitted as fitted
from vsr.weights.files import identify as identify
from vsr.weights.files import read as read
from vsr.weights.files import read_file as read_file
from vsr.weights.store import Entry as Entry
from vsr.weights.store import find as find
from vsr.weights.store import folder as folder
from vsr.weights.store import get as get
from vsr.weights.store import index as index
from vsr.weights.store import load as load
from vsr.weights.store import names as names
from vsr.weights.store import path_of as path_of
from vsr.weights.store import save as save
from vsr.weights.store import save_stored as save_stored
