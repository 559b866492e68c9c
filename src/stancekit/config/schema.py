"""The schema of every configuration: frozen, and closed to names that are not in it.

YAML under ``configs/`` gives the values, this module says which values are allowed. A key that has no default here must
be given by a YAML file or on the command line.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from stancekit.config.base import Fraction, GivenText, Positive, Revision, Schema, Sha256, fields_of
from stancekit.config.data import DataConfig


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


EncoderConfig = Annotated[PackageEncoder | HubEncoder | FolderEncoder, Field(discriminator="source")]


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
    """How a pair is written out for a model: two segments, of which only the first is ever cut."""

    statement: Annotated[str, AfterValidator(_statement_template)]
    target: Annotated[str, AfterValidator(_target_template)]
    unknown_holder: str
    max_length: Annotated[int, Field(ge=16, le=8192)]


class CrossEncoderConfig(Schema):
    """A transformer that reads statement and target together."""

    kind: Literal["cross_encoder"]
    name: str
    encoder: EncoderConfig
    input: InputConfig
    freeze_word_embeddings: bool
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


ModelConfig = Annotated[
    CrossEncoderConfig | MajorityConfig | TfidfConfig | FrozenEmbeddingsConfig, Field(discriminator="kind")
]


class TrainingConfig(Schema):
    """How a cross-encoder is fine-tuned."""

    epochs: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0, lt=1)]
    warmup: Fraction
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Fraction
    class_weights: Literal["balanced", "none"]
    patience: Positive
    precision: Literal["auto", "bf16", "fp32"]
    checkpoint_steps: Positive | None
    limit_rows: Positive | None


class EvaluationConfig(Schema):
    """How a model is scored."""

    batch_size: Positive


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
    """Where runs are recorded and when a model becomes the default."""

    uri: GivenText | None
    experiment: GivenText
    registered_model: GivenText
    promote: Literal["best_on_dev", "always", "never"]


class ArticlesConfig(Schema):
    """How articles are split and grouped into stories."""

    splitter: Literal["nupunkt", "regex"]
    story_threshold: Annotated[float, Field(gt=0, le=1)]


class RelevanceConfig(Schema):
    """When a statement is about a target: an alias occurs in it, or its embedding is close enough to the phrase's."""

    encoder: EncoderConfig
    threshold: Annotated[float, Field(ge=-1, le=1)]


class PredictionConfig(Schema):
    """How rows are labelled in bulk."""

    engine: Literal["torch"]
    batch_size: Positive
    chunk_rows: Positive


class TrainConfig(Schema):
    """``stancekit train``"""

    name: str | None
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    resume: GivenText | None
    data: DataConfig
    model: ModelConfig
    training: TrainingConfig
    audit: AuditSettings
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
    targets: GivenText | None
    articles: ArticlesConfig
    relevance: RelevanceConfig
    prediction: PredictionConfig
    tracking: TrackingConfig


class UiConfig(Schema):
    """``stancekit ui``"""

    host: GivenText
    port: Annotated[int, Field(ge=1, le=65535)]
    tracking: TrackingConfig


VERB_SCHEMAS: dict[str, type[Schema]] = {
    "pairs": PairsConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "audit": AuditConfig,
    "annotate": AnnotateConfig,
    "predict": PredictConfig,
    "ui": UiConfig,
}
