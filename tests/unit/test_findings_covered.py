"""Each finding of the catalogue is made to happen, or recognised, by exactly one table of the tests."""

import collections
from collections.abc import Iterable

from kernel import test_findings_old, test_findings_refused, test_findings_shown, test_findings_warned
from unit import test_findings_recorded, test_findings_words

from ocishim import findings

#: How a finding is tested: as ocishim says it here, as a fact of this kernel, on an old one, by recorded
#: facts, by what others say.
TABLES: dict[str, Iterable[str]] = {
    "here": [*test_findings_refused.CASES, *test_findings_warned.CASES],
    "shown": test_findings_shown.CASES,
    "old": test_findings_old.CASES,
    "recorded": test_findings_recorded.CASES,
    "texts": test_findings_words.TEXTS,
    "errnos": test_findings_words.ERRNOS,
    "silent": test_findings_words.SILENT,
}


def test_each_finding_has_its_test() -> None:
    counted = collections.Counter(id_ for table in TABLES.values() for id_ in {name[:10] for name in table})

    assert {finding.id: 1 for finding in findings.all()} == counted
