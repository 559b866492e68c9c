"""The schema of labelled data: where rows come from, what columns and labels mean, how rows are split and mixed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from stancekit.config.base import Fraction, GivenText, Positive, Revision, Schema, fields_of
from stancekit.labels import NliLabel, Outcome
from stancekit.metric_names import known_metric

CorpusLabel = Outcome | NliLabel


class SplitConfig(Schema):
    """How rows are split when the file has no ``split`` column: whole groups of equal ``by`` stay together."""

    by: GivenText
    dev: Fraction
    test: Fraction

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> SplitConfig:
        if self.dev + self.test >= 1:
            raise ValueError("dev and test together must leave rows to train on")
        return self


class HubSource(Schema):
    """A corpus on the hub: its id, the commit it is pinned to, and its files by split (none: those of the corpus)."""

    id: GivenText
    revision: Revision | None
    files: dict[str, tuple[GivenText, ...]] = Field(default_factory=dict)


def _template(text: str) -> str:
    try:
        fields_of(text)
    except ValueError as error:
        raise ValueError(f"expected a column's name or a template such as '{{a}} {{b}}': {error}") from error
    return text


class Columns(Schema):
    """Which column of a file is which of ours: a name, or a template such as ``{Context} {Target}``."""

    statement: Annotated[GivenText, AfterValidator(_template)] = "statement"
    target: Annotated[GivenText, AfterValidator(_template)] = "target"
    holder: GivenText | None = "holder"
    label: GivenText = "label"
    id: GivenText | None = "id"


class Scale(Schema):
    """Graded labels: from ``supports`` up the holder supports, from ``rules_out`` down he rules out; open between."""

    supports: float
    rules_out: float

    @model_validator(mode="after")
    def _leaves_something_between(self) -> Scale:
        if self.rules_out >= self.supports:
            raise ValueError("rules_out must lie below supports")
        return self


class SplitColumn(Schema):
    """A column whose values name the split in words of its own; rows with other values are left out."""

    column: GivenText
    values: dict[str, Literal["train", "dev", "test"]]


class About(Schema):
    """Where a corpus comes from, how it may be used, and what has been found to be wrong with it."""

    source: GivenText
    licence: GivenText
    citation: GivenText
    metric: GivenText
    traps: tuple[GivenText, ...]


class CorpusConfig(Schema):
    """Labelled rows of any origin. Relative paths are looked up in the working folder first, then among what ships.

    ``path`` is a file, or a folder that holds ``files`` by split (``all``: of no split yet), or the files as the hub
    has them; without it the corpus comes from ``hub``. ``rename`` is for files whose columns are called otherwise than
    in their siblings. ``labels`` gives for each label of the file ours, an NLI label, or null to leave the row out;
    ``scale`` and ``votes`` (one column of numbers per label, the highest counts) are for labels that are no names.
    ``recode`` sets further columns by the value of one, ``constants`` whatever the row; ``each`` names a column with a
    list of objects, one row for each.
    """

    name: GivenText
    path: GivenText | None = None
    hub: HubSource | None = None
    files: dict[str, tuple[GivenText, ...]] = Field(default_factory=dict)
    rename: dict[str, str] = Field(default_factory=dict)
    columns: Columns = Columns()
    constants: dict[str, str] = Field(default_factory=dict)
    each: GivenText | None = None
    recode: dict[str, dict[str, dict[str, str]]] = Field(default_factory=dict)
    labels: dict[str, CorpusLabel | None] = Field(default_factory=dict)
    scale: Scale | None = None
    votes: dict[str, CorpusLabel] = Field(default_factory=dict)
    split_column: SplitColumn | None = None
    split: SplitConfig = SplitConfig(by="statement", dev=0.15, test=0.2)
    about: About | None = None

    @model_validator(mode="after")
    def _has_one_way_to_labels(self) -> CorpusConfig:
        if sum(map(bool, (self.labels, self.scale, self.votes))) > 1:
            raise ValueError("labels, scale and votes exclude each other")
        return self


class MixSource(Schema):
    """A further source of training rows: ``weight`` times as many as there are own ones, at most ``cap`` and all."""

    weight: Annotated[float, Field(gt=0)]
    cap: Positive | None = None
    path: GivenText | None = None
    corpus: CorpusConfig | None = None


class DataConfig(CorpusConfig):
    """A corpus to train and test on.

    Values of the ``disjoint`` columns stay on one side of the split; ``shared`` says which of them a split has in
    common with train on purpose. ``overlap`` says what becomes of training rows whose statement, or a near-copy, stands
    in dev or test: the data is refused, or, for official splits that have such rows, they are removed. ``tests`` are
    further test sets by name, ``mix`` further training rows.

    Rows that share a value of ``cluster`` are resampled together when an interval is computed: the first of the columns
    that a part of the data has, or its statements. ``metrics`` are scores that this data is known by, beyond those of
    every evaluation.
    """

    disjoint: tuple[str, ...] = ()
    shared: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    overlap: Literal["refuse", "remove"] = "refuse"
    tests: dict[str, str] = Field(default_factory=dict)
    cluster: tuple[GivenText, ...] = ("story", "topic", "target")
    metrics: tuple[Annotated[GivenText, AfterValidator(known_metric)], ...] = ()
    mix: dict[str, MixSource] = Field(default_factory=dict)
