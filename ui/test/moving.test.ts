import { expect, test } from "vitest";
import { plan } from "../src/graph/layout";
import { stepTo } from "../src/graph/step";
import { fitted, holds, seen, shifted, zoomed } from "../src/graph/view";
import { lineOf, neighboursOf } from "../src/graph/walk";
import type { Edge } from "../src/types";

const EDGES: Edge[] = [
  ["raw", "prepare"],
  ["prepare", "table"],
  ["table", "train"],
  ["table", "report"],
  ["train", "model"],
];
const KEYS = [...new Set(EDGES.flat())];
const drawn = plan(KEYS, EDGES);
const neighbours = neighboursOf(EDGES);

test("data flows from left to right, and nodes of one layer do not cover each other", () => {
  for (const [from, to] of EDGES)
    expect(drawn.places.get(from)?.x).toBeLessThan(drawn.places.get(to)?.x ?? 0);
  expect(
    Math.abs((drawn.places.get("train")?.y ?? 0) - (drawn.places.get("report")?.y ?? 0)),
  ).toBeGreaterThan(54);
});

test("a circle of data has a layout", () => {
  expect(
    plan(
      ["a", "b"],
      [
        ["a", "b"],
        ["b", "a"],
      ],
    ).places.size,
  ).toBe(2);
});

test("arrows follow the data, change the branch, and stay where there is nothing", () => {
  const go = (key: string, arrow: Parameters<typeof stepTo>[1]) =>
    stepTo(key, arrow, drawn.places, neighbours);
  expect(go("raw", "ArrowRight")).toBe("prepare");
  expect(go("model", "ArrowLeft")).toBe("train");
  expect(new Set([go("train", "ArrowDown"), go("train", "ArrowUp")])).toContain("report");
  expect(go("raw", "ArrowLeft")).toBe("raw");
});

test("the line of a node is what it came from and what came from it, without its siblings", () => {
  expect(lineOf("train", neighbours)).toEqual(new Set(["raw", "prepare", "table", "train", "model"]));
});

const FRAME = { width: 800, height: 600 };

test("zooming keeps the point under the pointer", () => {
  const before = { x: 30, y: -20, scale: 1 };
  const after = zoomed(before, 1.5, { x: 400, y: 300 });
  expect((400 - after.x) / after.scale).toBeCloseTo(400 - before.x);
});

test("everything is in the frame when it is fitted", () => {
  const graph = { width: 5000, height: 900 };
  expect(holds(seen(fitted(graph, FRAME), FRAME), { left: 0, top: 0, right: 5000, bottom: 900 })).toBe(true);
});

test("a node is brought into the frame by the least move, and not moved if it is there", () => {
  const size = { width: 200, height: 50 };
  const view = { x: 0, y: 0, scale: 1 };
  expect(shifted(view, { x: 400, y: 300 }, size, FRAME)).toEqual(view);
  expect(shifted(view, { x: 900, y: 300 }, size, FRAME)).toEqual({ x: -224, y: 0, scale: 1 });
});
