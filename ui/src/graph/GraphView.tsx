/** The drawing of a graph: pan, zoom, keyboard, and what is chosen. */

import {
  type FocusEvent,
  type KeyboardEvent,
  useCallback,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import type { Graph } from "../types";
import { Controls } from "./Controls";
import { collapse, loneStep, shownBy } from "./collapse";
import { FarNodes } from "./FarNodes";
import { HEIGHT, type Plan, type Point, WIDTH } from "./layout";
import { pathsOf } from "./lines";
import { NodeBox } from "./NodeBox";
import { isArrow, stepTo } from "./step";
import { type Drawing, useLayout } from "./useLayout";
import { useViewport, type Viewport } from "./useViewport";
import { centred, fitted, meets, READABLE, same, shifted, zoomed } from "./view";
import { lineOf, neighboursOf } from "./walk";

const NODE = { width: WIDTH, height: HEIGHT };
/** Up to here all nodes are there for a screen reader, and for the browser's own search; of more, those in sight. */
const FEW = 200;

interface Props {
  readonly graph: Graph;
  /** Where the reader starts, if the whole is too large to be read. */
  readonly start: string | null;
  readonly chosen: string | null;
  readonly marked: ReadonlySet<string>;
  readonly opened: ReadonlySet<string>;
  readonly onChoose: (key: string | null) => void;
  readonly onToggle: (key: string) => void;
}

export function GraphView({ graph, start, chosen, marked, opened, onChoose, onToggle }: Props) {
  const drawing = useLayout(useMemo(() => collapse(graph, opened), [graph, opened]));
  const chosenShown = chosen === null ? null : shownBy(graph, chosen, opened);
  const startShown = start === null ? null : shownBy(graph, start, opened);
  const markedShown = useMemo(
    () => new Set([...marked].map((key) => shownBy(graph, key, opened))),
    [marked, graph, opened],
  );
  const choose = useCallback(
    (key: string | null) =>
      onChoose(key === null || opened.has(key) ? key : (loneStep(graph, key)?.key ?? key)),
    [graph, opened, onChoose],
  );
  return drawing === null ? (
    <div className="mlx-frame mlx-waiting" role="status">
      Arranging the graph…
    </div>
  ) : (
    <Canvas
      drawing={drawing}
      start={startShown}
      chosen={chosenShown}
      marked={markedShown}
      onChoose={choose}
      onToggle={onToggle}
    />
  );
}

interface CanvasProps {
  readonly drawing: Drawing;
  readonly start: string | null;
  readonly chosen: string | null;
  readonly marked: ReadonlySet<string>;
  readonly onChoose: (key: string | null) => void;
  readonly onToggle: (key: string) => void;
}

function Canvas({ drawing, start, chosen, marked, onChoose, onToggle }: CanvasProps) {
  const frame = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const viewport = useViewport(frame, content);
  const { shown, plan } = drawing;
  const isLarge = shown.nodes.length > FEW;
  const neighbours = useMemo(() => neighboursOf(shown.edges), [shown]);
  const line = useMemo(
    () => (chosen !== null && plan.places.has(chosen) ? lineOf(chosen, neighbours) : null),
    [chosen, plan, neighbours],
  );
  const [stop, setStop] = useStop(drawing, start);
  usePlacing(drawing, start, stop, viewport);
  useInSight(chosen === null ? undefined : plan.places.get(chosen), plan, viewport);

  const choose = useCallback(
    (key: string) => {
      if (viewport.dragged()) return;
      setStop(key);
      onChoose(key);
    },
    [viewport.dragged, setStop, onChoose],
  );
  const toggle = useCallback(
    (key: string) => !viewport.dragged() && onToggle(key),
    [viewport.dragged, onToggle],
  );
  const onKeyDown = (event: KeyboardEvent) => {
    const current = shown.nodes.find(({ node }) => node.key === stop);
    if (isArrow(event.key) && stop !== null) {
      const next = stepTo(stop, event.key, plan.places, neighbours);
      setStop(next);
      bringIntoSight(plan.places.get(next), viewport);
      focusLater(frame.current, next);
    } else if (event.key === "+" && current !== undefined && current.inside > 0) onToggle(current.node.key);
    else if (event.key === "-" && current?.partOf) onToggle(current.partOf);
    else if (event.key === "Escape") onChoose(null);
    else if (event.key === "0") viewport.move(fitted(plan, viewport.frameSize()));
    else return;
    event.preventDefault();
  };

  /** By keys or by a screen reader: a pointer is where it is looked at. */
  const onFocus = ({ target }: FocusEvent<HTMLElement>) => {
    const { key } = target.dataset;
    if (key === undefined || !target.matches(":focus-visible")) return;
    setStop(key);
    bringIntoSight(plan.places.get(key), viewport);
  };

  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is of a form
    <div
      ref={frame}
      className="mlx-frame"
      role="group"
      aria-label="Lineage graph. Arrow keys follow the data, Enter shows a node, plus and minus open and close a job, zero shows everything."
      onKeyDown={onKeyDown}
      onFocus={onFocus}
      {...viewport.pointer}
    >
      <div ref={content} className="mlx-content">
        <Lines drawing={drawing} line={line} />
        {viewport.sight.far ? (
          <FarNodes drawing={drawing} line={line} marked={marked} onChoose={choose} />
        ) : (
          shown.nodes.map((one) => {
            const { key } = one.node;
            const at = plan.places.get(key);
            if (at === undefined || (isLarge && !meets(viewport.sight.box, at, NODE))) return null;
            return (
              <NodeBox
                key={key}
                shown={one}
                at={at}
                chosen={key === chosen}
                marked={marked.has(key)}
                dimmed={line !== null && !line.has(key)}
                stop={key === stop}
                onChoose={choose}
                onToggle={toggle}
              />
            );
          })
        )}
      </div>
      <Controls
        onZoom={(by) => {
          const { width, height } = viewport.frameSize();
          viewport.move(zoomed(viewport.view.current, by, { x: width / 2, y: height / 2 }));
        }}
        onFit={() => viewport.move(fitted(plan, viewport.frameSize()))}
      />
    </div>
  );
}

