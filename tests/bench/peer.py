"""The side of a peer in the talk that child.rs describes: a task, then `run` as often as it is asked, then `end`."""

import json
import os
import sys
import time


def answer(prepare):
    """`prepare(task)` returns a function that does the work once and one that says what was found.

    A package that is not installed is an answer, too. What others print goes to stderr.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(value):
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    task = json.loads(sys.stdin.readline())
    try:
        run, found = prepare(task)
    except ImportError as why:
        say({"missing": str(why)})
        return
    say({})
    for line in sys.stdin:
        if line.strip() != "run":
            say(found())
            return
        started = time.perf_counter()
        run()
        say({"seconds": time.perf_counter() - started})
