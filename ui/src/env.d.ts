interface ImportMetaEnv {
  /** What Airflow calls the page, and the global under which it looks for the component. */
  readonly PLUGIN_NAME: string;
  /** The layout's worker, beside the bundle. */
  readonly LAYOUT_FILE: string;
}
