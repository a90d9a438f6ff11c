"""Tables of what gpu.sh measured: python gpu_table.py FILE.jsonl"""

import json
import sys

EPOCHS, IMAGES = 20, 10582  # the paper's training


def table(heads, rows):
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def main():
    with open(sys.argv[1]) as file:
        found = [json.loads(line) for line in file if line.startswith("{")]
    rates = next((row for row in found if row["who"] == "rates"), {"tflops": float("nan"), "operations": {}})
    peak, flops = rates["tflops"], rates["operations"]
    steps = [row for row in found if "what" in row]
    trainings = [row for row in steps if row["what"] == "train-cam"]
    # Those of the narrow network come without warm-up, one after another.
    narrow = [row for row in trainings if row["who"] == "camflow" and len(row["losses"]) == row["steps"]]
    trainings = [row for row in trainings if row not in narrow]

    def terms(row):
        return "rcm+mam" if "mam" in row["terms"] else "rcm"

    print(f"A large bf16 product: {peak:.0f} TFLOP/s.\n")
    rows = []
    for row in sorted(trainings, key=lambda row: (terms(row), row["seconds"])):
        rate = flops.get(terms(row), float("nan")) / row["seconds"] / 1e12
        hours = EPOCHS * IMAGES / row["images_per_second"] / 3600
        first = row["losses"][0]
        rows.append([
            terms(row), row["who"], row["numerics"], f"{row['seconds'] * 1e3:.0f}", f"{row['images_per_second']:.1f}",
            f"{rate:.1f} ({rate / peak:.0%})", f"{row['memory_mb'] / 1e3:.1f}", f"{hours:.2f}", f"{first:.4f}",
        ])
    heads = ["terms", "who", "numerics", "ms a step", "images a second", "TFLOP/s (of the product's)", "GB"]
    table(heads + ["hours for 20 epochs of 10,582", "first loss"], rows)
    others = [row for row in steps if row["what"] != "train-cam"]
    rows = [
        [row["what"], row["who"], row["numerics"], f"{row['seconds'] * 1e3:.0f}", f"{row['images_per_second']:.1f}"]
        for row in sorted(others, key=lambda row: (row["what"], row["seconds"]))
    ]
    table(["what", "who", "numerics", "ms a step", "images a second"], rows)
    exact = next((row for row in narrow if row["numerics"] == "f32"), None)
    if exact:
        def ends(row):
            return sum(row["losses"][-10:]) / len(row["losses"][-10:])

        rows = [
            [row["numerics"], f"{row['losses'][0]:.5f}", f"{ends(row):.4f}", f"{ends(row) / ends(exact) - 1:+.2%}"]
            for row in narrow
        ]
        table(["numerics", "first loss", f"mean of the last ten of {exact['steps']}", "beside f32"], rows)


main()
