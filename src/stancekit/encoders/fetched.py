"""Where a fetched encoder lies in the cache, and whether its weights are those that were asked for."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

from stancekit.config.schema import FetchedEncoder
from stancekit.encoders.locate import WEIGHTS, wrong_hash
from stancekit.files import sha256_of
from stancekit.paths import cache

NEEDED = (WEIGHTS, "config.json", "tokenizer.json")
"""The files without which a folder is no encoder."""
FILES = (*NEEDED, "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")
"""The files that an encoder is read from, where it has them."""


def own_folder(config: FetchedEncoder) -> Path:
    """Return the folder that the encoder is fetched into, whether it is there or not."""
    return cache() / "encoders" / f"{_file_name(config)}-{config.sha256[:8]}"


def hand_folder(config: FetchedEncoder) -> Path:
    """Return the folder in which a user may put the encoder by hand, whether it is there or not."""
    return cache() / "encoders" / _file_name(config)


def find_fetched(config: FetchedEncoder, *, refuse_wrong: bool = True) -> Path | None:
    """Return the folder of the encoder if it was fetched, or put there by hand, and its weights have the right hash.

    Args:
        refuse_wrong: whether other weights in its place are a mistake to be told, or no encoder.

    Raises:
        UserError: ``refuse_wrong``, and the only weights that are there have another hash.
    """
    wrong: list[tuple[Path, str]] = []
    for folder in (own_folder(config), hand_folder(config)):
        weights = folder / WEIGHTS
        if missing_files(folder):
            continue
        if (found := remembered_sha256(weights)) == config.sha256:
            return folder
        wrong.append((weights, found))
    if wrong and refuse_wrong:
        weights, found = wrong[0]
        raise wrong_hash(
            config.name,
            weights,
            config.sha256,
            found,
            f"\n  delete '{weights.parent}', and it is fetched again when it is needed; or now: `stancekit fetch base`",
        )
    return None


def missing_files(folder: Path) -> list[str]:
    """Return the names of the needed files that are not in a folder."""
    return [name for name in NEEDED if not (folder / name).is_file()]


def remembered_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, as it was last computed if size and time of change are still the same.

    It is remembered in a file beside it, where one can be written: to hash the weights at every start would take
    seconds.
    """
    stamp = path.with_name(f"{path.name}.stamp")
    # Before the file is read: what is written to it meanwhile makes the stamp an old one.
    state = path.stat()
    known = f"{state.st_size} {state.st_mtime_ns}"
    with suppress(OSError, ValueError):
        sha256, _, of = stamp.read_text(encoding="ascii").partition(" ")
        if of == known:
            return sha256
    sha256 = sha256_of(path)
    with suppress(OSError):
        stamp.write_text(f"{sha256} {known}", encoding="ascii")
    return sha256


def _file_name(config: FetchedEncoder) -> str:
    return re.sub(r"[^\w.-]+", "-", config.name).strip(".-")
