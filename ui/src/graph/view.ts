/** What part of the graph is seen; pure. A point `p` of the graph is drawn at `p * scale + (x, y)`. */

import type { Point } from "./layout";

export interface View {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export const LEAST = 0.05;
export const MOST = 2;
/** Names can be read down to here. */
export const READABLE = 0.6;
/** Below, nodes are drawn as plain boxes, all in one. */
export const FAR = 0.35;

/** @param at the point of the frame that stays where it is. */
export function zoomed(view: View, factor: number, at: Point): View {
  const scale = Math.min(MOST, Math.max(LEAST, view.scale * factor));
  const by = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * by, y: at.y - (at.y - view.y) * by };
}

/** All of the graph, in the middle of the frame and not larger than it is. */
export function fitted(graph: Size, frame: Size): View {
  const scale = Math.max(LEAST, Math.min(1, frame.width / graph.width, frame.height / graph.height));
  return { scale, x: (frame.width - graph.width * scale) / 2, y: (frame.height - graph.height * scale) / 2 };
}

export function same(one: View, other: View): boolean {
  return one.x === other.x && one.y === other.y && one.scale === other.scale;
}

export function centred(at: Point, scale: number, frame: Size): View {
  return { scale, x: frame.width / 2 - at.x * scale, y: frame.height / 2 - at.y * scale };
}

/** Pixels around a node that is brought into the frame. */
const MARGIN = 24;

/** The least move that brings a node into the frame. */
export function shifted(view: View, at: Point, size: Size, frame: Size): View {
  const axis = (offset: number, centre: number, extent: number, room: number) => {
    const half = (extent / 2) * view.scale + MARGIN;
    const middle = centre * view.scale + offset;
    if (half * 2 > room) return offset + room / 2 - middle;
    return offset + Math.max(0, half - middle) - Math.max(0, middle + half - room);
  };
  return {
    scale: view.scale,
    x: axis(view.x, at.x, size.width, frame.width),
    y: axis(view.y, at.y, size.height, frame.height),
  };
}

export function seen(view: View, frame: Size): Box {
  return {
    left: -view.x / view.scale,
    top: -view.y / view.scale,
    right: (frame.width - view.x) / view.scale,
    bottom: (frame.height - view.y) / view.scale,
  };
}

export function grown({ left, top, right, bottom }: Box, by: number): Box {
  const [x, y] = [(right - left) * by, (bottom - top) * by];
  return { left: left - x, top: top - y, right: right + x, bottom: bottom + y };
}

export function holds(outer: Box, inner: Box): boolean {
  return (
    outer.left <= inner.left &&
    outer.top <= inner.top &&
    outer.right >= inner.right &&
    outer.bottom >= inner.bottom
  );
}

export function meets(box: Box, at: Point, size: Size): boolean {
  return (
    at.x + size.width / 2 >= box.left &&
    at.x - size.width / 2 <= box.right &&
    at.y + size.height / 2 >= box.top &&
    at.y - size.height / 2 <= box.bottom
  );
}
