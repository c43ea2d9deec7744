"""``make demo``: a real Airflow, a real DAG, real data; progress, metrics, the artifacts, and where to look next."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

from .standalone import Standalone

DAG = "digits_quality_gate"
ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".build" / "demo-home"
STARTED = time.monotonic()


def main() -> int:
    """Run the demo; 0 if the DAG succeeded."""
    parser = argparse.ArgumentParser(prog="make demo")
    parser.add_argument("--ui", default="0", help="1 leaves Airflow running")
    keep = parser.parse_args().ui not in ("0", "", "no", "false")
    shutil.rmtree(HOME, ignore_errors=True)
    airflow = Standalone(
        bin_folder=Path(sys.executable).parent, home=HOME, dags=ROOT / "dags_examples", port=8080 if keep else None
    )
    say("starting Airflow (scheduler, workers, triggerer, API) on SQLite")
    with airflow:
        say("Airflow is up")
        airflow.wait_for_dag(DAG)
        run_id = airflow.trigger(DAG)
        say(f"triggered {DAG}, run {run_id}")
        state = airflow.wait_for_run(DAG, run_id, progress=lambda task, word: say(f"  {task:<10} {word}"))
        report(airflow, run_id, state)
        if keep and state == "success":
            print(f"\nAirflow is running at {airflow.url} (no login); its log is {airflow.log}. Ctrl-C ends it.")
            wait_for_interrupt()
    return 0 if state == "success" else 1


def report(airflow: Standalone, run_id: str, state: str) -> None:
    """What came out, and what to look at."""
    if state != "success":
        for task in airflow.tasks(DAG, run_id):
            if task["state"] == "failed":
                print(f"\n{task['task_id']} failed; its log ends:\n")
                print("\n".join(airflow.task_log(DAG, run_id, task["task_id"]).splitlines()[-30:]))
        return
    print("\nmetrics")
    for name, value in airflow.xcom(DAG, run_id, "evaluate").items():
        print(f"  {name:<10} {value:.4f}")
    print("\nwhat XCom holds of the model: a reference, never the data")
    model = airflow.xcom(DAG, run_id, "train")
    print("  " + json.dumps({key: model[key] for key in ("codec", "type", "size", "version")}))
    print("\nthe artifact root")
    for line in tree(HOME / "mlx" / "runs"):
        print(f"  {line}")
    print(
        "\nnext\n"
        "  dags_examples/digits_quality_gate.py   the DAG: plain functions, no cluster, no cloud\n"
        "  make demo UI=1                         the same, and Airflow's UI stays up with all examples\n"
        "  docs/start.md                          your first hour, in your own Airflow"
    )


def tree(folder: Path) -> list[str]:
    """The ledger as an indented list: folders on the way down, files with their sizes."""
    lines: list[str] = []
    for path in sorted(folder.rglob("*")):
        depth = len(path.relative_to(folder).parts) - 1
        if path.is_dir():
            lines.append(f"{'  ' * depth}{path.name}/")
        else:
            lines.append(f"{'  ' * depth}{path.name}  {path.stat().st_size:,} B")
    return lines


def wait_for_interrupt() -> None:
    """Until Ctrl-C."""
    try:
        while True:
            time.sleep(60)
    except KeyboardInterrupt:
        print("stopping Airflow")


def say(text: str) -> None:
    """One line of progress with the seconds since the start."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
