/** A graph in a file. */

import { Box, Flex, Heading } from "@chakra-ui/react";
import { useState } from "react";
import type { Recorded } from "../host/standalone";
import { GraphPane } from "./GraphPane";
import { SearchBox } from "./SearchBox";

export function RecordedPage({ recorded }: { recorded: Recorded }) {
  const [found, setFound] = useState<string | null>(null);
  return (
    <Box p={4} bg="bg" color="fg" minH="100vh">
      <Flex align="center" gap={6} mb={3}>
        <Heading size="lg">{recorded.title}</Heading>
        <SearchBox onFind={setFound} />
      </Flex>
      <GraphPane key={found} graph={recorded.graph} start={found} chosenFirst={found} onFollow={null} />
    </Box>
  );
}
