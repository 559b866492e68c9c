"""A prediction in miniature, as a process of its own that can be killed: parts that depend on their number alone.

``python writer.py OUTPUT PARTS`` writes one output; ``python writer.py FOLDER PARTS every-step`` writes one again and
again, killed before the first change to a file, then before the second, and so on, each time followed by a run that is
left alone.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from stancekit.files import encode_rows
from stancekit.labels import OUTCOMES
from stancekit.prediction.parts.store import PartStore

IDENTITY: dict[str, Any] = {"model": {"name": "tiny", "sha256": "0" * 64}, "engine": {"name": "torch"}, "input": []}
ROWS = 50


def rows_of(part: int) -> list[dict[str, Any]]:
    draw = random.Random(part)
    return [{"id": part * ROWS + n, "stance": draw.choice(OUTCOMES), "p": draw.random()} for n in range(ROWS)]


def write_part(store: PartStore) -> None:
    number = store.parts_done
    rows = rows_of(number)
    scores = {"p": np.array([row["p"] for row in rows])} if number % 3 else None
    store.write(encode_rows(rows), len(rows), Counter(str(row["stance"]) for row in rows), scores)


def write(output: str, parts: int, overwrite: bool = False) -> None:
    with PartStore.open(output, IDENTITY, overwrite) as store:
        if not store.finished:
            assert store.rows_done == store.counts.total() == store.parts_done * ROWS
            for number, scores in store.scores():
                assert scores["p"].tolist() == [row["p"] for row in rows_of(number)]
            print("ready", flush=True)
            while store.parts_done < parts:
                write_part(store)
        store.finish()


def write_killed_at_every_step(folder: Path, parts: int) -> None:
    # What a killed process handed to the system is not lost: only a power cut needs the slow wait for the disk.
    os.fsync = lambda fd: None
    write(str(folder / "undisturbed.jsonl"), parts)
    new, old = (folder / "undisturbed.jsonl").read_bytes(), b"old\n"
    kills = 0
    for old_output in (False, True):
        for step in itertools.count(1):
            output = folder / f"{old_output}-{step}" / "out.jsonl"
            output.parent.mkdir()
            if old_output:
                output.write_bytes(old)
            killed = _in_child(output, parts, old_output, step)
            found = output.read_bytes() if output.exists() else None
            assert found in ((old, new) if old_output else (None, new)), f"step {step}: half an output"
            if not killed:
                break
            kills += 1
            assert not _in_child(output, parts, old_output, None)
            assert output.read_bytes() == new, f"step {step}: another output"
            left = sorted(path.name for path in output.parent.iterdir())
            assert left == ["out.jsonl", "out.jsonl.manifest.json"], f"step {step}: {left}"
    print(f"kills {kills}")


def _in_child(output: Path, parts: int, overwrite: bool, die_before: int | None) -> bool:
    """Write in a child process; return whether it was killed, which it is before the change of that number."""
    if child := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, -signal.SIGKILL), code
        return code != 0
    steps = 0

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal steps
        if event == "open" or event.startswith(("os.", "fcntl.", "shutil.")):
            of_ours = any(str(argument).startswith(str(output.parent)) for argument in arguments)
            steps += of_ours
            if of_ours and steps == die_before:
                os.kill(os.getpid(), signal.SIGKILL)

    code = 1
    try:
        sys.addaudithook(count)
        write(str(output), parts, overwrite)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    if "every-step" in sys.argv:
        write_killed_at_every_step(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        write(sys.argv[1], int(sys.argv[2]))
