/** Pan and zoom: moved by the browser's compositor, and told to React only when other nodes come into sight. */

import { type PointerEvent, type RefObject, useCallback, useEffect, useRef, useState } from "react";
import { type Box, FAR, grown, holds, type Size, seen, type View, zoomed } from "./view";

/** What is drawn: the nodes around what is seen, or from afar all of them as plain boxes. */
export interface Sight {
  readonly box: Box;
  readonly far: boolean;
}

export interface Viewport {
  readonly sight: Sight;
  readonly view: RefObject<View>;
  readonly move: (next: View) => void;
  readonly frameSize: () => Size;
  readonly pointer: {
    readonly onPointerDown: (event: PointerEvent) => void;
    readonly onPointerMove: (event: PointerEvent) => void;
    readonly onPointerUp: (event: PointerEvent) => void;
    readonly onPointerCancel: (event: PointerEvent) => void;
  };
  /** Whether the last press moved the graph, and so was no click. */
  readonly dragged: () => boolean;
}

const NOWHERE: Sight = { box: { left: 0, top: 0, right: 0, bottom: 0 }, far: false };
/** Pixels that a hand shakes. */
const SHAKE = 4;

export function useViewport(
  frame: RefObject<HTMLElement | null>,
  content: RefObject<HTMLElement | null>,
): Viewport {
  const view = useRef<View>({ x: 0, y: 0, scale: 1 });
  const [sight, setSight] = useState(NOWHERE);
  const frameSize = useCallback(
    () => ({ width: frame.current?.clientWidth ?? 0, height: frame.current?.clientHeight ?? 0 }),
    [frame],
  );

  const move = useCallback(
    (next: View) => {
      view.current = next;
      if (content.current !== null) {
        content.current.style.transform = `translate(${next.x}px, ${next.y}px) scale(${next.scale})`;
        // an outline that is thinner than a pixel of the screen is drawn on some sides only
        content.current.style.setProperty("--mlx-hair", `${Math.max(1, 1 / next.scale)}px`);
      }
      const now = seen(next, frameSize());
      const far = next.scale < FAR;
      setSight((before) => (stillGood(before, now, far) ? before : { box: grown(now, 0.25), far }));
    },
    [content, frameSize],
  );

  useEffect(() => {
    const element = frame.current;
    if (element === null) return;
    const onWheel = (event: WheelEvent) => {
      event.preventDefault();
      const at = element.getBoundingClientRect();
      const by = Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015));
      move(zoomed(view.current, by, { x: event.clientX - at.left, y: event.clientY - at.top }));
    };
    element.addEventListener("wheel", onWheel, { passive: false });
    const resized = new ResizeObserver(() => move(view.current));
    resized.observe(element);
    return () => {
      element.removeEventListener("wheel", onWheel);
      resized.disconnect();
    };
  }, [frame, move]);

  return { sight, view, move, frameSize, ...useDrag(view, move) };
}

function stillGood(before: Sight, now: Box, far: boolean): boolean {
  const area = ({ left, top, right, bottom }: Box) => (right - left) * (bottom - top);
  return before.far === far && holds(before.box, now) && area(before.box) < 12 * area(now);
}

function useDrag(view: RefObject<View>, move: (next: View) => void): Pick<Viewport, "pointer" | "dragged"> {
  const start = useRef<{ x: number; y: number; view: View } | null>(null);
  const moved = useRef(false);

  const onPointerDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    start.current = { x: event.clientX, y: event.clientY, view: view.current };
    moved.current = false;
  };
  const onPointerMove = (event: PointerEvent) => {
    if (start.current === null) return;
    const [dx, dy] = [event.clientX - start.current.x, event.clientY - start.current.y];
    if (!moved.current && Math.hypot(dx, dy) < SHAKE) return;
    if (!moved.current) event.currentTarget.setPointerCapture(event.pointerId);
    moved.current = true;
    move({ ...start.current.view, x: start.current.view.x + dx, y: start.current.view.y + dy });
  };
  const end = () => {
    start.current = null;
  };
  return {
    pointer: { onPointerDown, onPointerMove, onPointerUp: end, onPointerCancel: end },
    dragged: () => moved.current,
  };
}
