/** The page's few rules of its own, in the host's colours: they follow light and dark by themselves. */

const color = (name: string) => `var(--chakra-colors-${name})`;

/** Of what is drawn between and around nodes: it stands out as much in light as in dark. */
const OUTLINE = `color-mix(in oklab, ${color("fg-muted")} 45%, transparent)`;

const RULES = `
.mlx-frame { position: relative; overflow: clip; width: 100%; height: 100%; min-height: 240px; cursor: grab;
  touch-action: none; user-select: none; background: ${color("bg")};
  background-image: radial-gradient(${color("border")} 1px, transparent 1px); background-size: 22px 22px; }
.mlx-frame:active { cursor: grabbing; }
.mlx-waiting { display: grid; place-items: center; color: ${color("fg-muted")}; cursor: default; }
.mlx-content { position: absolute; left: 0; top: 0; transform-origin: 0 0; will-change: transform; }
.mlx-lines, .mlx-far { position: absolute; left: 0; top: 0; overflow: visible; }
.mlx-lines { pointer-events: none; }
.mlx-far { cursor: pointer; }
.mlx-curves { fill: none; stroke: ${OUTLINE}; stroke-width: 1.5; }
.mlx-heads { fill: ${OUTLINE}; }
.mlx-line .mlx-curves { stroke: ${color("brand-solid")}; stroke-width: 2; }
.mlx-line .mlx-heads { fill: ${color("brand-solid")}; }
.mlx-node { position: absolute; }
.mlx-face { display: flex; align-items: center; gap: 8px; width: 100%; height: 100%; padding: 0 10px 0 0;
  text-align: start; overflow: hidden; cursor: pointer; border: var(--mlx-hair, 1px) solid ${OUTLINE};
  border-radius: 6px; background: ${color("bg-panel")}; color: ${color("fg")}; }
.mlx-face:hover { border-color: ${color("brand-solid")}; }
.mlx-face:focus-visible { outline: 3px solid ${color("brand-focusRing")}; outline-offset: 2px; }
.mlx-strip { align-self: stretch; flex: 0 0 5px; background: ${color("border-emphasized")}; }
.mlx-dataset .mlx-face, .mlx-model .mlx-face { border-radius: 26px; padding-inline: 18px 16px; }
.mlx-dataset .mlx-strip, .mlx-model .mlx-strip { display: none; }
.mlx-model .mlx-face { border-color: ${color("purple-solid")}; }
.mlx-model .mlx-icon { color: ${color("purple-fg")}; }
.mlx-unknown .mlx-face { border-style: dashed; color: ${color("fg-muted")}; }
.mlx-marked .mlx-face { box-shadow: 0 0 0 1px ${color("brand-solid")}; border-color: ${color("brand-solid")}; }
.mlx-chosen .mlx-face { box-shadow: 0 0 0 2px ${color("brand-solid")}; border-color: ${color("brand-solid")};
  background: ${color("brand-subtle")}; }
.mlx-dimmed { opacity: 0.35; }
.mlx-icon { flex: none; width: 20px; height: 20px; fill: none; stroke: currentColor; stroke-width: 1.6;
  stroke-linecap: round; stroke-linejoin: round; color: ${color("fg-muted")}; }
.mlx-texts { display: flex; flex-direction: column; min-width: 0; line-height: 1.3; }
.mlx-title, .mlx-context { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.mlx-title { font-size: 13px; font-weight: 600; }
.mlx-context { font-size: 11px; color: ${color("fg-muted")}; }
.mlx-context b { font-weight: 600; }
.mlx-toggle { position: absolute; right: -9px; top: -9px; min-width: 22px; height: 20px; padding: 0 5px; cursor: pointer;
  font-size: 11px; font-weight: 600; border-radius: 10px; border: 1px solid ${color("border-emphasized")};
  background: ${color("bg-emphasized")}; color: ${color("fg")}; }
.mlx-lone .mlx-toggle { opacity: 0; }
.mlx-lone:hover .mlx-toggle, .mlx-lone:focus-within .mlx-toggle { opacity: 1; }
.mlx-toggle:hover { border-color: ${color("brand-solid")}; }
.mlx-controls { position: absolute; left: 12px; bottom: 12px; display: flex; flex-direction: column; cursor: default;
  border: 1px solid ${color("border-emphasized")}; border-radius: 6px; overflow: hidden;
  background: ${color("bg-panel")}; }
.mlx-controls button { width: 30px; height: 30px; font-size: 16px; line-height: 1; cursor: pointer;
  background: transparent; color: ${color("fg")}; }
.mlx-controls button:hover { background: ${color("bg-emphasized")}; }
.mlx-controls button:focus-visible { outline: 2px solid ${color("brand-focusRing")}; outline-offset: -2px; }
.mlx-label::first-letter { text-transform: uppercase; }
.mlx-link { color: ${color("fg-info")}; }
.mlx-link:hover { text-decoration: underline; }
@media (prefers-reduced-motion: no-preference) { .mlx-face { transition: border-color 120ms; } }
`;

export function Style() {
  return <style>{RULES}</style>;
}
