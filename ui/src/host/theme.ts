/** Airflow's palettes by their names, where Airflow itself is not there to give them. */

import { createSystem, defaultConfig, defineConfig } from "@chakra-ui/react";

const palette = (color: string) => ({
  solid: { value: `{colors.${color}.600}` },
  contrast: { value: "white" },
  fg: { value: { _light: `{colors.${color}.800}`, _dark: `{colors.${color}.200}` } },
  muted: { value: { _light: `{colors.${color}.200}`, _dark: `{colors.${color}.800}` } },
  subtle: { value: { _light: `{colors.${color}.100}`, _dark: `{colors.${color}.900}` } },
  emphasized: { value: { _light: `{colors.${color}.300}`, _dark: `{colors.${color}.700}` } },
  focusRing: { value: { _light: `{colors.${color}.800}`, _dark: `{colors.${color}.200}` } },
});

const PALETTES = {
  brand: "blue",
  success: "green",
  failed: "red",
  running: "cyan",
  skipped: "pink",
  removed: "gray",
  none: "gray",
  info: "blue",
  warning: "yellow",
  error: "red",
} as const;

export const system = createSystem(
  defaultConfig,
  defineConfig({
    theme: {
      semanticTokens: {
        colors: Object.fromEntries(Object.entries(PALETTES).map(([name, color]) => [name, palette(color)])),
      },
    },
  }),
);
