/** A graph in a file of its own: no server, and nothing is loaded from anywhere. */

import { ChakraProvider } from "@chakra-ui/react";
import { createRoot } from "react-dom/client";
import { HostProvider } from "./host/host";
import { type Recorded, standaloneHost } from "./host/standalone";
import { system } from "./host/theme";
import { RecordedPage } from "./page/RecordedPage";
import { Style } from "./style";

const recorded = JSON.parse(document.getElementById("mlx-lineage")?.textContent ?? "{}") as Recorded;

function follow(scheme: MediaQueryList): void {
  document.documentElement.classList.toggle("dark", scheme.matches);
}
const scheme = matchMedia("(prefers-color-scheme: dark)");
scheme.addEventListener("change", () => follow(scheme));
follow(scheme);

createRoot(document.getElementById("root") as HTMLElement).render(
  <ChakraProvider value={system}>
    <HostProvider value={standaloneHost(recorded)}>
      <Style />
      <RecordedPage recorded={recorded} />
    </HostProvider>
  </ChakraProvider>,
);
