"""Label Studio: tasks and the labelling interface out, exports in (JSON and JSON-MIN).

The shapes are those of https://labelstud.io/guide/task_format and https://labelstud.io/guide/export.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from stancekit.annotation.model import PAIR_ID, Given, checked
from stancekit.errors import UserError
from stancekit.labels import OUTCOMES
from stancekit.pairs.model import Pair

CONTROL = "stance"
"""The name of the choice in the labelling interface, and so of the label in every export."""

NOBODY = "(nobody named)"
"""What annotators read where a pair has no holder."""

_SHOWN = ("holder", "target", "statement")


def tasks(pairs: Mapping[str, Pair], order: Iterable[str]) -> str:
    """Return the tasks as JSON to import, in the given order and without any label."""
    listed = [
        {"data": {PAIR_ID: name, **{field: getattr(pairs[name], field) or NOBODY for field in _SHOWN}}}
        for name in order
    ]
    return json.dumps(listed, ensure_ascii=False, indent=1) + "\n"


def interface() -> str:
    """Return the project's labelling interface: the pair, and one choice among the outcomes with a key for each."""
    choices = "\n".join(
        f"    <Choice value={quoteattr(label)} hotkey={quoteattr(str(key))}/>" for key, label in enumerate(OUTCOMES, 1)
    )
    return (
        "<View>\n"
        '  <Header value="Does the holder, in this statement, support the target, rule it out or leave it open?"/>\n'
        '  <Text name="holder" value="$holder"/>\n  <Text name="target" value="$target"/>\n'
        '  <Text name="statement" value="$statement"/>\n'
        f'  <Choices name="{CONTROL}" toName="statement" choice="single" required="true" showInLine="true">\n'
        f"{choices}\n  </Choices>\n</View>\n"
    )


def read_export(path: Path, pairs: dict[str, Pair]) -> Iterator[Given]:
    """Yield every label of an export, the last one where an annotator labelled a task twice; skipped tasks give none.

    Raises:
        UserError: the file is no export, or one of another project or of other pairs.
    """
    try:
        exported = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise UserError(f"collect: '{path}' cannot be read as JSON: {error}") from error
    if not isinstance(exported, list) or not all(isinstance(task, dict) for task in exported):
        raise UserError(
            f"collect: '{path}' is no export of Label Studio; expected a JSON list of tasks (JSON or JSON-MIN)"
        )
    latest: dict[tuple[str, str], tuple[str, Given]] = {}
    for number, task in enumerate(exported, 1):
        where = f"{path}, task {number}"
        try:
            flat = "annotations" not in task
            found = list(_flat(task, where) if flat else _annotations(task, where))
        except (AttributeError, TypeError) as error:
            raise UserError(f"{where}: not in the shape of Label Studio's export ({error})") from error
        data = task if flat else task["data"]
        for annotator, label, when in found:
            given = checked(Given(str(data[PAIR_ID]), annotator, label, where), pairs, data.get("statement"))
            held = latest.get((given.pair_id, annotator))
            if held is None or held[0] <= when:
                latest[given.pair_id, annotator] = (when, given)
    for _, given in latest.values():
        yield given


def _annotations(task: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, str]]:
    """Yield annotator, label and time of every annotation of a task in the full JSON format."""
    _own(task.get("data"), task, where)
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        results = annotation.get("result") or []
        own = [result for result in results if result.get("from_name") == CONTROL]
        if not own:
            if results:
                named = ", ".join(sorted({str(result.get("from_name")) for result in results}))
                raise _foreign(task, where, f"no choice '{CONTROL}' (found: {named})")
            continue
        choices = [choice for result in own for choice in result["value"].get("choices") or ()]
        if len(choices) != 1:
            raise UserError(f"{where}: expected one choice of '{CONTROL}', found {choices!r}")
        yield _person(annotation.get("completed_by")), str(choices[0]), _when(annotation)


def _flat(task: Mapping[str, Any], where: str) -> Iterator[tuple[str, str, str]]:
    """Yield annotator, label and time of a task in the JSON-MIN format: one annotation, its data beside it."""
    _own(task, task, where)
    label = task.get(CONTROL)
    if label is None or label == "":
        return
    if not isinstance(label, str):
        raise UserError(f"{where}: expected one choice of '{CONTROL}', found {label!r}")
    yield _person(task.get("annotator")), label, _when(task)


def _own(data: object, task: Mapping[str, Any], where: str) -> None:
    if not isinstance(data, dict) or PAIR_ID not in data:
        fields = ", ".join(data) if isinstance(data, dict) else "none"
        raise _foreign(task, where, f"its data has no '{PAIR_ID}' (found: {fields})")


def _foreign(task: Mapping[str, Any], where: str, why: str) -> UserError:
    project = f" {task['project']}" if "project" in task else ""
    return UserError(
        f"{where}: this is of another project{project}: {why}\n"
        "  expected: an export of tasks and interface written by `stancekit annotate export=… to=labelstudio`"
    )


def _person(completed_by: object) -> str:
    if isinstance(completed_by, dict):
        return str(completed_by.get("email") or completed_by.get("id"))
    return "unknown" if completed_by is None else str(completed_by)


def _when(annotation: Mapping[str, Any]) -> str:
    return str(annotation.get("updated_at") or annotation.get("created_at") or "")
