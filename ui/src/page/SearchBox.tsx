/** Jobs and datasets by a part of their name. */

import { Combobox, createListCollection, Portal } from "@chakra-ui/react";
import { useDeferredValue, useMemo, useState } from "react";
import { useAnswer } from "../host/answers";
import { fullName, KIND_WORDS, labelOf } from "../names";
import type { GraphNode } from "../types";

export function SearchBox({ onFind }: { onFind: (key: string) => void }) {
  const [text, setText] = useState("");
  const asked = useDeferredValue(text.trim());
  const found = useAnswer<GraphNode[]>(
    asked === "" ? null : `search?q=${encodeURIComponent(asked.slice(0, 200))}`,
  );
  const collection = useMemo(
    () =>
      createListCollection({
        items: found.value ?? [],
        itemToValue: (node) => node.key,
        itemToString: fullName,
      }),
    [found.value],
  );
  return (
    <Combobox.Root
      collection={collection}
      inputBehavior="none"
      selectionBehavior="clear"
      openOnChange
      size="sm"
      maxW="md"
      value={[]}
      onInputValueChange={({ inputValue }) => setText(inputValue)}
      onValueChange={({ value }) => value[0] !== undefined && onFind(value[0])}
    >
      <Combobox.Control>
        <Combobox.Input
          aria-label="Search jobs, datasets and models"
          placeholder="Search jobs, datasets and models"
        />
      </Combobox.Control>
      <Portal>
        <Combobox.Positioner>
          <Combobox.Content>
            <Combobox.Empty>
              {asked === "" ? "Type a part of a name" : found.waiting ? "Searching…" : "No name holds this"}
            </Combobox.Empty>
            {collection.items.map((node) => (
              <Combobox.Item item={node} key={node.key}>
                <Found node={node} />
              </Combobox.Item>
            ))}
          </Combobox.Content>
        </Combobox.Positioner>
      </Portal>
    </Combobox.Root>
  );
}

function Found({ node }: { node: GraphNode }) {
  const { title, context } = labelOf(node);
  return (
    <span className="mlx-texts" title={fullName(node)}>
      <span className="mlx-title">{title}</span>
      <span className="mlx-context">
        {KIND_WORDS[node.kind]} · {context}
      </span>
    </span>
  );
}
