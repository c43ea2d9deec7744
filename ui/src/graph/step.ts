/** Which node an arrow key leads to. */

import type { Point } from "./layout";
import type { Neighbours } from "./walk";

export type Arrow = "ArrowLeft" | "ArrowRight" | "ArrowUp" | "ArrowDown";

export function isArrow(key: string): key is Arrow {
  return key === "ArrowLeft" || key === "ArrowRight" || key === "ArrowUp" || key === "ArrowDown";
}

/**
 * Left and right follow the data, to the nearest of the neighbours; up and down go to the next node of the same layer,
 * or to the nearest one that lies there.
 *
 * @returns where to go, or the node itself where there is nothing.
 */
export function stepTo(
  key: string,
  arrow: Arrow,
  places: ReadonlyMap<string, Point>,
  neighbours: Neighbours,
): string {
  const here = places.get(key);
  if (here === undefined) return key;
  if (arrow === "ArrowLeft" || arrow === "ArrowRight") {
    const along = (arrow === "ArrowLeft" ? neighbours.before : neighbours.after).get(key) ?? [];
    return nearest(along, (at) => Math.abs(at.y - here.y), places) ?? key;
  }
  const sign = arrow === "ArrowUp" ? -1 : 1;
  const there = [...places.keys()].filter((one) => ((places.get(one)?.y ?? 0) - here.y) * sign > 0);
  const distance = (at: Point) => Math.abs(at.y - here.y) + 4 * Math.abs(at.x - here.x);
  return nearest(there, distance, places) ?? key;
}

function nearest(
  keys: readonly string[],
  distance: (at: Point) => number,
  places: ReadonlyMap<string, Point>,
): string | undefined {
  let found: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const key of keys) {
    const at = places.get(key);
    if (at !== undefined && distance(at) < least) [found, least] = [key, distance(at)];
  }
  return found;
}
