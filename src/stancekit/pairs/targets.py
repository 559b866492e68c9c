"""Target lists: the courses of action that statements are paired with."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stancekit.config.compose import config_dir
from stancekit.errors import UserError, nearest


class Target(BaseModel):
    """A course of action: ``phrase`` is what a pair holds, ``aliases`` are other wordings that news text uses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    phrase: str = Field(pattern=r"\w{2}")
    aliases: tuple[Annotated[str, Field(pattern=r"\w")], ...] = ()
    question: str | None = None


class TargetList(BaseModel):
    """A named list of targets; no two share a name or a phrase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    targets: tuple[Target, ...]

    def fingerprint(self) -> str:
        """Return the SHA-256 of all that the list says."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load_targets(name: str) -> TargetList:
    """Return the list that ``name`` stands for: a file of ``configs/targets/`` without its suffix, or a YAML file.

    Raises:
        UserError: there is no such list, it is no valid YAML, has unknown or missing keys, or a name twice.
    """
    folder = config_dir() / "targets"
    path = Path(name).expanduser()
    if path.suffix not in (".yaml", ".yml"):
        path = folder / f"{name}.yaml"
    if not path.is_file():
        shipped = [file.stem for file in folder.glob("*.yaml")]
        raise UserError(
            f"targets: no list '{name}'{nearest(Path(name).stem, shipped)}\n"
            f"  expected: {', '.join(sorted(shipped))} or a YAML file of one's own"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"targets: '{path}' is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or "targets" not in values:
        raise UserError(f"targets: '{path}' has no 'targets'; expected targets: [{{name: …, phrase: …}}, …]")
    try:
        targets = TargetList.model_validate(values)
    except ValidationError as error:
        problems = "\n".join(f"  - {_said(problem)}" for problem in error.errors())
        raise UserError(f"targets: '{path}' is not valid:\n{problems}") from error
    if not targets.targets:
        raise UserError(f"targets: '{path}' lists no target; expected at least one")
    for what in ("name", "phrase"):
        seen: dict[str, int] = {}
        for number, target in enumerate(targets.targets, 1):
            value = getattr(target, what)
            if value in seen:
                raise UserError(f"targets: '{path}': the {what} '{value}' stands twice, at {seen[value]} and {number}")
            seen[value] = number
    return targets


def _said(problem: Any) -> str:
    where = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{where}: unknown key{nearest(str(problem['loc'][-1]), Target.model_fields)}"
    if problem["type"] == "missing":
        return f"{where}: a value is needed"
    return f"{where}: {problem['msg']}, found {problem['input']!r}"


def alias_pattern(target: Target) -> re.Pattern[str]:
    """Return what finds the phrase or one of the aliases in a text: whole words, any case, either apostrophe."""
    wordings = sorted({target.phrase, *target.aliases}, key=len, reverse=True)
    escaped = (re.sub("['’]", "['’]", re.escape(wording)).replace(r"\ ", r"\s+") for wording in wordings)
    return re.compile(rf"(?<!\w)(?:{'|'.join(escaped)})(?!\w)", re.IGNORECASE)
