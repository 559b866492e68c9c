"""What was measured of an exported model's variants, as a table."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from stancekit.prediction.exported import EnginesManifest


def print_variants(manifest: EnginesManifest) -> None:
    """Print every variant with its measurements, the fastest first, then why some were refused."""
    measured = manifest.measured
    title = f"{manifest.model}: {measured.rows:,} rows, {measured.processor}, {measured.threads} threads"
    table = Table(title=title, title_justify="left")
    # Names stay whole where the terminal is narrow: two of them begin alike.
    for name in ("engine", "precision", "MB", "rows/s", "× torch fp32", "same label", "Δ F1", ""):
        names = name in ("engine", "precision", "")
        table.add_column(name, justify="left" if names else "right", no_wrap=names)
    table.add_row("torch", "fp32", "", f"{measured.torch_rows_per_second:,.0f}", "1.0", "", "", "")
    for variant in sorted(manifest.variants, key=lambda variant: -variant.speedup):
        measurements = (
            f"{variant.megabytes:,.0f}",
            f"{variant.rows_per_second:,.0f}",
            f"{variant.speedup:.1f}",
            f"{variant.agreement:.2%}",
            f"{100 * variant.f1_difference:+.2f}",
        )
        shown = measurements if variant.rows_per_second else [""] * len(measurements)
        table.add_row(variant.engine, variant.precision, *shown, "refused" if variant.refused else "")
    # What libraries say has brackets in it.
    out = Console(highlight=False, markup=False)
    out.print(table)
    for variant in manifest.variants:
        if variant.refused:
            out.print(f"{variant.name} is refused: it {variant.refused}", soft_wrap=True)
