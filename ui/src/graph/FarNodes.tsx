/** Nodes from afar, where no name could be read: one path for each colour. */

import { type MouseEvent, useMemo } from "react";
import { lookOf } from "../states";
import { HEIGHT, WIDTH } from "./layout";
import { solid } from "./NodeBox";
import type { Drawing } from "./useLayout";

interface Props {
  readonly drawing: Drawing;
  readonly line: ReadonlySet<string> | null;
  readonly marked: ReadonlySet<string>;
  readonly onChoose: (key: string) => void;
}

export function FarNodes({ drawing, line, marked, onChoose }: Props) {
  const { shown, plan } = drawing;
  const paths = useMemo(() => byColour(drawing, line, marked), [drawing, line, marked]);
  const onClick = (event: MouseEvent<SVGSVGElement>) => {
    const frame = event.currentTarget.getBoundingClientRect();
    const scale = frame.width / plan.width;
    const [x, y] = [(event.clientX - frame.left) / scale, (event.clientY - frame.top) / scale];
    const hit = shown.nodes.find(({ node }) => {
      const at = plan.places.get(node.key);
      return at !== undefined && Math.abs(at.x - x) <= WIDTH / 2 && Math.abs(at.y - y) <= HEIGHT / 2;
    });
    if (hit !== undefined) onChoose(hit.node.key);
  };
  return (
    <svg className="mlx-far" width={plan.width} height={plan.height} aria-hidden="true" onClick={onClick}>
      {[...paths].map(([look, path]) => {
        const [colour, dimmed] = look.split(" ");
        return <path key={look} d={path} fill={colour} opacity={dimmed === "dimmed" ? 0.25 : 1} />;
      })}
    </svg>
  );
}

function byColour(
  { shown, plan }: Drawing,
  line: Props["line"],
  marked: Props["marked"],
): Map<string, string> {
  const paths = new Map<string, string>();
  for (const { node } of shown.nodes) {
    const at = plan.places.get(node.key);
    if (at === undefined) continue;
    const palette = lookOf(node.state)?.palette ?? (node.kind === "model" ? "purple" : "gray");
    const plain = node.kind === "dataset" && !marked.has(node.key);
    const colour = plain ? "var(--chakra-colors-border-emphasized)" : solid(palette);
    const look = `${colour} ${line === null || line.has(node.key) ? "bright" : "dimmed"}`;
    const box = `M${at.x - WIDTH / 2} ${at.y - HEIGHT / 2}h${WIDTH}v${HEIGHT}h${-WIDTH}Z`;
    paths.set(look, (paths.get(look) ?? "") + box);
  }
  return paths;
}
