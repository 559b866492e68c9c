"""Minimal edits of a pair that must turn the outcome round, or must not: a suite of them in YAML, and its run.

After CheckList (Ribeiro et al., 2020): what must change is its directional expectation, what must stay its invariance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError

from stancekit.config.base import Schema
from stancekit.errors import UserError, nearest
from stancekit.evaluation.model import Behaviour, Failure
from stancekit.evaluation.predicting import predict_unique
from stancekit.labels import OUTCOMES, Outcome
from stancekit.models.base import StanceModel
from stancekit.pairs.model import Pair
from stancekit.paths import siblings

_EXPECTS = ("change", "same")
_SUFFIXES = (".yaml", ".yml")


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("expected text, which is not blank")
    return text


Text = Annotated[str, AfterValidator(_not_blank)]


class Edit(Schema):
    """The columns that change, with their new values; a holder of null is an unknown one."""

    statement: Text = ""
    holder: Text | None = None
    target: Text = ""


class EditTest(Schema):
    """A pair with its label, an edit of it, and the label afterwards where that is another."""

    statement: Text
    holder: Text | None = None
    target: Text
    label: Outcome
    edit: Edit
    edited_label: Outcome | None = None

    def before(self) -> Pair:
        """Return the pair as it was, with its label."""
        return Pair(self.statement, self.target, self.holder, self.label)

    def after(self) -> Pair:
        """Return the edited pair, with the label that it must get."""
        changed = self.edit.model_dump(exclude_unset=True)
        return replace(self.before(), label=self.edited_label or self.label, **changed)


class Suite(Schema):
    """Tests of one kind of edit: what it does, and whether the outcome must change or stay the same."""

    kind: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    what: Text
    expects: Literal["change", "same"]
    tests: Annotated[tuple[EditTest, ...], Field(min_length=1)]


def load_suite(folder: Path) -> list[Suite]:
    """Return the suites of a folder, one for every YAML file, in the order of the files' names.

    Raises:
        UserError: there is no such folder or no YAML in it, two files have the same kind, or a file is not valid: lists
            every mistake of the file by test number and field.
    """
    if not folder.is_dir():
        close = nearest(folder.name, siblings(folder))
        raise UserError(
            f"behaviour: no folder '{folder}'{close}\n  expected: a folder of YAML files, one a kind of edit"
        )
    paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    if not paths:
        raise UserError(f"behaviour: no YAML file in '{folder}'; expected one for every kind of edit")
    suites = {}
    for path in paths:
        suite = _read(path)
        if suite.kind in suites:
            raise UserError(f"behaviour: '{path}': the kind '{suite.kind}' stands in another file too; expected one")
        suites[suite.kind] = suite
    return list(suites.values())


def run_suite(model: StanceModel, suites: Sequence[Suite], batch_size: int) -> tuple[Behaviour, ...]:
    """Return how a model does on every suite, with every test that it fails.

    A test that expects a change is passed when both outcomes are right, one that expects the same when the two
    predicted outcomes are equal, right or wrong. All pairs are scored in one call.
    """
    pairs = [pair for suite in suites for test in suite.tests for pair in (test.before(), test.after())]
    predicted = iter([OUTCOMES[i] for i in predict_unique(model, pairs, batch_size).argmax(axis=1)])
    return tuple(_judged(suite, [(next(predicted), next(predicted)) for _ in suite.tests]) for suite in suites)


def _judged(suite: Suite, predicted: Sequence[tuple[str, str]]) -> Behaviour:
    right, failures = 0, []
    for test, (outcome, edited_outcome) in zip(suite.tests, predicted, strict=True):
        before, after = test.before(), test.after()
        both_right = (outcome, edited_outcome) == (before.label, after.label)
        right += both_right
        if both_right or (suite.expects == "same" and outcome == edited_outcome):
            continue
        failures.append(
            Failure(
                kind=suite.kind,
                holder=before.holder,
                statement=before.statement,
                target=before.target,
                gold=str(before.label),
                predicted=outcome,
                edited_holder=after.holder,
                edited_statement=after.statement,
                edited_target=after.target,
                edited_gold=str(after.label),
                edited_predicted=edited_outcome,
            )
        )
    number = len(suite.tests)
    return Behaviour(
        kind=suite.kind,
        what=suite.what,
        expects=suite.expects,
        tests=number,
        passed=(number - len(failures)) / number,
        right=right / number,
        failures=tuple(failures),
    )


def _read(path: Path) -> Suite:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"behaviour: '{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise UserError(f"behaviour: '{path}' has no keys; expected {', '.join(Suite.model_fields)}")
    try:
        suite = Suite.model_validate(values)
    except ValidationError as error:
        raise _refused(path, [_said(problem) for problem in error.errors()]) from error
    if problems := _contradictions(suite):
        raise _refused(path, problems)
    return suite


def _contradictions(suite: Suite) -> list[str]:
    problems = []
    for number, test in enumerate(suite.tests, 1):
        if replace(test.after(), label=test.label) == test.before():
            problems.append(f"test {number}, edit: changes nothing; expected another statement, holder or target")
        if suite.expects == "same" and test.edited_label is not None:
            problems.append(
                f"test {number}, edited_label: found '{test.edited_label}' where the outcome must stay the same; "
                "expected none"
            )
        if suite.expects == "change" and test.edited_label in (None, test.label):
            others = ", ".join(outcome for outcome in OUTCOMES if outcome != test.label)
            found = f"found '{test.edited_label}', the label before the edit" if test.edited_label else "is missing"
            problems.append(f"test {number}, edited_label: {found}; expected one of {others}")
    return problems


def _refused(path: Path, problems: Sequence[str]) -> UserError:
    return UserError(f"behaviour: '{path}' is not valid:\n" + "\n".join(f"  - {problem}" for problem in problems))


def _said(problem: Mapping[str, Any]) -> str:
    """Return a mistake that pydantic found in the words of the file: test number and field, then what is wrong."""
    kind, *inner = problem["loc"]
    place = f"test {inner[0] + 1}" if inner else ""
    field = ".".join(map(str, inner[1:])) or ("" if inner else str(kind))
    where = ", ".join(part for part in (place, field) if part)
    name, found = str(problem["loc"][-1]), repr(problem["input"])
    if problem["type"] == "extra_forbidden":
        known = Suite.model_fields if not inner else EditTest.model_fields if len(inner) == 2 else Edit.model_fields
        return f"{where}: unknown field{nearest(name, known)} (valid: {', '.join(known)})"
    if problem["type"] == "missing":
        return f"{where}: is missing"
    if problem["type"] == "literal_error":
        valid = _EXPECTS if name == "expects" else OUTCOMES
        return f"{where}: found {found}{nearest(str(problem['input']), valid)} (valid: {', '.join(valid)})"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {message}, found {found if len(found) < 80 else found[:77] + '…'}"
