// Package locktest has the tests of package sem and of package pshared in
// which processes in Go and in C contend for a lock, and are killed with it.
package locktest
