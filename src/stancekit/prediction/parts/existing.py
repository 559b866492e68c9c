"""What is there already, in the place of an output or of its parts: to be left, gone on with, replaced or refused."""

from __future__ import annotations

import os
from collections.abc import Mapping

from pydantic import JsonValue

from stancekit.errors import UserError
from stancekit.prediction.parts.folder import PartsFolder
from stancekit.prediction.parts.identity import differences
from stancekit.prediction.parts.place import Place
from stancekit.prediction.parts.records import Finished


def finished_output(place: Place, identity: Mapping[str, JsonValue], overwrite: bool) -> Finished | None:
    """Return the manifest of an output that is there, whole and of this identity; None where it may be written.

    Raises:
        UserError: another one is there, and is not to be replaced.
    """
    if not place.exists():
        return None
    record = place.record()
    same = record is not None and record.identity == identity
    if record is not None and same and place.stamp() == record.output:
        return record
    if overwrite:
        return None
    if record is None:
        raise UserError(
            f"output: '{place.output}' is there already and was not written by this command; overwrite=true replaces it"
        )
    if same:
        raise UserError(
            f"output: '{place.output}' was changed after this command had written it; overwrite=true replaces it"
        )
    raise UserError(
        f"output: '{place.output}' is there already, of another prediction:\n{_listed(record.identity, identity)}\n"
        "  nothing was touched; overwrite=true replaces it"
    )


def has_parts_of(folder: PartsFolder, identity: Mapping[str, JsonValue], overwrite: bool) -> bool:
    """Return whether a folder of parts is of this identity; False where it is empty, or is to be replaced.

    Raises:
        UserError: it is of another one, and is not to be replaced.
    """
    whose = folder.whose()
    if whose == identity:
        return True
    if overwrite or not folder.manifest.exists():
        return False
    if whose is None:
        raise UserError(
            f"output: '{folder.manifest}' cannot be understood; nothing was touched; overwrite=true starts anew"
        )
    raise UserError(
        f"output: '{folder.path}' holds the parts of another prediction:\n{_listed(whose, identity)}\n"
        "  nothing was touched; overwrite=true starts anew"
    )


def refuse_strangers(folder: PartsFolder) -> None:
    """Make sure that what is in the place of a folder of parts is one, before anything is put into it or removed.

    Raises:
        UserError: it is a file, or a folder of somebody else's.
    """
    if not folder.path.is_dir():
        if os.path.lexists(folder.path):
            raise UserError(f"output: '{folder.path}' is in the way; expected a folder of parts, or nothing")
    elif folder.whose() is None and (strangers := folder.strangers()):
        raise UserError(
            f"output: '{folder.path}' is in the way: it holds '{strangers[0]}', so it is no folder of parts; "
            "move it, or name another output"
        )


def _listed(old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> str:
    return "\n".join(f"    {line}" for line in differences(old, new))
