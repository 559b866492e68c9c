"""What an experiment measured, written beside its YAML: for people as Markdown, for the README's table as JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from stancekit.config.base import flat
from stancekit.config.compose import expand_variants, experiments_dir, load_config
from stancekit.config.schema import NOT_REPEATED, TrainConfig
from stancekit.errors import UserError, nearest
from stancekit.files import whole_file
from stancekit.repeats.describe import summary_table
from stancekit.repeats.summary import from_table

FIRST_SHOWN = "baselines"
"""The experiment that the README shows first."""

PLACEHOLDER = "FOLDER"
"""Stands for what an experiment leaves to its user: where a corpus of others lies."""

START, END = "<!-- results: written by `stancekit report` -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Measured:
    """The result of an experiment, with what is needed to repeat it.

    ``table`` holds the summaries by line, ``checks`` the mean of what the checks of the runs found, by variant.
    """

    name: str
    question: str
    command: str
    config: Mapping[str, Any]
    variants: Mapping[str, list[str]]
    config_hash: str
    commit: str
    changed_since: bool
    date: str
    machine: str
    seconds: float
    seeds: str
    table: Mapping[str, Any]
    checks: Mapping[str, Mapping[str, float]]
    learned: str


def known_experiment(name: str) -> Path:
    """Return the YAML of an experiment.

    Raises:
        UserError: there is none of that name.
    """
    names = sorted(path.stem for path in experiments_dir().glob("*.yaml"))
    if name not in names:
        raise UserError(f"experiment={name}: no such experiment{nearest(name, names)} (valid: {', '.join(names)})")
    return experiments_dir() / f"{name}.yaml"


def question_of(path: Path) -> str:
    """Return the question that an experiment's YAML asks in its first comment, up to the command."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        if not line.startswith("#") or line.startswith("#   "):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(lines)


def words_of(name: str) -> list[str]:
    """Return the words that compose an experiment, a placeholder for every value that its YAML asks for (``???``)."""
    asked = sorted(OmegaConf.missing_keys(OmegaConf.load(known_experiment(name))))
    return [f"experiment={name}", *(f"{key}={PLACEHOLDER}" for key in asked)]


def command_of(name: str) -> str:
    """Return the command that runs an experiment."""
    return shlex.join(["stancekit", "train", *words_of(name)])


def current(name: str) -> tuple[dict[str, Any], dict[str, list[str]]]:
    """Return what an experiment's configuration is now: its values by dotted key, and the words of its variants."""
    words = words_of(name)
    config = load_config("train", words)
    assert isinstance(config, TrainConfig)
    values = flat(config.model_dump(mode="json", exclude=set(NOT_REPEATED)))
    variants = {variant: words_[len(words) :] for variant, words_ in expand_variants("train", words).items()}
    return values, variants


def stale(measured: Measured) -> list[str]:
    """Return what has changed in an experiment's configuration since it was measured.

    Keys that came later do not count: they were not there to be set.
    """
    values, variants = current(measured.name)
    changed = [
        f"{key}: was {before!r}, is {values.get(key, 'gone')!r}"
        for key, before in measured.config.items()
        if values.get(key, "gone") != before
    ]
    if dict(measured.variants) != variants:
        changed.append("variants")
    return changed


def result_file(name: str) -> Path:
    """Return where the result of an experiment is kept."""
    return experiments_dir() / f"{name}.json"


def read(name: str) -> Measured | None:
    """Return the result of an experiment, or None if it was not measured yet."""
    path = result_file(name)
    return Measured(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def write(measured: Measured) -> list[Path]:
    """Write a result as JSON and Markdown beside the YAML, and anew the README's table; return the files.

    Raises:
        UserError: the README says where the table begins and not where it ends, or a file cannot be written.
    """
    readme = experiments_dir().parent / "README.md"
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    before, begun, rest = text.partition(START)
    _, ended, after = rest.partition(END)
    if begun and not ended:
        raise UserError(f"{readme}: '{START}' is not followed by '{END}'; expected the table between the two")
    data, page = result_file(measured.name), experiments_dir() / f"{measured.name}.md"
    with whole_file(data) as stream:
        json.dump(asdict(measured), stream, indent=1, ensure_ascii=False)
        stream.write("\n")
    with whole_file(page) as stream:
        stream.write(as_markdown(measured))
    if not begun:
        return [data, page]
    with whole_file(readme) as stream:
        stream.write(f"{before}{START}\n{readme_table()}\n{END}{after}")
    return [data, page, readme]


def as_markdown(measured: Measured) -> str:
    """Return the result of an experiment as a page."""
    lines = [f"# {measured.name}", "", measured.question, "", f"    {measured.command}", ""]
    lines += [
        "Macro-F1 over the three stances: mean ± standard deviation over runs, 95 % interval of the mean over runs"
    ]
    lines += ["and clusters of rows.", "", *summary_table(from_table(measured.table)), ""]
    # A corpus of others has no fourth outcome, and is often published with its accuracy.
    others = measured.config.get("data.about.metric") is not None
    said, metric = ("Accuracy", "accuracy") if others else ("Over all four outcomes", "macro_f1_outcomes")
    lines += [f"{said}:", "", *summary_table(from_table(measured.table), metric), ""]
    if names := list(dict.fromkeys(name for checks in measured.checks.values() for name in checks)):
        lines += ["What the checks found, the mean over runs:", "", f"| | {' | '.join(names)} |"]
        lines += ["|---|" + "---|" * len(names)]
        for variant, checks in measured.checks.items():
            cells = [f"{checks[name]:.3f}" if name in checks else "–" for name in names]
            lines.append(f"| {variant} | {' | '.join(cells)} |")
        lines.append("")
    lines += ["## What was learned", "", measured.learned, "", "## How it was measured", ""]
    state = f"commit {measured.commit[:12]}{', changed since' if measured.changed_since else ''}"
    lines += [f"{measured.date}, {measured.seconds / 60:.0f} minutes on {measured.machine}; {measured.seeds}; {state};"]
    return "\n".join([*lines, f"configuration {measured.config_hash}.", ""])


def readme_table() -> str:
    """Return the README's results: a line for every experiment, and the table of each that was measured."""
    lines = ["| experiment | question | what was learned |", "|---|---|---|"]
    tables: list[str] = []
    for path in sorted(experiments_dir().glob("*.yaml"), key=lambda path: (path.stem != FIRST_SHOWN, path.stem)):
        measured = read(path.stem)
        learned = measured.learned.split("\n\n")[0] if measured else "not measured yet"
        cells = [" ".join(text.replace("|", "\\|").split()) for text in (question_of(path), learned)]
        lines.append(f"| [{path.stem}](experiments/{path.name}) | {' | '.join(cells)} |")
        if measured:
            found = from_table(measured.table)
            # Where the test part of a corpus is not at hand, dev is all there is.
            tested = any(part != "dev" for summary in found.values() for part in summary.parts)
            shown = summary_table(found, without=["dev"] if tested else [])
            tables += ["", f"`{measured.command}`:", "", *shown]
    if tables:
        lines += [
            "",
            "Macro-F1 over the three stances: mean ± standard deviation over runs [95 % interval of the mean].",
        ]
    return "\n".join([*lines, *tables])
