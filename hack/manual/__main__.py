"""`hack/man DIRECTORY`."""

import pathlib
import sys

from ocishim import __version__
from ocishim.cli.main import ocishim

from . import write

for path in write(pathlib.Path(sys.argv[1]), ocishim, __version__):
    print(path)
