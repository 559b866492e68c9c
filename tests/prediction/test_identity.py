from __future__ import annotations

import json
from typing import Any

import pytest

from stancekit import __version__
from stancekit.prediction.parts.identity import differences, identity_of

MODEL = {"name": "mpnet", "sha256": "1" * 64}
ENGINE = {"name": "onnx", "precision": "int8", "onnxruntime": "1.31.0"}
CONFIG: dict[str, Any] = {
    "model": "default",
    "input": "data/*.jsonl",
    "output": "out.jsonl",
    "overwrite": False,
    "targets": None,
    "relevance": {"threshold": 0.4},
    "engine": {"name": "auto", "threads": 4, "window_rows": 4096},
    "tracking": {"uri": None, "experiment": "predict"},
}
A: dict[str, Any] = {"name": "a.jsonl", "size": 1200, "sha256": "a" * 64}
B: dict[str, Any] = {"name": "b.jsonl", "size": 10, "sha256": "b" * 64}


def identity(**changes: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"model": MODEL, "engine": ENGINE, "config": CONFIG, "sources": [A]}
    return identity_of(**given | changes)


def test_when_a_prediction_is_described_then_all_that_can_change_its_output_is_in_it() -> None:
    found = identity(sources=[A, B])
    assert found == {
        "stancekit": __version__,
        "model": MODEL,
        "engine": ENGINE,
        "config": {
            "targets": None,
            "relevance.threshold": 0.4,
            "engine.name": "auto",
            "engine.threads": 4,
            "engine.window_rows": 4096,
        },
        "input": [A, B],
    }
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    "change",
    [
        {"output": "other.jsonl"},
        {"overwrite": True},
        {"model": "models/base"},
        {"input": "moved/*.jsonl"},
        {"tracking": {"uri": "sqlite:///x.db", "experiment": "predict"}},
    ],
)
def test_when_a_key_changes_nothing_in_the_output_then_the_identity_is_the_same(change: dict[str, Any]) -> None:
    assert identity(config=CONFIG | change) == identity()


def test_when_a_key_only_begins_like_one_that_changes_nothing_then_it_counts() -> None:
    assert differences(identity(), identity(config=CONFIG | {"output_columns": ["stance"]})) == [
        'output_columns: was not set, is now ["stance"]'
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"engine": CONFIG["engine"] | {"threads": 8}}, ["engine.threads: was 4, is now 8"]),
        ({"relevance": {"threshold": 0.5}}, ["relevance.threshold: was 0.4, is now 0.5"]),
        ({"targets": "mine.yaml"}, ['targets: was null, is now "mine.yaml"']),
        (
            {"relevance": {"encoder": "x"}},
            ["relevance.threshold: was 0.4, is now not set", 'relevance.encoder: was not set, is now "x"'],
        ),
    ],
)
def test_when_the_configuration_changes_then_the_key_is_named_with_both_values(
    change: dict[str, Any], said: list[str]
) -> None:
    assert differences(identity(), identity(config=CONFIG | change)) == said


def test_when_the_model_changes_then_both_are_told_apart_though_they_have_one_name() -> None:
    assert differences(identity(), identity(model=MODEL | {"sha256": "2" * 64})) == [
        "model: was mpnet (sha256 111111111111…), is now mpnet (sha256 222222222222…)"
    ]


def test_when_engine_and_version_change_then_each_has_a_line() -> None:
    new = identity(engine={"name": "torch", "precision": "int8"}) | {"stancekit": "99"}
    assert differences(identity(), new) == [
        f'stancekit: was "{__version__}", is now "99"',
        'engine.name: was "onnx", is now "torch"',
        'engine.onnxruntime: was "1.31.0", is now not set',
    ]


def test_when_the_engine_that_was_asked_for_and_the_one_picked_change_alike_then_that_is_said_once() -> None:
    old, new = (
        identity(engine={"name": name}, config=CONFIG | {"engine": {"name": name}}) for name in ("onnx", "torch")
    )
    assert differences(old, new) == ['engine.name: was "onnx", is now "torch"']


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ([A], [A | {"sha256": "c" * 64}], ["input a.jsonl: contents changed"]),
        (
            [A, B],
            [A | {"sha256": "c" * 64, "size": 1300}, B],
            ["input a.jsonl: contents changed: was 1,200 bytes, is now 1,300"],
        ),
        ([A], [A, B], ["input b.jsonl: is new"]),
        ([A, B], [B], ["input a.jsonl: is no longer there"]),
        ([A, B], [B, A], ["input: the same files in another order"]),
        ([A, A], [A, A | {"sha256": "c" * 64}], ["input a.jsonl (2): contents changed"]),
        ([A], [{}], ["input a.jsonl: is no longer there", "input standard input: is new"]),
        (
            [{"name": "s3://b/a", "mark": "x"}],
            [{"name": "s3://b/a", "mark": "y"}],
            ["input s3://b/a: contents changed"],
        ),
    ],
)
def test_when_the_input_changes_then_the_files_are_named(
    old: list[dict[str, Any]], new: list[dict[str, Any]], said: list[str]
) -> None:
    assert differences(identity(sources=old), identity(sources=new)) == said


def test_when_nothing_changes_then_there_is_nothing_to_say() -> None:
    assert differences(identity(), json.loads(json.dumps(identity()))) == []


def test_when_the_identities_differ_at_all_then_something_is_said_of_it() -> None:
    pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"input": [A]}),
        ({"x": {}}, {}),
        ({"x": [1]}, {"x": [2]}),
        ({"x": True}, {"x": 1}),
        ({"model": "a"}, {"model": "b"}),
    ]
    for old, new in pairs:
        assert len(differences(old, new)) == 1, (old, new)
