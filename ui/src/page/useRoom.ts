import { type RefObject, useLayoutEffect, useRef, useState } from "react";

const LEAST = 420;

/** The height that is left below an element's top, in a host whose own boxes give none. */
export function useRoom<T extends HTMLElement>(): {
  readonly ref: RefObject<T | null>;
  readonly height: number;
} {
  const ref = useRef<T>(null);
  const [height, setHeight] = useState(LEAST);
  useLayoutEffect(() => {
    const measure = () => {
      const top = ref.current?.getBoundingClientRect().top ?? 0;
      setHeight(Math.max(LEAST, Math.floor(window.innerHeight - top - 16)));
    };
    measure();
    const settled = setTimeout(measure, 300); // the host's own header may come later
    window.addEventListener("resize", measure);
    return () => {
      clearTimeout(settled);
      window.removeEventListener("resize", measure);
    };
  }, []);
  return { ref, height };
}
