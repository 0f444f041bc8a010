"""A program: prints what doctor BUNDLE says of the bundle here, without a look at the whole host."""

import json
import sys

from ocishim import argv, container, diagnosis, settings
from ocishim.probe import survey

found, mounts = container.read(argv.parse(["run", "./."]))
report = diagnosis.judge(survey.look(found, mounts, settings.Settings(), "auto", "runc"))
lines = [line for lines in report.sections.values() for line in lines]
lines += [verdict.line for verdict in report.verdicts]
said = [
    {
        "page": line.page,
        "said": f"{line.mark} {line.what}{f': {line.why}' * bool(line.why)}",
        "remedy": line.remedy,
    }
    for line in lines
]
json.dump(said, sys.stdout)
