"""Runs the units that camflow prints on HyperQueue: camflow plan --units --shards 4 | python run_units.py

Each unit becomes a task that waits for those that it needs. Here the cluster is one worker of this machine; with
HyperQueue's server and workers elsewhere, `Client` takes the directory of the server instead.
"""

import json
import os
import sys
import tempfile

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig

outputs = tempfile.mkdtemp(prefix="camflow-units-")
units = [json.loads(line) for line in sys.stdin]
job = Job()
tasks = {}
for unit in units:
    # Units come after those that they need; what is committed already is no unit.
    needs = [tasks[name] for name in unit["needs"]]
    printed = os.path.join(outputs, f"{len(tasks)}.txt")
    tasks[unit["name"]] = job.program(
        unit["command"], env=dict(os.environ), cwd=os.getcwd(), stdout=printed, stderr=printed, deps=needs
    )

with LocalCluster() as cluster:
    cluster.start_worker(WorkerConfig(cores=2))
    client = cluster.client()
    client.wait_for_jobs([client.submit(job)])
print(f"what they printed is in {outputs}; {len(units)} units were run")
