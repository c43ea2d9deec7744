/** How one version came to be: which job wrote it from which versions, back to what came from outside. */

import { Box, Stack, Text } from "@chakra-ui/react";
import { useAnswer } from "../host/answers";
import { labelOf } from "../names";
import { Shown } from "../page/messages";
import type { Graph, GraphNode, Origin } from "../types";
import { shortVersion } from "./DataOfRun";
import { Quiet, TextButton } from "./parts";

interface Props {
  readonly dataset: string;
  readonly version: string;
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly onChoose: (key: string) => void;
}

export function OriginOf({ dataset, version, nodes, onChoose }: Props) {
  const origin = useAnswer<Origin[]>(`nodes/${dataset}/versions/${encodeURIComponent(version)}/origin`);
  const needed =
    origin.value?.flatMap((one) => [one.job, one.dataset, ...one.read.map(([key]) => key)]) ?? [];
  const missing = needed.some((key) => !nodes.has(key));
  // names of what lies beyond the graph that is shown
  const wider = useAnswer<Graph>(missing ? `graph?node=${dataset}&up=50&down=0` : null);
  const known = new Map([...(wider.value?.nodes ?? []).map((node) => [node.key, node] as const), ...nodes]);
  const name = (key: string) => {
    const node = known.get(key);
    return node === undefined ? "something that is not shown" : labelOf(node).title;
  };
  return (
    <Shown answer={origin} what="how it came to be">
      {(steps) =>
        steps.length === 0 ? (
          <Quiet>No run that wrote it is known.</Quiet>
        ) : (
          <Stack as="ol" gap={2} mt={2} ps={3} borderStartWidth="2px">
            {steps.map((one) => (
              <Box as="li" key={`${one.dataset} ${one.version}`} listStyleType="none">
                <Text fontSize="sm">
                  <Versioned
                    name={name(one.dataset)}
                    version={one.version}
                    onChoose={nodes.has(one.dataset) ? () => onChoose(one.dataset) : null}
                  />
                  {" was written by "}
                  <Named
                    name={name(one.job)}
                    onChoose={nodes.has(one.job) ? () => onChoose(one.job) : null}
                  />
                  {one.read.length === 0 ? " from nothing that is known" : " from"}
                </Text>
                <Stack gap={0} ps={3}>
                  {one.read.map(([key, of]) => (
                    <Text key={`${key} ${of}`} fontSize="sm">
                      <Versioned
                        name={name(key)}
                        version={of}
                        onChoose={nodes.has(key) ? () => onChoose(key) : null}
                      />
                    </Text>
                  ))}
                </Stack>
              </Box>
            ))}
          </Stack>
        )
      }
    </Shown>
  );
}

function Versioned(props: { name: string; version: string | null; onChoose: (() => void) | null }) {
  return (
    <>
      <Named name={props.name} onChoose={props.onChoose} />{" "}
      <Text as="span" fontSize="xs" color="fg.muted" fontFamily="mono" title={props.version ?? ""}>
        {props.version === null ? "in a version that was not told" : shortVersion(props.version)}
      </Text>
    </>
  );
}

function Named({ name, onChoose }: { name: string; onChoose: (() => void) | null }) {
  if (onChoose === null) return <b>{name}</b>;
  return <TextButton onClick={onChoose}>{name}</TextButton>;
}