function Lines({ drawing, line }: { drawing: Drawing; line: ReadonlySet<string> | null }) {
  const { lines, width, height } = drawing.plan;
  const all = useMemo(() => pathsOf(lines), [lines]);
  const ofLine = useMemo(
    () =>
      line === null ? null : pathsOf(lines.filter(({ edge }) => line.has(edge[0]) && line.has(edge[1]))),
    [lines, line],
  );
  return (
    <svg className="mlx-lines" width={width} height={height} aria-hidden="true">
      <g className={line === null ? "" : "mlx-dimmed"}>
        <path className="mlx-curves" d={all.curves} />
        <path className="mlx-heads" d={all.heads} />
      </g>
      {ofLine === null ? null : (
        <g className="mlx-line">
          <path className="mlx-curves" d={ofLine.curves} />
          <path className="mlx-heads" d={ofLine.heads} />
        </g>
      )}
    </svg>
  );
}

/** The node that the Tab key leads to: the last one that was used, at first the start. */
function useStop(drawing: Drawing, start: string | null) {
  const [used, setUsed] = useState<string | null>(null);
  const known = (key: string | null) => key !== null && drawing.plan.places.has(key);
  const stop = known(used) ? used : known(start) ? start : (drawing.shown.nodes[0]?.node.key ?? null);
  return [stop, setUsed] as const;
}

/** A new graph is shown whole, or around its start if it is too large to be read; a changed one stays where it is. */
function usePlacing({ plan }: Drawing, start: string | null, stop: string | null, viewport: Viewport) {
  const before = useRef<{ start: string | null; places: ReadonlyMap<string, Point> } | null>(null);
  const { move, frameSize, view } = viewport;
  useLayoutEffect(() => {
    const last = before.current;
    before.current = { start, places: plan.places };
    if (last?.places === plan.places && last.start === start) return;
    const held = stop === null || last?.start !== start ? undefined : last.places.get(stop);
    const now = stop === null ? undefined : plan.places.get(stop);
    if (held !== undefined && now !== undefined) {
      const { x, y, scale } = view.current;
      move({ scale, x: x + (held.x - now.x) * scale, y: y + (held.y - now.y) * scale });
      return;
    }
    const whole = fitted(plan, frameSize());
    const at = start === null ? undefined : plan.places.get(start);
    move(whole.scale >= READABLE || at === undefined ? whole : centred(at, READABLE + 0.2, frameSize()));
  }, [plan, start, stop, move, frameSize, view]);
}

/** The details beside the graph take room, and must not cover what they are about. */
function useInSight(at: Point | undefined, plan: Plan, { view, move, frameSize }: Viewport) {
  const before = useRef(frameSize());
  useLayoutEffect(() => {
    const [last, frame] = [before.current, frameSize()];
    before.current = frame;
    const whole = fitted(plan, frame);
    if (same(view.current, fitted(plan, last)) && whole.scale >= READABLE) move(whole);
    else if (at !== undefined) move(shifted(view.current, at, NODE, frame));
  }, [at, plan, view, move, frameSize]);
}

function bringIntoSight(at: Point | undefined, { view, move, frameSize }: Viewport): void {
  if (at === undefined) return;
  const frame = frameSize();
  const near = view.current.scale < READABLE ? centred(at, READABLE, frame) : view.current;
  move(shifted(near, at, NODE, frame));
}

/** When React has drawn it. */
function focusLater(frame: HTMLElement | null, key: string): void {
  requestAnimationFrame(() => {
    const button = frame?.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`);
    button?.focus({ preventScroll: true });
  });
}
