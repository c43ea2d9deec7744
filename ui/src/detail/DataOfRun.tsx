/** What a run read and wrote, in which version. */

import { Box, Stack, Text } from "@chakra-ui/react";
import { labelOf } from "../names";
import type { GraphNode, Run } from "../types";
import { Section, TextButton } from "./parts";

interface Props {
  readonly run: Run;
  readonly nodes: ReadonlyMap<string, GraphNode>;
  readonly onChoose: (key: string) => void;
}

export function DataOfRun({ run, nodes, onChoose }: Props) {
  const side = (word: "in" | "out") => run.data.filter((one) => one.side === word && nodes.has(one.dataset));
  return (
    <>
      <Side title="Read" data={side("in")} nodes={nodes} onChoose={onChoose} />
      <Side title="Wrote" data={side("out")} nodes={nodes} onChoose={onChoose} />
    </>
  );
}

function Side({ title, data, nodes, onChoose }: Omit<Props, "run"> & { title: string; data: Run["data"] }) {
  if (data.length === 0) return null;
  return (
    <Section title={title}>
      <Stack gap={1}>
        {data.map(({ dataset, version }) => {
          const node = nodes.get(dataset);
          return node === undefined ? null : (
            <Box key={dataset} fontSize="sm" minW={0}>
              <TextButton onClick={() => onChoose(dataset)}>{labelOf(node).title}</TextButton>
              {version === null ? null : (
                <Text as="span" ms={2} fontSize="xs" color="fg.muted" wordBreak="break-all">
                  {shortVersion(version)}
                </Text>
              )}
            </Box>
          );
        })}
      </Stack>
    </Section>
  );
}

/** Digests by their beginning, anything else as it is. */
export function shortVersion(version: string): string {
  return version.replace(/^(sha256:)?([0-9a-f]{12})[0-9a-f]{8,}$/, "$2…");
}
