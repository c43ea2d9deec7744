/** A graph, and beside it what is known of the chosen node. */

import { Box, Flex } from "@chakra-ui/react";
import { useCallback, useMemo, useState } from "react";
import { DetailPanel } from "../detail/DetailPanel";
import { GraphView } from "../graph/GraphView";
import type { Graph } from "../types";
import { Message } from "./messages";
import { useRoom } from "./useRoom";

interface Props {
  readonly graph: Graph;
  readonly start: string | null;
  readonly marked?: readonly string[];
  /** The run of each job that is looked at, where it is one DAG run. */
  readonly runs?: Readonly<Record<string, string>>;
  readonly chosenFirst?: string | null;
  /** Ask for the graph around another node; null where the graph is a given one. */
  readonly onFollow: ((key: string) => void) | null;
}

export function GraphPane({ graph, start, marked = [], runs = {}, chosenFirst = null, onFollow }: Props) {
  const [chosen, setChosen] = useState(chosenFirst);
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const room = useRoom<HTMLDivElement>();
  const toggle = useCallback((key: string) => {
    setOpened((before) => {
      const next = new Set(before);
      if (!next.delete(key)) next.add(key);
      return next;
    });
  }, []);
  const markedSet = useMemo(() => new Set(marked), [marked]);
  const names = useMemo(() => new Map(graph.nodes.map((node) => [node.key, node])), [graph]);
  const node = chosen === null ? undefined : names.get(chosen);

  if (graph.nodes.length === 0) return <Message title="There is nothing in this graph" />;
  return (
    <Flex ref={room.ref} height={`${room.height}px`} borderWidth="1px" borderRadius="md" overflow="hidden">
      <Box flex="1" minW={0} position="relative">
        <GraphView
          graph={graph}
          start={start}
          chosen={chosen}
          marked={markedSet}
          opened={opened}
          onChoose={setChosen}
          onToggle={toggle}
        />
        {graph.cut ? (
          <Box
            position="absolute"
            top={3}
            left={3}
            px={3}
            py={1}
            fontSize="xs"
            borderRadius="md"
            bg="bg.warning"
            color="fg.warning"
          >
            There is more than can be shown: ask for fewer steps up or down
          </Box>
        ) : null}
      </Box>
      {node === undefined ? null : (
        <DetailPanel
          key={node.key}
          node={node}
          graph={graph}
          nodes={names}
          run={runs[node.key] ?? null}
          opened={opened}
          onToggle={toggle}
          onChoose={setChosen}
          onFollow={onFollow}
        />
      )}
    </Flex>
  );
}
