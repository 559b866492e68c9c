"""Rows in and out: JSONL, CSV, TSV and Parquet, compressed or not, here or far away; a file appears only when whole."""

from stancekit.files.assembling import assemble
from stancekit.files.formats import INPUT_SUFFIXES, ROW_SUFFIXES, STANDARD_STREAM, RowFormat, row_format, row_suffix
from stancekit.files.hashing import sha256_of
from stancekit.files.json_lines import encode_rows
from stancekit.files.reading import parquet_types, read_rows
from stancekit.files.row import Row
from stancekit.files.sources import Source, find_sources
from stancekit.files.writing import row_writer, whole_file

__all__ = [
    "INPUT_SUFFIXES",
    "ROW_SUFFIXES",
    "STANDARD_STREAM",
    "Row",
    "RowFormat",
    "Source",
    "assemble",
    "encode_rows",
    "find_sources",
    "parquet_types",
    "read_rows",
    "row_format",
    "row_suffix",
    "row_writer",
    "sha256_of",
    "whole_file",
]
