"""The command line: one verb, then Hydra overrides. Exit code 0: done; 2: the user's mistake; 1: our own failure."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any, NoReturn

import yaml

from stancekit import __version__
from stancekit.errors import Interrupted, UserError, interrupts_kept, nearest, sigterm_raises

VERBS: dict[str, tuple[str, str]] = {
    "pairs": ("stancekit.verbs.pairs", "split articles into statements and pair them with holders and targets"),
    "train": ("stancekit.verbs.train", "fine-tune a model, evaluate it and record the run in MLflow"),
    "evaluate": ("stancekit.verbs.evaluate", "score a saved model on labelled pairs"),
    "sweep": ("stancekit.verbs.sweep", "search for training settings on dev, with Optuna"),
    "compare": ("stancekit.verbs.compare", "say whether two runs or models differ on the same rows"),
    "promote": ("stancekit.verbs.promote", "make a run's model the champion, if it is shown to be better"),
    "report": ("stancekit.verbs.report", "write what an experiment measured beside its YAML"),
    "audit": ("stancekit.verbs.audit", "look for leaks, shortcuts, copies and doubtful labels in labelled pairs"),
    "annotate": ("stancekit.verbs.annotate", "give pairs to people to label, and take their labels back"),
    "predict": ("stancekit.verbs.predict", "label rows or articles in bulk"),
    "fetch": ("stancekit.verbs.fetch", "bring the encoder of a shipped model into the cache"),
    "pool": ("stancekit.verbs.pool", "make many unlabelled pairs of labelled ones, for a teacher to label"),
    "export": ("stancekit.verbs.export", "write a model into a folder, whole or as a delta on its encoder"),
    "card": ("stancekit.verbs.card", "write the model card of what ships"),
    "ui": ("stancekit.verbs.ui", "open the MLflow UI on the project's own store"),
}
"""Every verb with the module whose ``run(config)`` does the work, imported only when the verb is called."""

POSITIONAL = {"fetch": "model"}
"""The key that a verb's first word gives the value of where it has no ``=``: ``stancekit fetch base``."""


def _usage() -> str:
    verbs = "\n".join(f"  {name:<9} {what}" for name, (_, what) in VERBS.items())
    return (
        f"stancekit {__version__}: who supports, rules out or leaves open which course of action\n\n"
        "usage: stancekit VERB [key=value …] [-m] [--cfg] [--config-dir DIR] [--help]\n\n"
        f"{verbs}\n\n"
        "Every verb takes Hydra overrides (key=value, group=choice); `stancekit VERB --help` lists groups and keys.\n"
        "  -m                every combination of key=a,b,c, one after the other\n"
        "  --cfg             print the composed configuration and stop\n"
        "  --config-dir DIR  a folder with choices of one's own, in the layout of configs/"
    )


def _verb_help(verb: str) -> str:
    from stancekit.config.compose import config_dir, groups

    text = (config_dir() / f"{verb}.yaml").read_text(encoding="utf-8")
    word = f" [{POSITIONAL[verb].upper()}]" if verb in POSITIONAL else ""
    body = text.split("_self_", 1)[1].partition("\n")[2]
    body = "\n".join(line for line in body.splitlines() if not line.startswith("  - ")).strip()
    choices = "\n".join(f"  {group}={' | '.join(names) or '…'}" for group, names in groups(verb).items())
    return (
        f"stancekit {verb}: {VERBS[verb][1]}\n\nusage: stancekit {verb}{word} [key=value …]\n\n"
        f"keys (??? must be given):\n{body}\n\ngroups:\n{choices}\n\nAll keys with their values: stancekit {verb} --cfg"
    )


def _run(arguments: list[str]) -> None:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_verb_help(arguments[1]) if len(arguments) == 2 and arguments[1] in VERBS else _usage())
        return
    if arguments[0] in ("-V", "--version"):
        print(__version__)
        return
    verb, *words = arguments
    if verb not in VERBS:
        raise UserError(f"no verb '{verb}'{nearest(verb, VERBS)} (verbs: {', '.join(VERBS)})")
    options, overrides = _options(words)
    if verb in POSITIONAL and overrides and "=" not in overrides[0]:
        overrides[0] = f"{POSITIONAL[verb]}={overrides[0]}"
    if options.help:
        print(_verb_help(verb))
        return

    from stancekit.config.compose import expand_multirun, expand_variants, load_config

    own = options.config_dir
    jobs = expand_multirun(verb, overrides, own) if options.multirun else expand_variants(verb, overrides, own)
    # Every job is validated before the first one starts: a typo in the last must not cost the hours of the others.
    configs: dict[str, Any] = {name: load_config(verb, job, own) for name, job in jobs.items()}
    if options.multirun and any(getattr(config, "variants", None) for config in configs.values()):
        raise UserError("-m: the configuration has variants of its own, which are trained one by one; leave out -m")
    if options.cfg:
        for config in configs.values():
            print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True), end="")
        return
    module = importlib.import_module(VERBS[verb][0])
    if hasattr(module, "run_jobs"):
        # These belong together, under one parent run.
        module.run_jobs(configs)
        return
    for number, (name, config) in enumerate(configs.items(), 1):
        if len(configs) > 1:
            print(f"[{number}/{len(configs)}] {name}", file=sys.stderr)
        module.run(config)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (options: -m, --multirun, --cfg, --config-dir DIR, -h, --help)")


def _options(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Return the options among the words of a verb, and the overrides that are left."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("-h", "--help", action="store_true")
    parser.add_argument("-m", "--multirun", action="store_true")
    parser.add_argument("--cfg", action="store_true")
    parser.add_argument("--config-dir", type=Path)
    options, rest = parser.parse_known_args(words)
    valid = [name for action in parser._actions for name in action.option_strings]
    for word in rest:
        if word.startswith("-"):
            parser.error(f"unknown option {word}{nearest(word, valid)}")
    return options, rest


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    try:
        with sigterm_raises(), interrupts_kept():
            _run(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        print(f"stancekit: {error}", file=sys.stderr)
        return 2
    except Interrupted as signal:
        print(f"stancekit: {signal}", file=sys.stderr)
        return signal.code
    except KeyboardInterrupt:
        print("stancekit: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): nothing is left to say, and nobody to say it to.
        sys.stderr.close()
        return 0
    return 0
