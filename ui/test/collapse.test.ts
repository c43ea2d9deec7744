import { describe, expect, test } from "vitest";
import { collapse, loneStep, shownBy } from "../src/graph/collapse";
import type { Graph } from "../src/types";
import { dataset, graph, job } from "./made";

const keysOf = (shown: ReturnType<typeof collapse>) => shown.nodes.map(({ node }) => node.key).sort();
const flowsOf = (shown: ReturnType<typeof collapse>) => shown.edges.map((edge) => edge.join(">")).sort();
const open = (...keys: string[]) => new Set(keys);

/** A task, its step, and the step's pipeline of two tasks that hand a table on to each other. */
const pipeline: Graph = graph(
  [
    dataset("raw"),
    job("task", { integration: "AIRFLOW" }),
    job("step", { parent: "task", integration: "KUBEFLOW" }),
    job("clean", { parent: "step" }),
    job("fit", { parent: "step" }),
    dataset("table"),
    dataset("model"),
  ],
  "raw>task>model",
  "raw>step>model",
  "raw>clean>table>fit>model",
);

describe("what is drawn of a task, its step and the tasks of a pipeline", () => {
  test("at first one job, and nothing of what only its inner jobs hand on", () => {
    const shown = collapse(pipeline, open());
    expect(keysOf(shown)).toEqual(["model", "raw", "task"]);
    expect(flowsOf(shown)).toEqual(["raw>task", "task>model"]);
    expect(shown.nodes.find(({ node }) => node.key === "task")?.inside).toBe(3);
  });

  test("an opened job gives way to those inside of it", () => {
    const shown = collapse(pipeline, open("task", "step"));
    expect(keysOf(shown)).toEqual(["clean", "fit", "model", "raw", "table"]);
    expect(flowsOf(shown)).toEqual(["clean>table", "fit>model", "raw>clean", "table>fit"]);
    expect(shown.nodes.find(({ node }) => node.key === "fit")?.partOf).toBe("step");
  });

  test("an opened job stays for what nobody inside of it tells", () => {
    const withInlet = graph(
      [...pipeline.nodes, dataset("inlet")],
      ...pipeline.edges.map((edge) => edge.join(">")),
      "inlet>task",
    );
    expect(flowsOf(collapse(withInlet, open("task")))).toEqual(["inlet>task", "raw>step", "step>model"]);
  });

  test("a task bears the sign of what runs its one step, and speaks for it", () => {
    expect(collapse(pipeline, open()).nodes.find(({ node }) => node.key === "task")?.platform).toBe(
      "KUBEFLOW",
    );
    expect(loneStep(pipeline, "task")?.key).toBe("step");
    expect(loneStep(pipeline, "step")).toBeUndefined();
  });

  test("a hidden job is found by the one that stands for it", () => {
    expect(shownBy(pipeline, "fit", open())).toBe("task");
    expect(shownBy(pipeline, "fit", open("task"))).toBe("step");
  });
});

test("a DAG is no job that tasks are hidden in", () => {
  const dag = job("dag", { facets: { jobType: { jobType: "DAG" } } });
  expect(
    keysOf(collapse(graph([dag, job("task", { parent: "dag" }), dataset("d")], "task>d"), open())),
  ).toEqual(["d", "task"]);
});

test("a dataset that one job reads and writes is shown", () => {
  expect(
    keysOf(
      collapse(graph([job("train"), dataset("checkpoint")], "train>checkpoint", "checkpoint>train"), open()),
    ),
  ).toEqual(["checkpoint", "train"]);
});

test("what a hidden job writes and nobody reads is an output of the job around it", () => {
  const shown = collapse(
    graph([job("task"), job("step", { parent: "task" }), dataset("d")], "step>d"),
    open(),
  );
  expect(flowsOf(shown)).toEqual(["task>d"]);
});

test("jobs that claim to be inside of each other are still drawn", () => {
  const circle = graph([job("a", { parent: "b" }), job("b", { parent: "a" }), dataset("d")], "a>d");
  expect(collapse(circle, open()).nodes.length).toBeGreaterThan(0);
});
