/** Drawn for this page; none is anybody's trademark. */

import type { ReactNode } from "react";
import { type Platform, platformOf } from "../names";
import type { GraphNode } from "../types";

const PLATFORM_SHAPES: Readonly<Record<Platform, ReactNode>> = {
  // a chip: managed machines
  sagemaker: (
    <>
      <rect x="6" y="6" width="12" height="12" rx="2" />
      <path d="M9 6V3m6 3V3M9 21v-3m6 3v-3M6 9H3m3 6H3M21 9h-3m3 6h-3" />
      <circle cx="12" cy="12" r="2" />
    </>
  ),
  // a flow of three
  kubeflow: (
    <>
      <circle cx="5" cy="12" r="2.5" />
      <circle cx="18" cy="5.5" r="2.5" />
      <circle cx="18" cy="18.5" r="2.5" />
      <path d="M7.5 11 15.5 6.5M7.5 13l8 4.5" />
    </>
  ),
  // a helm
  kubernetes: (
    <>
      <circle cx="12" cy="12" r="7" />
      <circle cx="12" cy="12" r="2" />
      <path d="M12 2v8m0 4v8M2 12h8m4 0h8M4.9 4.9l5.7 5.7m2.8 2.8 5.7 5.7M19.1 4.9l-5.7 5.7m-2.8 2.8-5.7 5.7" />
    </>
  ),
  // a fan
  airflow: (
    <>
      <path d="M12 12C9 10 8 6 10 3c3 1 4 5 2 9Zm0 0c2-3 6-4 9-2-1 3-5 4-9 2Zm0 0c3 2 4 6 2 9-3-1-4-5-2-9Zm0 0c-2 3-6 4-9 2 1-3 5-4 9-2Z" />
    </>
  ),
  // a screen
  local: (
    <>
      <rect x="4" y="4" width="16" height="11" rx="1.5" />
      <path d="M2 19h20" />
    </>
  ),
  other: (
    <>
      <circle cx="12" cy="12" r="8" strokeDasharray="3 3" />
    </>
  ),
};

const DATASET = (
  <>
    <ellipse cx="12" cy="5.5" rx="7.5" ry="2.8" />
    <path d="M4.5 5.5v13c0 1.5 3.4 2.8 7.5 2.8s7.5-1.3 7.5-2.8v-13M4.5 12c0 1.5 3.4 2.8 7.5 2.8s7.5-1.3 7.5-2.8" />
  </>
);

const MODEL = (
  <>
    <path d="M12 2.5 20.5 7v10L12 21.5 3.5 17V7Z" />
    <path d="M12 12v9.5M12 12 3.5 7M12 12l8.5-5" />
  </>
);

const LOCK = (
  <>
    <rect x="5" y="10.5" width="14" height="10" rx="2" />
    <path d="M8 10.5V7a4 4 0 0 1 8 0v3.5" />
  </>
);

/** @param platform what runs a job, where it is not the job's own word. */
export function NodeIcon({
  node,
  platform = node.integration,
}: {
  node: GraphNode;
  platform?: string | null;
}) {
  return <Icon>{shapeOf(node, platform)}</Icon>;
}

export function PlatformIcon({ platform }: { platform: Platform }) {
  return <Icon>{PLATFORM_SHAPES[platform]}</Icon>;
}

function Icon({ children }: { children: ReactNode }) {
  return (
    <svg className="mlx-icon" viewBox="0 0 24 24" aria-hidden="true">
      {children}
    </svg>
  );
}

function shapeOf(node: GraphNode, platform: string | null): ReactNode {
  if (node.name === "") return LOCK;
  if (node.kind === "job") return PLATFORM_SHAPES[platformOf(platform)];
  return node.kind === "model" ? MODEL : DATASET;
}
