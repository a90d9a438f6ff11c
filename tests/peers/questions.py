"""Answers the questions of artifacts/README.md in Polars and DuckDB.

Reads {"directory", "questions": [{"python", "sql"}, …]} from standard input; the store lies in `artifacts` below the
directory. Writes a list of {"python", "sql"}, each of them a list of rows.
"""

import ast
import json
import os
import sys

import duckdb
import polars as pl


def in_polars(code: str) -> list[dict]:
    tree = ast.parse(code)
    last = ast.Expression(tree.body.pop().value)
    names = {"pl": pl}
    exec(compile(tree, "question", "exec"), names)
    return eval(compile(last, "question", "eval"), names).to_dicts()


def in_duckdb(sql: str) -> list[dict]:
    answer = duckdb.sql(sql)
    return [dict(zip(answer.columns, row)) for row in answer.fetchall()]


task = json.load(sys.stdin)
os.chdir(task["directory"])
answers = [{"python": in_polars(q["python"]), "sql": in_duckdb(q["sql"])} for q in task["questions"]]
json.dump(answers, sys.stdout, default=float)
