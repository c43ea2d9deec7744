import { describe, expect, test } from "vitest";
import {
  columns,
  costRows,
  errorOf,
  metrics,
  parameters,
  remoteJob,
  resourceRows,
  sourceOf,
  trackedRuns,
} from "../src/facets";
import { bytes, duration, moment, money, number } from "../src/format";
import { webAddress } from "../src/links";
import { airflowPathOf, fullName, labelOf, stepTitle } from "../src/names";
import { lookOf } from "../src/states";
import { questionFor, sorted } from "../src/steps/sorting";
import type { Step } from "../src/types";
import { dataset, job } from "./made";

test.each([
  ["https://console.aws.amazon.com/x", true],
  ["http://kubeflow.internal/runs/1", true],
  ["javascript:alert(1)", false],
  ["data:text/html,<script>alert(1)</script>", false],
  ["//example.com/x", false],
  ["file:///etc/passwd", false],
  [{ href: "https://example.com" }, false],
])("%s may be a link: %s", (given, may) => {
  expect(webAddress(given) !== null).toBe(may);
});

describe("names", () => {
  test("a step that bears its task's name is called so once", () => {
    expect(stepTitle("churn.train.train", "churn")).toBe("train");
    expect(stepTitle("churn.train.fit.tree", "churn")).toBe("train.fit.tree");
  });

  test("an artifact is called by its task and output, any other dataset by its last folder", () => {
    const artifact = dataset("a", {
      namespace: "s3://ml",
      name: "mlx/outputs/prod/churn/train/return_value",
    });
    expect(labelOf(artifact)).toEqual({ title: "train → return_value", context: "churn" });
    expect(labelOf(dataset("b", { name: "raw/2026/churn.parquet" }))).toEqual({
      title: "churn.parquet",
      context: "s3://lake/raw/2026",
    });
    expect(fullName(dataset("c", { namespace: "file", name: "/data/raw.csv" }))).toBe("file:///data/raw.csv");
  });

  test("another DAG's job has no name to be told", () => {
    expect(labelOf(job("x", { name: "" })).title).toBe("another DAG's job");
  });

  test("a task instance's page has its run and map index in the address, whatever they hold", () => {
    const step = {
      dag: "churn",
      dag_run: "manual__2026-01-01T00:00:00+00:00",
      task: "fit",
      map_index: 3,
      try: 2,
    };
    expect(airflowPathOf(step)).toBe(
      "/dags/churn/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00/tasks/fit/mapped/3?try_number=2",
    );
    expect(airflowPathOf({ ...step, dag: null })).toBeNull();
  });
});

describe("facets, which may hold anything", () => {
  const odd = [
    {},
    { mlx_metrics: null },
    { mlx_metrics: "x" },
    { mlx_metrics: { metrics: [1, null, { name: 2 }] } },
  ];
  test.each(odd)("nothing is made of %j", (facets) => {
    for (const read of [metrics, parameters, columns, resourceRows, costRows, trackedRuns])
      expect(read(facets)).toEqual([]);
    expect([errorOf(facets), sourceOf(facets), remoteJob(facets)]).toEqual([null, null, null]);
  });

  test("a run in a tracker has a link if its address may be one", () => {
    const runs = [
      { kind: "mlflow", id: "c0ffee", url: "http://mlflow:5000/#/runs/c0ffee" },
      { kind: "wandb", id: "1a2b", url: "javascript:alert(1)" },
      { kind: "mlflow" },
    ];
    expect(trackedRuns({ mlx_tracker: { runs } })).toEqual([
      { tracker: "MLflow", id: "c0ffee", address: "http://mlflow:5000/#/runs/c0ffee" },
      { tracker: "Weights & Biases", id: "1a2b", address: null },
    ]);
  });

  test("a metric without a number says what it is instead", () => {
    const told = {
      mlx_metrics: {
        metrics: [
          { name: "loss", special: "NaN" },
          { name: "accuracy", value: 0.91 },
        ],
      },
    };
    expect(metrics(told)).toEqual([
      { name: "loss", value: "NaN" },
      { name: "accuracy", value: 0.91 },
    ]);
  });

  test("a job's page is a link only if it is on the web", () => {
    expect(remoteJob({ mlx_remoteJob: { name: "j", url: "javascript:alert(1)" } })?.address).toBeNull();
  });
});

test("durations, sizes, numbers, times and money as a person reads them", () => {
  expect([0.25, 59.6, 61, 3725, 90_000].map(duration)).toEqual([
    "0.3 s",
    "1 min 0 s",
    "1 min 1 s",
    "1 h 2 min",
    "1 d 1 h",
  ]);
  expect([512, 1536, 3 * 2 ** 30].map(bytes)).toEqual(["512 B", "1.5 KiB", "3.0 GiB"]);
  expect([12_345, 0.912345678, 0.0000012].map(number)).toEqual(["12,345", "0.912346", "1.200e-6"]);
  expect(moment("2026-11-26T10:00:00.000000Z", "Europe/Berlin")).toBe("2026-11-26 11:00:00");
  expect(money({ amount: 12.345, currency: "USD", estimated: true })).toBe("≈ 12.35 USD");
});

test("a state that nobody knows is shown as it is told, and is not over", () => {
  expect(lookOf("hibernating")).toEqual({ word: "hibernating", palette: "none", over: false });
  expect(lookOf("complete")?.word).toBe("success");
});

test("steps are sorted within the page, what is not known last either way", () => {
  const steps = [3, null, 1].map((gpu_hours) => ({ gpu_hours }) as Step);
  const hours = (down: boolean) => sorted(steps, { column: "gpu_hours", down }).map((step) => step.gpu_hours);
  expect([hours(false), hours(true)]).toEqual([
    [1, 3, null],
    [3, 1, null],
  ]);
});

test("a filter that is empty is not asked for", () => {
  expect(questionFor({ state: "failed", text: " " }, 50, "2026~1")).toBe(
    "steps?limit=50&state=failed&before=2026%7E1",
  );
});
