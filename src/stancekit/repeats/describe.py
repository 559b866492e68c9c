"""What the MLflow UI says of a run in words: what it is, on which data, what came out, and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stancekit.config.schema import TrainConfig
from stancekit.data.dataset import Dataset
from stancekit.evaluation.model import Behaviour, Report
from stancekit.labels import OUTCOMES
from stancekit.metric_names import HEADLINE
from stancekit.pairs.model import Pair
from stancekit.repeats.command import command
from stancekit.repeats.summary import Summary


def score_line(report: Report, first: bool) -> str:
    """Return one line of a terminal's table of scores, under its heading if it is the first."""
    heading = f"\n{'':<10}{'macro-F1':>9}{'95 % interval':>17}{'four-way':>10}   F1 of each outcome\n" if first else ""
    headline = report.scores[HEADLINE]
    interval = f"[{headline.low:.3f}, {headline.high:.3f}]"
    each = " · ".join(f"{label} {report.value(f'{label}/f1'):.2f}" for label in OUTCOMES)
    four = report.value("macro_f1_outcomes")
    return f"{heading}{report.part:<10}{headline.value:>9.3f}{interval:>17}{four:>10.3f}   {each}"


def warning_lines(reports: Sequence[Report]) -> list[str]:
    """Return a line for every kind of warning: the words of the first part that has it, and the names of the others."""
    found: dict[str, list[tuple[str, str]]] = {}
    for report in reports:
        for warned in report.warnings:
            found.setdefault(warned.check, []).append((report.part, warned.message))
    lines = []
    for said in found.values():
        part, message = said[0]
        others = [other for other in dict.fromkeys(other for other, _ in said) if other != part]
        lines.append(f"WARNING {part}: {message}" + (f" (also: {', '.join(others)})" if others else ""))
    return lines


def describe_run(
    config: TrainConfig, dataset: Dataset, reports: Sequence[Report], behaviour: Sequence[Behaviour], run_id: str
) -> str:
    """Return the description of a single training as Markdown."""
    lines = [f"**{config.model.name}** on **{dataset.name}**, seed {config.seed}", ""]
    warned = [f"- {line.removeprefix('WARNING ')}" for line in warning_lines(reports)]
    lines += ["**Warnings**", "", *warned, ""] if warned else []
    lines += [
        "| set | rows | macro-F1 [95 %] | four-way | MCC | target hidden | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for report in reports:
        hidden = report.hidden.get("target")
        cells = [report.part, str(report.rows), str(report.scores[HEADLINE])]
        cells += [f"{report.value(name):.3f}" for name in ("macro_f1_outcomes", "mcc")]
        cells += [f"{hidden.macro_f1:.3f}" if hidden else "–", f"{report.calibration.ece:.3f}"]
        lines.append(f"| {' | '.join(cells)} |")
    if behaviour:
        rates = ", ".join(f"{one.kind} {one.passed:.0%}" for one in behaviour)
        lines += ["", f"Behaviour tests passed: {rates}"]
    lines += ["", _data_line(dataset), "", _repeat_line(config)]
    if config.tracking.models:
        lines += ["", f"Use it: `stancekit predict model={run_id} …`"]
    return "\n".join(lines)


def describe_repeats(
    title: str,
    configs: Sequence[TrainConfig],
    datasets: Sequence[Dataset],
    lines_by_name: Mapping[str, Summary],
    typed: str,
) -> str:
    """Return the description of a parent as Markdown: mean, spread and interval of every line.

    Args:
        configs: of its variants, the only one mostly.
        datasets: theirs, in the same order.
        typed: the command that was given, which repeats several variants.
    """
    models = ", ".join(dict.fromkeys(config.model.name for config in configs))
    names = ", ".join(dict.fromkeys(dataset.name for dataset in datasets))
    lines = [f"**{title}**: {models} on **{names}**", "", *summary_table(lines_by_name), ""]
    lines += ["± is the standard deviation over runs; intervals are of the mean, over runs and clusters of rows.", ""]
    for line in dict.fromkeys(_data_line(dataset) for dataset in datasets):
        lines += [line, ""]
    return "\n".join([*lines, _repeat_line(configs[0]) if len(configs) == 1 else f"Repeat it: `{typed}`"])


def summary_table(
    lines_by_name: Mapping[str, Summary], metric: str = HEADLINE, without: Sequence[str] = ()
) -> list[str]:
    """Return a Markdown table with a line for every summary and a column for every part, ``without`` some of them."""
    found = dict.fromkeys(part for summary in lines_by_name.values() for part in summary.parts)
    parts = [part for part in found if part not in without]
    table = [f"| | runs | {' | '.join(parts)} |", "|---|---|" + "---|" * len(parts)]
    for name, summary in lines_by_name.items():
        cells = [str(summary.parts[part][metric]) if part in summary.parts else "–" for part in parts]
        table.append(f"| {name} | {summary.runs} | {' | '.join(cells)} |")
    return table


def _data_line(dataset: Dataset) -> str:
    parts: dict[str, Sequence[Pair]] = {"train": dataset.train, "dev": dataset.dev, **dataset.tests}
    said = ", ".join(f"{part} {len(pairs)} (`{dataset.fingerprints[part]}`)" for part, pairs in parts.items())
    return f"Data, rows and fingerprints: {dataset.name}: {said}"


def _repeat_line(config: TrainConfig) -> str:
    if (words := command(config)) is None:
        return "Repeat it: its whole configuration is the artifact `config.yaml`"
    return f"Repeat it{', with every fold' if config.folds else ''}: `{words}`"
