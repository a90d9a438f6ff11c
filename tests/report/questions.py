"""Answers the questions of artifacts/README.md in Polars and DuckDB.

Reads a JSON list of {"python", "sql"} from standard input; the store lies in ./artifacts. Writes a JSON list of
{"python", "sql"}, each a list of rows. Run by questions.rs with the packages of tests/peers/requirements.txt.
"""

import ast
import json
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


questions = json.load(sys.stdin)
answers = [{"python": in_polars(q["python"]), "sql": in_duckdb(q["sql"])} for q in questions]
json.dump(answers, sys.stdout, default=float)
