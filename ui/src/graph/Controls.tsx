interface Props {
  readonly onZoom: (by: number) => void;
  readonly onFit: () => void;
}

export function Controls({ onZoom, onFit }: Props) {
  return (
    <div className="mlx-controls" onPointerDown={(event) => event.stopPropagation()}>
      <button type="button" aria-label="Zoom in" title="Zoom in" onClick={() => onZoom(1.3)}>
        +
      </button>
      <button type="button" aria-label="Zoom out" title="Zoom out" onClick={() => onZoom(1 / 1.3)}>
        −
      </button>
      <button type="button" aria-label="Show everything" title="Show everything (0)" onClick={onFit}>
        ⤢
      </button>
    </div>
  );
}
