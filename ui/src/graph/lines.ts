/** The edges of a graph as one path for each look, so that a thousand cost as much as one. */

import type { Plan, Point } from "./layout";

type Line = Plan["lines"][number];

/** The curves, and the heads of their arrows. */
export function pathsOf(lines: readonly Line[]): { curves: string; heads: string } {
  return {
    curves: lines.map(({ points }) => curve(points)).join(""),
    heads: lines.map(({ points }) => head(points)).join(""),
  };
}

/** Through the middles between the points, bent at them. */
function curve(points: readonly Point[]): string {
  const [first, ...rest] = points;
  const last = rest.at(-1);
  if (first === undefined || last === undefined) return "";
  const bends = rest.slice(0, -1).map((at, index) => {
    const next = rest[index + 1] ?? last;
    return `Q${at.x} ${at.y} ${(at.x + next.x) / 2} ${(at.y + next.y) / 2}`;
  });
  return `M${first.x} ${first.y}${bends.join("")}L${last.x} ${last.y}`;
}

function head(points: readonly Point[]): string {
  const end = points.at(-1);
  const before = points.at(-2);
  if (end === undefined || before === undefined) return "";
  const length = Math.hypot(end.x - before.x, end.y - before.y) || 1;
  const [dx, dy] = [(end.x - before.x) / length, (end.y - before.y) / length];
  const [bx, by] = [end.x - dx * 8, end.y - dy * 8];
  const at = (x: number, y: number) => `${x.toFixed(1)} ${y.toFixed(1)}`;
  return `M${at(end.x, end.y)}L${at(bx - dy * 4, by + dx * 4)}L${at(bx + dy * 4, by - dx * 4)}Z`;
}
