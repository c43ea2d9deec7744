//go:build tools

// Package tools names what is built: what of Kubeflow Pipelines and of Argo Workflows runs in pods, and what sees to them.
package tools

import (
	_ "github.com/argoproj/argo-workflows/v3/cmd/argoexec"
	_ "github.com/argoproj/argo-workflows/v3/cmd/workflow-controller"
	_ "github.com/kubeflow/pipelines/backend/src/agent/persistence"
	_ "github.com/kubeflow/pipelines/backend/src/v2/cmd/driver"
	_ "github.com/kubeflow/pipelines/backend/src/v2/cmd/launcher-v2"
	_ "google.golang.org/protobuf/cmd/protoc-gen-go"
)
