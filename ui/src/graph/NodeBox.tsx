/** One node: a plain button with a few classes, since there may be a thousand of them. */

import { memo } from "react";
import { fullName, KIND_WORDS, labelOf, PLATFORM_WORDS, platformOf } from "../names";
import { lookOf } from "../states";
import type { ShownNode } from "./collapse";
import { NodeIcon } from "./icons";
import { HEIGHT, type Point, WIDTH } from "./layout";

interface Props {
  readonly shown: ShownNode;
  readonly at: Point;
  readonly chosen: boolean;
  readonly marked: boolean;
  readonly dimmed: boolean;
  /** The one node of the graph that the Tab key stops at. */
  readonly stop: boolean;
  readonly onChoose: (key: string) => void;
  readonly onToggle: (key: string) => void;
}

export const NodeBox = memo(function NodeBox(props: Props) {
  const { shown, at, chosen, marked, dimmed, stop, onChoose, onToggle } = props;
  const { node, inside, partOf, platform } = shown;
  const { title, context } = labelOf(node);
  const look = lookOf(node.state);
  const classes = ["mlx-node", `mlx-${node.name === "" ? "unknown" : node.kind}`];
  if (chosen) classes.push("mlx-chosen");
  if (marked) classes.push("mlx-marked");
  if (dimmed) classes.push("mlx-dimmed");
  if (inside === 1) classes.push("mlx-lone");
  return (
    <div
      className={classes.join(" ")}
      style={{ left: at.x - WIDTH / 2, top: at.y - HEIGHT / 2, width: WIDTH, height: HEIGHT }}
    >
      <button
        type="button"
        data-key={node.key}
        className="mlx-face"
        tabIndex={stop ? 0 : -1}
        aria-label={spoken(shown)}
        aria-pressed={chosen}
        title={fullName(node)}
        onClick={() => onChoose(node.key)}
      >
        <span className="mlx-strip" style={look === null ? {} : { background: solid(look.palette) }} />
        <NodeIcon node={node} platform={platform} />
        <span className="mlx-texts">
          <span className="mlx-title">{title}</span>
          <span className="mlx-context">
            {look === null ? null : <b style={{ color: text(look.palette) }}>{look.word}</b>}
            {look === null ? context : ` · ${context}`}
          </span>
        </span>
      </button>
      {inside > 0 || partOf !== null ? (
        <button
          type="button"
          className="mlx-toggle"
          tabIndex={-1}
          aria-label={inside > 0 ? `Show ${jobsInside(inside)} of ${title}` : "Show as one job again"}
          title={inside > 0 ? `Show ${jobsInside(inside)} (+)` : "Show as one job again (−)"}
          onClick={() => onToggle(inside > 0 ? node.key : (partOf ?? node.key))}
        >
          {inside > 0 ? `+${inside}` : "−"}
        </button>
      ) : null}
    </div>
  );
});

/** What a screen reader says. */
export function spoken({ node, inside, platform }: ShownNode): string {
  const { title, context } = labelOf(node);
  const look = lookOf(node.state);
  const parts = [
    node.name === "" ? title : `${KIND_WORDS[node.kind]} ${title}`,
    context,
    look?.word,
    node.kind === "job" && node.name !== "" ? `on ${PLATFORM_WORDS[platformOf(platform)]}` : undefined,
    inside > 1 ? jobsInside(inside) : undefined,
  ];
  return parts.filter(Boolean).join(", ");
}

function jobsInside(count: number): string {
  return count === 1 ? "the job inside" : `${count} jobs inside`;
}

export const solid = (palette: string) => `var(--chakra-colors-${palette}-solid)`;
const text = (palette: string) => `var(--chakra-colors-${palette}-fg)`;
