// What the server's module replaces by a folder, as it was last published: one file of it is taken as it is.
module kubeflow_pipelines/published

go 1.26.8

require github.com/kubeflow/pipelines/api v0.0.0-20250102152816-873e9dedd766
