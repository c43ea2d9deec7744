//go:build tools

// Package tools names what is built: the API server, and what generates two of its protocols first.
package tools

import (
	_ "github.com/kubeflow/pipelines/backend/src/apiserver"
	_ "google.golang.org/protobuf/cmd/protoc-gen-go"
)
