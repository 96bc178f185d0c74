"""The same sync by dlt into SQLite at its best settings; runs in an environment of its own."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.contacts_floor import COLUMNS, flat, pages

BATCH = 1_000
"""Records handed over at once; single pages of 100 cost dlt about a tenth more."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    os.environ["DLT_DATA_DIR"] = str(arguments.folder / "dlt")
    os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
    import dlt

    columns: dict[str, Any] = {name: {"data_type": "text", "nullable": True} for name in COLUMNS}

    @dlt.resource(
        name="contacts",
        write_disposition="merge",
        primary_key="id",
        columns=columns,
        max_table_nesting=0,
    )
    def contacts() -> Iterator[list[dict[str, Any]]]:
        held: list[dict[str, Any]] = []
        for records in pages(arguments.url):
            held += map(flat, records)
            if len(held) >= BATCH:
                yield held
                held = []
        if held:
            yield held

    pipeline = dlt.pipeline(
        pipeline_name="contacts",
        pipelines_dir=str(arguments.folder / "pipelines"),
        destination=dlt.destinations.sqlalchemy(
            f"sqlite:///{arguments.folder / 'dlt.db'}", create_primary_keys=True
        ),
        dataset_name="main",
    )
    pipeline.run(contacts(), loader_file_format="parquet").raise_on_failed_jobs()


if __name__ == "__main__":
    main()
