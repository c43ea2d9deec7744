/** Figures, texts and tables of a step, each in a frame that can do nothing: what is in them comes from outside. */

import { Box, Button, Text } from "@chakra-ui/react";
import { useState } from "react";
import { useAnswer } from "../host/answers";
import { useHost } from "../host/host";
import type { About, Preview } from "../types";
import { Quiet, Section } from "./parts";

export function Previews({ run }: { run: string }) {
  const offered = useAnswer<About>("about").value?.previews === true;
  const previews = useAnswer<Preview[]>(offered ? `runs/${encodeURIComponent(run)}/previews` : null);
  if (previews.error !== null)
    return (
      <Section title="Previews">
        <Quiet>{previews.error.message}</Quiet>
      </Section>
    );
  if (previews.value === null || previews.value.length === 0) return null;
  return (
    <Section title="Previews">
      {previews.value.map((preview) => (
        <OnePreview key={preview.href} preview={preview} />
      ))}
    </Section>
  );
}

/** It is loaded when somebody wants to see it. */
function OnePreview({ preview }: { preview: Preview }) {
  const { addressOf } = useHost();
  const [open, setOpen] = useState(false);
  return (
    <Box mb={2}>
      <Button size="xs" variant="outline" aria-expanded={open} onClick={() => setOpen(!open)}>
        {preview.output}
        <Text as="span" color="fg.muted">
          {preview.kind}
        </Text>
      </Button>
      {open ? (
        <Box mt={2} borderWidth="1px" borderRadius="md" overflow="hidden" bg="white">
          <iframe
            title={`${preview.kind} ${preview.output}`}
            src={addressOf(preview.href)}
            sandbox=""
            referrerPolicy="no-referrer"
            width="100%"
            height="320"
          />
        </Box>
      ) : null}
    </Box>
  );
}
