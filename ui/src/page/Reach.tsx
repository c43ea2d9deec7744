/** How far the graph goes from where it starts. */

import { HStack, NativeSelect, Text } from "@chakra-ui/react";

const STEPS = [0, 1, 2, 4, 6, 10, 20, 50];
const USUAL = 6;

export function reachOf(query: URLSearchParams): { up: number; down: number } {
  const side = (name: string) => {
    const given = Number(query.get(name) ?? USUAL);
    return STEPS.includes(given) ? given : USUAL;
  };
  return { up: side("up"), down: side("down") };
}

interface Props {
  readonly reach: { up: number; down: number };
  readonly onChange: (changes: Readonly<Record<string, string>>) => void;
}

export function Reach({ reach, onChange }: Props) {
  return (
    <HStack gap={4}>
      <Side word="Upstream" value={reach.up} onChange={(up) => onChange({ up })} />
      <Side word="Downstream" value={reach.down} onChange={(down) => onChange({ down })} />
    </HStack>
  );
}

function Side({ word, value, onChange }: { word: string; value: number; onChange: (value: string) => void }) {
  return (
    <HStack as="label" gap={2}>
      <Text fontSize="sm" color="fg.muted">
        {word}
      </Text>
      <NativeSelect.Root size="sm" width="28">
        <NativeSelect.Field value={value} onChange={(event) => onChange(event.currentTarget.value)}>
          {STEPS.map((steps) => (
            <option key={steps} value={steps}>
              {steps === 0 ? "none" : steps === 1 ? "1 step" : `${steps} steps`}
            </option>
          ))}
        </NativeSelect.Field>
        <NativeSelect.Indicator />
      </NativeSelect.Root>
    </HStack>
  );
}
