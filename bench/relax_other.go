//go:build linux && cgo && !amd64

package main

func relax() {}
