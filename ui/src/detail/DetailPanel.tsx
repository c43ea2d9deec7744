/** What is known of one node. */

import { Box, Button, CloseButton, Flex, Heading, HStack, Text } from "@chakra-ui/react";
import { isDag } from "../graph/collapse";
import { NodeIcon } from "../graph/icons";
import { fullName, KIND_WORDS, labelOf, PLATFORM_WORDS, platformOf } from "../names";
import type { Graph, GraphNode } from "../types";
import { DatasetDetail } from "./DatasetDetail";
import { JobDetail } from "./JobDetail";
import { Quiet, TextButton } from "./parts";

interface Props {
  readonly node: GraphNode;
  readonly graph: Graph;
  readonly nodes: ReadonlyMap<string, GraphNode>;
  /** The run that is looked at; null: the latest. */
  readonly run: string | null;
  readonly opened: ReadonlySet<string>;
  readonly onToggle: (key: string) => void;
  readonly onChoose: (key: string | null) => void;
  readonly onFollow: ((key: string) => void) | null;
}

export function DetailPanel({ node, graph, nodes, run, opened, onToggle, onChoose, onFollow }: Props) {
  const { title, context } = labelOf(node);
  const unknown = node.name === "";
  const around = node.parent === null ? undefined : nodes.get(node.parent);
  const hasInside = graph.nodes.some((one) => one.kind === "job" && one.parent === node.key) && !isDag(node);
  return (
    <Box
      as="aside"
      aria-label={`Details of ${title}`}
      width="26rem"
      flex="none"
      maxW="50%"
      borderStartWidth="1px"
      overflowY="auto"
      bg="bg"
      p={4}
    >
      <Flex gap={2} align="flex-start">
        <Box pt={1}>
          <NodeIcon node={node} />
        </Box>
        <Box flex="1" minW={0}>
          <Heading as="h2" size="md" wordBreak="break-word">
            {title}
          </Heading>
          <Text fontSize="xs" color="fg.muted" wordBreak="break-all">
            {unknown ? context : fullName(node)}
          </Text>
        </Box>
        <CloseButton size="sm" aria-label="Close the details" onClick={() => onChoose(null)} />
      </Flex>
      <HStack my={3} gap={2} wrap="wrap">
        {unknown ? null : (
          <Text fontSize="xs" color="fg.muted">
            {KIND_WORDS[node.kind]}
            {node.kind === "job" ? ` on ${PLATFORM_WORDS[platformOf(node.integration)]}` : ""}
            {around === undefined || around.name === "" || isDag(around) ? null : (
              <>
                {", part of "}
                <TextButton onClick={() => onChoose(around.key)}>{labelOf(around).title}</TextButton>
              </>
            )}
          </Text>
        )}
        {hasInside ? (
          <Button size="xs" variant="outline" onClick={() => onToggle(node.key)}>
            {opened.has(node.key) ? "Show as one job" : "Show the jobs inside"}
          </Button>
        ) : null}
        {onFollow === null || unknown ? null : (
          <Button size="xs" variant="outline" onClick={() => onFollow(node.key)}>
            Graph from here
          </Button>
        )}
      </HStack>
      {unknown ? (
        <Quiet>
          It joins what you see, and belongs to a DAG that you may not read. Its name is not told.
        </Quiet>
      ) : node.kind === "job" ? (
        <JobDetail node={node} nodes={nodes} run={run} onChoose={onChoose} />
      ) : (
        <DatasetDetail node={node} nodes={nodes} onChoose={onChoose} />
      )}
    </Box>
  );
}
