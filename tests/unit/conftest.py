"""How hypothesis runs here: the same examples each time, no file left in the checkout."""

from harness import ROOT
from hypothesis import configuration, settings

configuration.set_hypothesis_home_dir(ROOT / ".cache/hypothesis")
settings.register_profile("unit", database=None, deadline=None, derandomize=True, max_examples=100)
settings.load_profile("unit")
