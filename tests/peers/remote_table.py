"""Reads a table of an artifact on a remote with Polars, as artifacts/README.md shows it.

Standard input: {"place": URL of the artifact, "environment": what finds the server}. Prints the number of rows,
`value` at one step, and the columns, as JSON."""

import json
import os
import sys

asked = json.load(sys.stdin)
os.environ.update(asked["environment"])

import polars as pl  # noqa: E402  It may read the environment when it is loaded.

place = asked["place"]
table = pl.scan_parquet(f"{place}/data/")
step = table.filter(step=7).select("value").collect()
print(json.dumps({
    "rows": table.select(pl.len()).collect().item(),
    "value": step["value"].to_list(),
    "columns": table.collect_schema().names(),
}))
