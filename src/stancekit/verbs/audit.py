"""``stancekit audit``: what is wrong with labelled data."""

from __future__ import annotations

from pathlib import Path

from stancekit.audit.report import FILES, as_text, write_report
from stancekit.audit.run import audit
from stancekit.config.schema import AuditConfig
from stancekit.data.dataset import read_parts
from stancekit.errors import UserError


def run(config: AuditConfig) -> None:
    """Print the report and write it to ``output``, where that is given.

    Raises:
        UserError: the data cannot be read, or the audit is strict and there are errors.
    """
    report = audit(config.data, read_parts(config.data), config.audit, config.model)
    print(as_text(report))
    if config.output:
        write_report(report, Path(config.output))
        print(f"written: {', '.join(str(Path(config.output) / name) for name in FILES)}")
    if config.audit.strict and report.errors:
        named = ", ".join(found.check for found in report.errors)
        raise UserError(f"audit.strict=true: {len(report.errors)} errors in {report.path}: {named}")
