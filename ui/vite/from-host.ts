/** Modules that the page does not carry, since Airflow gives its own copy as a global. */

import type { Plugin } from "vite";

/** Airflow 3.2 and newer; the JSX runtime, too, so that elements are of the host's React. */
const GLOBALS: Readonly<Record<string, string>> = {
  react: "React",
  "react/jsx-runtime": "ReactJSXRuntime",
  "@chakra-ui/react": "ChakraUI",
};

const MARK = "\0from-host:";

export function fromHost(): Plugin {
  return {
    name: "from-host",
    enforce: "pre",
    resolveId: (id) => (Object.hasOwn(GLOBALS, id) ? `${MARK}${id}` : null),
    load: async (id) => {
      if (!id.startsWith(MARK)) return null;
      const module = id.slice(MARK.length);
      const names = Object.keys(await import(module)).filter(
        (name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== "default",
      );
      const global = `globalThis.${GLOBALS[module]}`;
      const code = names.map((name) => `export const ${name} = /* @__PURE__ */ (() => ${global}.${name})();`);
      return { code: [...code, `export default ${global};`].join("\n"), moduleSideEffects: false };
    },
  };
}
