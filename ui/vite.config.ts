/** Two bundles of one page: a plugin for Airflow's UI, and everything in one script for a file. */

import { fileURLToPath } from "node:url";
import { defineConfig, type UserConfig } from "vite";
import { fromHost } from "./vite/from-host.ts";

const OUTPUT = fileURLToPath(new URL("../airflow_provider_mlx/lineage/server/page/", import.meta.url));
/** What Airflow calls the page in its menus, and the global under which it looks for the component. */
const PLUGIN_NAME = "ML lineage";
const LAYOUT_FILE = "./layout-worker.js";

const shared: UserConfig = {
  define: {
    "process.env.NODE_ENV": JSON.stringify("production"),
    "import.meta.env.PLUGIN_NAME": JSON.stringify(PLUGIN_NAME),
    "import.meta.env.LAYOUT_FILE": JSON.stringify(LAYOUT_FILE),
  },
};

const airflow: UserConfig = {
  ...shared,
  plugins: [fromHost()],
  build: {
    outDir: OUTPUT,
    emptyOutDir: true,
    rolldownOptions: {
      input: { page: "src/airflow.tsx", "layout-worker": "src/graph/layout.worker.ts" },
      output: { format: "es", entryFileNames: "[name].js", chunkFileNames: "[name].js" },
    },
  },
};

const standalone: UserConfig = {
  ...shared,
  build: {
    outDir: OUTPUT,
    emptyOutDir: false,
    copyPublicDir: false,
    rolldownOptions: {
      input: { standalone: "src/standalone.tsx" },
      output: { format: "iife", entryFileNames: "[name].js" },
    },
  },
};

export default defineConfig(({ mode }) => (mode === "standalone" ? standalone : airflow));
